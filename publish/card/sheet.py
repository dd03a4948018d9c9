"""Contact sheets of small pictures and histograms of their classes, drawn with Pillow alone."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

_GAP, _MARGIN, _BARS, _LINE = 2, 12, 160, 16  # pixels
_SMALLEST, _LARGEST = 32, 64  # pixels of a picture on the sheet
_PAPER, _INK, _PALE = (255, 255, 255), (40, 60, 120), (200, 200, 200)

Paper = int | tuple[int, ...]  # a colour of the image's mode


def draw(title: str, pictures: Sequence[Image.Image], counts: npt.NDArray[np.int64] | None) -> Image.Image:
    """Return the sheet; `counts` is rows by class, int64 [1000], or None where nothing is labelled."""
    sheet = contact([_cell(picture) for picture in pictures], math.ceil(math.sqrt(len(pictures))))
    histogram = _histogram(counts) if counts is not None else Image.new("RGB", (0, 0))
    width = max(sheet.width, histogram.width) + 2 * _MARGIN
    page = Image.new("RGB", (width, sheet.height + histogram.height + 3 * _MARGIN + _LINE), _PAPER)
    ImageDraw.Draw(page).text((_MARGIN, _MARGIN), title, _INK)
    page.paste(sheet, (_MARGIN, _MARGIN + _LINE))
    page.paste(histogram, (_MARGIN, 2 * _MARGIN + _LINE + sheet.height))
    return page


def contact(cells: Sequence[Image.Image], columns: int, mode: str = "RGB", paper: Paper = _PAPER) -> Image.Image:
    """Return the cells side by side in so many columns, with lines of paper between them."""
    step = max((max(cell.size) for cell in cells), default=0) + _GAP
    sheet = Image.new(mode, (columns * step, -(-len(cells) // max(columns, 1)) * step), paper)
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % columns * step, place // columns * step))
    return sheet


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Return a picture with each pixel made a square, as large as fits into `side` pixels; a larger one as it is."""
    times = max(1, side // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _cell(picture: Image.Image) -> Image.Image:
    """Return a picture as it is when it fits; a smaller one with each pixel made a square, a larger one shrunk."""
    if max(picture.size) > _LARGEST:
        return ImageOps.contain(picture, (_LARGEST, _LARGEST))
    return enlarged(picture, _SMALLEST)


def bars(counts: npt.NDArray[np.int64], height: int) -> Image.Image:
    """Return a bar of one pixel a class, the tallest `height`, as a "P" image: 0 paper, 1 ink, 2 an empty class."""
    tops = counts * (height - 1) // max(int(counts.max(initial=1)), 1)
    filled = np.arange(height - 1, -1, -1)[:, None] <= tops
    picture = Image.fromarray(np.where(filled, np.where(counts, 1, 2), 0).astype(np.uint8))
    picture.putpalette([*_PAPER, *_INK, *_PALE])  # which makes it one of mode "P"
    return picture


def _histogram(counts: npt.NDArray[np.int64]) -> Image.Image:
    """Draw the bars, and say in words what bars of a pixel do not show."""
    image = Image.new("RGB", (len(counts), _BARS + _LINE), _PAPER)
    image.paste(bars(counts, _BARS), (0, 0))
    ImageDraw.Draw(image).text((0, _BARS + 3), describe(counts), _INK)
    return image


def describe(counts: npt.NDArray[np.int64]) -> str:
    """Say how the rows are spread over the classes."""
    held = counts[counts > 0]
    if not held.size:
        return "no labels"
    spread = f"{held.min():,}" if held.min() == held.max() else f"{held.min():,} to {held.max():,}"
    rows = "row" if spread == "1" else "rows"
    return f"{len(held):,} of {len(counts):,} classes, {spread} {rows} each, by label 0 to {len(counts) - 1}"
