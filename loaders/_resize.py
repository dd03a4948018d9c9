"""One photograph, decoded once, at every size: what `Image.open(f).convert("RGB").resize((s, s), filter)` gives."""

from collections.abc import Sequence

from PIL import Image

from loaders._pictures import as_rgb, decoding, opened

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
