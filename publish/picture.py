"""Pictures for the card, made from what was measured; the same bytes for the same data."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

_SHOWN = 128  # pixels a side on the card


def mean_image(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the mean image, uint8 [S, S, 3], as a PNG of whole pixels enlarged to about 128 a side."""
    scale = max(1, _SHOWN // len(pixels))
    shown = Image.fromarray(pixels).resize((len(pixels) * scale,) * 2, Image.Resampling.NEAREST)
    file = io.BytesIO()
    shown.save(file, "PNG", optimize=True)
    return file.getvalue()
