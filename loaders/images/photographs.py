"""Photographs decoded, held to libjpeg's warnings and resized: once, and alike wherever it is done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from loaders.images import jpeg
from loaders.images.jpeg import Damage
from loaders.images.pillow import as_rgb, decoding, opened

_JPEGS = ("JPEG", "MPO")  # the latter has further pictures behind the first, which is the one that counts
_EXIF_ORIENTATION = 0x0112
_NAMES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # those of the authors' scripts
FILTERS = {name: Image.Resampling[name.upper()] for name in _NAMES}
UPSTREAM = "box"
SQUARINGS = (*FILTERS, "center")  # how a photograph becomes a square: squeezed by a filter, or its middle cut out
_MOST_PIXELS = 1 << 26  # of a picture on its way to its middle: no photograph is so wide or tall that it has as many


@dataclass(frozen=True)
class Photograph:
    """A photograph decoded whole: `image` is RGB, `original` its file as Pillow opened it.

    `damage` is what libjpeg warned about; `is_held` is unset for a JPEG whose warnings cannot be had.
    """

    image: Image.Image
    original: Image.Image
    damage: Damage | None
    is_held: bool

    @property
    def orientation(self) -> object:
        """That of its EXIF data, by which `image` is not turned: 1 is upright. Raises ValueError for damaged ones."""
        with decoding():
            return self.original.getexif().get(_EXIF_ORIENTATION, 1)

    def oddities(self, name: str) -> list[str]:
        """Return in which ways its file, of that name, is not as most are. Raises ValueError as `orientation` does."""
        mode, kind = self.original.mode, self.original.format
        kinds = {"CMYK": mode == "CMYK", "greyscale": mode in ("L", "LA", "1")}
        kinds["CMYK without an Adobe marker"] = mode == "CMYK" and "adobe" not in self.original.info
        kinds["rotated by its EXIF orientation"] = self.orientation != 1
        kinds[f"{kind} under the name {name[name.rfind('.') :]}"] = kind != "JPEG"
        kinds["JPEG of a rare subsampling, whose warnings cannot be had"] = not self.is_held
        return [kind for kind, holds in kinds.items() if holds]

    def squares(self, sizes: Sequence[int], squaring: str) -> list[Image.Image]:
        """Return it at so many pixels a side, each made from the photograph itself; `squaring` is one of SQUARINGS."""
        if squaring == "center":
            middles = dict(_middles(self.image, sorted(set(sizes), reverse=True)))
            return [middles[size] for size in sizes]
        return [self.image.resize((size, size), FILTERS[squaring]) for size in sizes]


def decode(file: Any) -> Photograph:
    """Decode a photograph, bytes or any buffer: to the pixels that Pillow gives (no draft mode, no EXIF orientation).

    Raises ValueError, saying why, for one that cannot be decoded: neither a JPEG nor a PNG, too large, cut short.
    """
    with decoding():
        original = opened(file)
        found = jpeg.Decoded(None, None, is_held=True)
        if original.format in _JPEGS:
            found = jpeg.decode(file, original.size, original.mode)
        image = as_rgb(original) if found.pixels is None else Image.fromarray(found.pixels)
    return Photograph(image, original, found.damage, found.is_held)


def resized(file: Any, sizes: Sequence[int], squaring: str) -> tuple[list[bytes], Damage | None]:
    """Return a photograph at each size, RGB, uint8 [size, size, 3] row by row, and what libjpeg warned about.

    `squaring` is one of SQUARINGS. Raises ValueError as `decode` does, and for one too narrow for its middle.
    """
    photo = decode(file)
    return [square.tobytes() for square in photo.squares(sizes, squaring)], photo.damage


def _middles(image: Image.Image, sizes: Sequence[int]) -> Iterator[tuple[int, Image.Image]]:
    """Yield the center crops of a picture, the largest first: what is halved for one is halved further for the next.

    As ADM and EDM make them (`center_crop_arr` of https://github.com/openai/guided-diffusion, `center-crop-dhariwal` of
    https://github.com/NVlabs/edm): while the shorter side is at least twice the target, both are halved, by BOX; then
    BICUBIC until the shorter side is the target, sides rounded; then the middle.
    """
    for size in sizes:
        while min(image.size) >= 2 * size:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
        scale = size / min(image.size)
        width, height = round(image.width * scale), round(image.height * scale)
        if width * height > _MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too narrow to cut a square out of them")
        left, top = (width - size) // 2, (height - size) // 2
        fitted = image.resize((width, height), Image.Resampling.BICUBIC)
        yield size, fitted.crop((left, top, left + size, top + size))
