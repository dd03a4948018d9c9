"""A contact sheet of small pictures above the histogram of their classes, drawn with Pillow alone."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

_GAP, _MARGIN, _BARS, _LINE = 2, 12, 160, 16  # pixels
_SMALLEST, _LARGEST = 32, 64  # pixels of a picture on the sheet
_PAPER, _INK, _PALE = (255, 255, 255), (40, 60, 120), (200, 200, 200)


def draw(title: str, pictures: Sequence[Image.Image], counts: npt.NDArray[np.int64] | None) -> Image.Image:
    """Return the sheet; `counts` is rows by class, int64 [1000], or None where nothing is labelled."""
    sheet = _contact(pictures)
    bars = _histogram(counts) if counts is not None else Image.new("RGB", (0, 0))
    width = max(sheet.width, bars.width) + 2 * _MARGIN
    page = Image.new("RGB", (width, sheet.height + bars.height + 3 * _MARGIN + _LINE), _PAPER)
    ImageDraw.Draw(page).text((_MARGIN, _MARGIN), title, _INK)
    page.paste(sheet, (_MARGIN, _MARGIN + _LINE))
    page.paste(bars, (_MARGIN, 2 * _MARGIN + _LINE + sheet.height))
    return page


def _contact(pictures: Sequence[Image.Image]) -> Image.Image:
    cells = [_cell(picture) for picture in pictures]
    columns = math.ceil(math.sqrt(len(cells)))
    step = max((max(cell.size) for cell in cells), default=0) + _GAP
    sheet = Image.new("RGB", (columns * step, -(-len(cells) // max(columns, 1)) * step), _PAPER)
    for place, cell in enumerate(cells):
        sheet.paste(cell, (place % columns * step, place // columns * step))
    return sheet


def _cell(picture: Image.Image) -> Image.Image:
    """Return a picture as it is when it fits; a smaller one with each pixel made a square, a larger one shrunk."""
    if max(picture.size) > _LARGEST:
        return ImageOps.contain(picture, (_LARGEST, _LARGEST))
    times = max(1, _SMALLEST // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _histogram(counts: npt.NDArray[np.int64]) -> Image.Image:
    """Draw a bar of one pixel a class, and say in words what bars of a pixel do not show."""
    image = Image.new("RGB", (len(counts), _BARS + _LINE), _PAPER)
    pen = ImageDraw.Draw(image)
    most = int(counts.max(initial=1))
    for label, count in enumerate(counts.tolist()):
        pen.line([(label, _BARS), (label, _BARS - count * (_BARS - 1) // max(most, 1))], _INK if count else _PALE)
    pen.text((0, _BARS + 3), describe(counts), _INK)
    return image


def describe(counts: npt.NDArray[np.int64]) -> str:
    """Say how the rows are spread over the classes."""
    held = counts[counts > 0]
    if not held.size:
        return "no labels"
    spread = f"{held.min():,}" if held.min() == held.max() else f"{held.min():,} to {held.max():,}"
    return f"{len(held):,} of {len(counts):,} classes, {spread} rows each, by label 0 to {len(counts) - 1}"
