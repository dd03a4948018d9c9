"""Pictures in files of others, opened by Pillow: JPEG and PNG alone, of a bounded size, and errors of one kind."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, UnidentifiedImageError

from loaders.images import png_file

FORMATS = ("JPEG", "PNG")  # ILSVRC has one PNG, named .JPEG; of Pillow's many others, one runs Ghostscript

# All that Pillow raises over damaged bytes. The bytes are in memory, so that an OSError is never of the disk.
_DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
_DAMAGE += (struct.error, zlib.error, AttributeError, OverflowError, Image.DecompressionBombError)


def opened(file: Any, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """Return a picture whose header is read, and not yet its pixels. `file` is bytes or any buffer.

    Called inside of `decoding`. Raises ValueError for what has another format, for more pixels than 2^26, and for a PNG
    that holds fewer or more rows than it says: Pillow would give the rest of them black, or drop them.
    """
    try:
        image = Image.open(io.BytesIO(file), formats=formats)
    except UnidentifiedImageError:
        raise ValueError("neither a JPEG nor a PNG" if formats == FORMATS else f"no {' or '.join(formats)}") from None
    if image.width * image.height > png_file.PIXELS:
        raise ValueError(f"it claims {image.width} x {image.height} pixels")
    if image.format == "PNG":
        png_file.opened(bytes(file), alone=False).check()
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
