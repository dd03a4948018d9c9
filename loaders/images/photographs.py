"""Photographs decoded, held to libjpeg's warnings and resized: once, and alike wherever it is done."""

from collections.abc import Sequence
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

    def resized(self, size: int, resample: str) -> Image.Image:
        """Return it at that many pixels a side; `resample` is one of FILTERS."""
        return self.image.resize((size, size), FILTERS[resample])


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


def resized(file: Any, sizes: Sequence[int], resample: str) -> tuple[list[bytes], Damage | None]:
    """Return a photograph at each size, RGB, uint8 [size, size, 3] row by row, and what libjpeg warned about.

    Each size is made from the photograph itself, never from another size. Raises ValueError as `decode` does.
    """
    photo = decode(file)
    return [photo.resized(size, resample).tobytes() for size in sizes], photo.damage
