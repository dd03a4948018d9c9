"""Pictures in files of others, opened by Pillow: JPEG and PNG alone, of a bounded size, and errors of one kind."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG")  # ILSVRC has one PNG, named .JPEG; of Pillow's many others, one runs Ghostscript
_PIXELS = 1 << 26  # 200 MB once decoded

# All that Pillow raises over damaged bytes. The bytes are in memory, so that an OSError is never of the disk.
_DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
_DAMAGE += (struct.error, zlib.error, AttributeError, OverflowError, Image.DecompressionBombError)


def opened(file: Any, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Return a picture whose header is read, and not yet its pixels. `file` is bytes or any buffer.

    Called inside of `decoding`. Raises ValueError for what has another format, and for more pixels than 2^26.
    """
    try:
        image = Image.open(io.BytesIO(file), formats=formats)
    except UnidentifiedImageError:
        raise ValueError("neither a JPEG nor a PNG" if formats == FORMATS else f"no {' or '.join(formats)}") from None
    if image.width * image.height > _PIXELS:
        raise ValueError(f"it claims {image.width} x {image.height} pixels")
    return image


def as_rgb(image: Image.Image) -> Image.Image:
    """Return a picture decoded whole, as RGB. Called inside of `decoding`."""
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")  # of an RGB image this would be a copy


@contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever Pillow raises over damaged bytes into a ValueError that says why."""
    try:
        yield
    except ValueError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


_NAMES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # those of the authors' scripts
FILTERS = {name: Image.Resampling[name.upper()] for name in _NAMES}


def resized(file: bytes, sizes: Sequence[int], resample: str) -> list[bytes]:
    """Return a photograph at each size: RGB, uint8 [size, size, 3] row by row.

    Each size is made from the photograph itself, never from another size, and JPEG is decoded whole (no draft mode).
    Raises ValueError, saying why, when it cannot be decoded.
    """
    with decoding():
        image = as_rgb(opened(file))
        return [image.resize((size, size), FILTERS[resample]).tobytes() for size in sizes]
