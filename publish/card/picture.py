"""Pictures for the card, made from what was measured; the same bytes for the same data.

They hold no text, which the card says better beside them, and no paper: between the images it shines through, light or
dark.
"""

import hashlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from publish.card.sheet import Paper, bars, contact, enlarged

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
FOLDER = "pictures"
MEAN, SHEET, SIZES, CLASSES = "mean", "sheet", "sizes", "classes"  # what a picture's name begins with

_SHOWN = 128  # pixels a side of the mean image on the card
_WIDTH, _CELL, _ROWS = 820, 64, 4  # of a contact sheet: pixels, pixels an image, images one above the other
_MOST_PIXELS = 131_072  # of the images on a sheet, about 90 KB as a PNG of 255 colours
_EXACT_PIXELS = 16_384  # up to so many, all their colours are about 50 KB
_FEW, _SIDE = 3, 128  # photographs that are shown in every size, pixels a side
_BARS, _SHADE = 64, 120  # pixels, opacity of 255
_INK, _PALE = (86, 120, 208), (160, 160, 160)  # to be seen on light pages and on dark ones
_GLANCE = 8  # pixels a side
_ALIKE = 3.0  # levels of 255, on average: the same photograph differs by up to 2, another by 15 and more


def path(kind: str, folder: str, split: str) -> str:
    """Return where a picture of a split lies in the repository."""
    return f"{FOLDER}/{kind}-{folder}-{split}.png"


def kind(path: str) -> str:
    """Return what kind of picture lies there."""
    return path.rpartition("/")[2].partition("-")[0]


def classes_path(split: str, counts: I64, histogram: bytes) -> str:
    """Return where the histogram of these counts lies: splits that are spread alike over the classes share one."""
    digest = hashlib.sha256(counts.astype("<i8").tobytes() + histogram).hexdigest()
    return f"{FOLDER}/{CLASSES}-{split}-{digest[:12]}.png"


def mean_image(pixels: U8) -> bytes:
    """Return the mean image, uint8 [S, S, 3], as a PNG of whole pixels enlarged to about 128 a side."""
    return _png(enlarged(Image.fromarray(pixels), _SHOWN), optimize=True)


def contact_sheet(images: U8) -> bytes:
    """Return uint8 [N, 3, S, S] as rows of images in a PNG: pixels as squares, nothing smoothed.

    Where there are many pixels, colours are rounded to 255.
    """
    count, _, size, _ = images.shape
    side = size * max(1, _CELL // size)
    columns = max(1, min(_WIDTH // (side + 2), count))
    rows = max(1, min(_ROWS, count // columns, _MOST_PIXELS // (columns * size * size)))
    return _cells(images[: rows * columns], side, columns)


def sizes(images: U8) -> bytes:
    """Return the first photographs of uint8 [N, 3, S, S], one above the other and every pixel a square, as a PNG."""
    return _cells(images[:_FEW], _SIDE, 1)


def _cells(images: U8, side: int, columns: int) -> bytes:
    count, _, size, _ = images.shape
    pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).reshape(count * size, size, 3)
    column = Image.fromarray(pixels)
    paper: Paper = (0, 0, 0, 0)
    if count * size * size > _EXACT_PIXELS:
        few = Image.fromarray(np.ascontiguousarray(pixels[::4, ::4]))  # colours as good, found in a tenth of the time
        column, paper = column.quantize(palette=few.quantize(255)), 255
    else:
        column = column.convert("RGBA")
    cells = [enlarged(column.crop((0, y, size, y + size)), side) for y in range(0, count * size, size)]
    sheet = contact(cells, columns, column.mode, paper)
    if (palette := column.getpalette()) is None:
        return _png(sheet)
    sheet.putpalette([*palette, *bytes(768 - len(palette))])  # whole: of a short one, Pillow leaves the paper out
    return _png(sheet, transparency=paper)


def class_histogram(counts: I64) -> bytes:
    """Return rows by class, int64 [1000], as a PNG of one bar a class, its top darker: all alike are no mere block."""
    drawn = np.asarray(bars(counts, _BARS))
    above = np.pad(drawn, ((2, 0), (0, 0)))[:-2]
    picture = Image.fromarray(np.where((drawn == 1) & (above != 1), np.uint8(3), drawn))
    picture.putpalette([0, 0, 0, *_INK, *_PALE, *_INK])
    return _png(picture, transparency=bytes([0, _SHADE, 255, 255]))


def glance(images: U8) -> str:
    """Return what the photographs of `sizes` have in common in all their sizes: shrunk to 8x8, in hexadecimal."""
    shown = (Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in images[:_FEW])
    return b"".join(image.resize((_GLANCE, _GLANCE), Image.Resampling.BOX).tobytes() for image in shown).hex()


def alike(one: str, other: str) -> bool:
    """Say whether two glances are of the same photographs: nearly the same pixels, but for rounding."""
    if not one or len(one) != len(other):
        return False
    ours, theirs = (np.frombuffer(bytes.fromhex(each), np.uint8).astype(np.int64) for each in (one, other))
    return bool((np.abs(ours - theirs).reshape(-1, _GLANCE * _GLANCE * 3).mean(axis=1) < _ALIKE).all())


def _png(picture: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()
