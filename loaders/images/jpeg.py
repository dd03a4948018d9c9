"""JPEGs held to what libjpeg says of them: Pillow, which decodes by the same library, does not pass its warnings on.

A JPEG has no checksum. Of one with a hole, or half of one with an end mark, libjpeg makes a picture and warns. A byte
that was changed, and decodes without a warning all the same, cannot be found by anybody.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
from msgspec import Meta

U8 = npt.NDArray[np.uint8]
_NOTHING = 128  # what libjpeg gives where there are no data: every coefficient zero
# ITU-T T.81, B.1.1.3. What stands between segments is data, in which only restarts (D0 to D7) and FF 00 are.
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xd8-\xfe])")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = (0xC0, 0xC1, 0xC2)  # sequential and progressive, by Huffman
_COEFFICIENTS = 64


@dataclass(frozen=True)
class Damage:
    """What libjpeg warns about in a photograph, and the part of its rows that is not there, 0 to 1.

    One that lacks a whole scan lacks something in every row.
    """

    warning: str
    lacking: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def __str__(self) -> str:
        return f"{self.warning}; lacks {self.lacking:.0%} of its rows" if self.lacking else self.warning


class Decoded(NamedTuple):
    """Pixels, uint8 [H, W, 3], where there are any without a warning; `is_held` if a warning would have been heard."""

    pixels: U8 | None
    damage: Damage | None
    is_held: bool


def decode(file: Any, size: tuple[int, int], mode: str) -> Decoded:
    """Decode a JPEG whose width, height and mode Pillow has read from its header: bytes, or any buffer.

    The pixels are those that Pillow gives. There are none of CMYK, which is only held to libjpeg's warnings; none of a
    JPEG that draws one; and none of a subsampling that simplejpeg does not know, which is not held to anything.
    """
    data = memoryview(file).cast("B")  # Arrow's bytes are signed, which simplejpeg refuses
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data, strict=False)
    except ValueError as error:
        is_rare = "subsampling" in str(error)
        return Decoded(None, None if is_rare else Damage(str(error)), is_held=not is_rare)
    if (width, height) != size:
        return Decoded(
            None, Damage(f"has two headers: {size[0]} x {size[1]} and {width} x {height} pixels"), is_held=True
        )
    is_rgb = mode != "CMYK"
    try:
        pixels = simplejpeg.decode_jpeg(data, "RGB" if is_rgb else "CMYK")
    except ValueError as warning:
        return Decoded(None, Damage(str(warning), _lacking(data, is_rgb)), is_held=True)
    return Decoded(pixels if is_rgb else None, None, is_held=True)


def _lacking(file: memoryview, is_rgb: bool) -> float:
    """Return the part of the rows that is not there: nothing but the grey of no data, down to the last."""
    if not _has_all_scans(bytes(file)):
        return 1.0
    try:
        pixels = simplejpeg.decode_jpeg(file, "GRAY" if is_rgb else "CMYK", strict=False)
    except ValueError:
        return 0.0  # whether it can be decoded at all, Pillow says
    there = np.flatnonzero((pixels != _NOTHING).any(axis=(1, 2)))
    return float(1 - (there[-1] + 1 if there.size else 0) / len(pixels))


def _has_all_scans(file: bytes) -> bool:
    """Say whether each coefficient of each component has come to its last bit (T.81, B.2.3 and G.1.1)."""
    components: list[int] = []
    bits: dict[tuple[int, int], int] = {}
    for kind, body in _segments(file):
        if kind in _FRAMES and len(body) > 5:
            components = list(body[6 : 6 + 3 * body[5] : 3])
        elif kind == _SCAN and len(body) >= 4 + 2 * body[0]:
            first, last, precision = body[1 + 2 * body[0] :][:3]
            bits |= {(c, n): precision & 15 for c in body[1 : 1 + 2 * body[0] : 2] for n in range(first, last + 1)}
    return not any(bits.get((c, n), 1) for c in components for n in range(_COEFFICIENTS))


def _segments(file: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, content) of each segment, up to the end mark."""
    at = 0
    while (marker := _MARKER.search(file, at)) and marker[1][0] != _END:
        at = marker.end()
        if marker[1][0] != _START:
            length = int.from_bytes(file[at : at + 2], "big")
            yield marker[1][0], file[at + 2 : at + length]
            at += max(length, 2)
