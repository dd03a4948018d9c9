"""One photograph, decoded once, at every size: what `Image.open(f).convert("RGB").resize((s, s), filter)` gives."""

import io
import struct
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError

_NAMES = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")  # those of the authors' scripts
FILTERS = {name: Image.Resampling[name.upper()] for name in _NAMES}
# All that Pillow raises over damaged bytes. The bytes are in memory, so that an OSError is never of the disk.
_DAMAGE: tuple[type[Exception], ...] = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError)
_DAMAGE += (struct.error, Image.DecompressionBombError)


def resized(file: bytes, sizes: Sequence[int], resample: str) -> list[bytes]:
    """Return a photograph at each size: RGB, uint8 [size, size, 3] row by row.

    Each size is made from the photograph itself, never from another size, and JPEG is decoded whole (no draft mode).
    Raises ValueError, saying why, when it cannot be decoded.
    """
    try:
        image: Image.Image = Image.open(io.BytesIO(file), formats=("JPEG", "PNG"))  # ILSVRC has one PNG, named .JPEG
        if image.mode != "RGB":
            image = image.convert("RGB")  # of an RGB image this would be a copy: a twentieth of the time
        return [image.resize((size, size), FILTERS[resample]).tobytes() for size in sizes]
    except UnidentifiedImageError:
        raise ValueError("neither a JPEG nor a PNG") from None
    except _DAMAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
