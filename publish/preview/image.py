"""An image of a row as the page shows it: its own bytes when it is small, a smaller JPEG of it when it is not."""

import io
from dataclasses import dataclass

import pyarrow as pa
from PIL import Image, ImageOps

from loaders.images.pillow import decoding, opened
from publish.preview.card import data_uri

_ENLARGED = 128  # pixels a side that a small image is enlarged to, by whole pixels
_LARGEST = 320  # pixels a side of what is sent of a photograph: twice what a narrow column shows
_OWN = 1 << 16  # bytes up to which a small image is sent as it is; 128 x 128 pixels of noise are 49 kB
_QUALITY = 85
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")  # what every browser shows


@dataclass(frozen=True)
class Shown:
    """An image: the address that holds it, its width and height on the page, what it is, and whether it is enlarged."""

    source: str
    width: int
    height: int
    what: str
    enlarged: bool


def shown(data: bytes | pa.Buffer) -> Shown | None:
    """Return an image for the page, or None when it cannot be decoded."""
    try:
        with decoding():
            image = opened(data, _FORMATS)
            what = f"{image.width}x{image.height} {image.format}"
            if (scale := _ENLARGED // max(image.size)) and len(data) <= _OWN:
                image.load()
                source = data_uri(bytes(data), f"image/{str(image.format).lower()}")
                return Shown(source, image.width * scale, image.height * scale, what, scale > 1)
            small = _reduced(image)
    except ValueError:
        return None
    return Shown(data_uri(_jpeg(small), "image/jpeg"), small.width, small.height, what, False)


def _reduced(image: Image.Image) -> Image.Image:
    """Return an image upright and small; a JPEG is decoded at half or a quarter of its size where that is enough."""
    image.draft("RGB", (_LARGEST, _LARGEST))
    image.thumbnail((_LARGEST, _LARGEST))  # before it is turned, which takes a copy
    return ImageOps.exif_transpose(image).convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
