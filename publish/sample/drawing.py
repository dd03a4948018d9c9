"""Pictures drawn by code, many at a time: a class has a palette and a composition, a variation moves both a little.

Per pixel only additions, products, quotients and roots are used: IEEE 754 rounds those alike on every machine, so the
same picture has the same bytes everywhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from loaders import classes

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
Layer = tuple[F32, int]  # a mask [N, H, W] from 0 to 1, and which colour of the palette it lays on
Composition = Callable[["_Canvas"], Iterator[Layer]]

_TRAITS = 16
_BLOCK_BYTES = 1 << 18  # floats of one colour plane worked on at a time: they stay in a core's cache
_SEED = 2012


@dataclass(frozen=True)
class _Canvas:
    """Where to draw: x grows to the right, y downwards, y from -1 to 1; `sharp` is pixels a unit.

    x is [1, 1, W], y is [1, H, 1], and `traits` are numbers from about 0 to 1, [_TRAITS, N, 1, 1].
    """

    x: F32
    y: F32
    sharp: float
    traits: F32

    def mask(self, distance: npt.NDArray[np.floating[Any]]) -> F32:
        """Return 1 where the signed distance to an outline is negative, 0 outside, and a ramp one pixel wide."""
        ramp: F32 = distance.astype(np.float32, copy=False) * np.float32(-self.sharp)
        ramp += np.float32(0.5)
        return np.clip(ramp, 0, 1, out=ramp)

    def radius(self, x: F32, y: F32) -> F32:
        """Return the distance to a point, a point an image."""
        squares = (self.x - x) ** 2 + (self.y - y) ** 2
        return np.sqrt(squares, out=squares)

    def turned(self, turn: F32) -> tuple[F32, F32]:
        """Return x and y turned by an angle: 2 atan(turn)."""
        cosine, sine = (1 - turn**2) / (1 + turn**2), 2 * turn / (1 + turn**2)
        return self.x * cosine + self.y * sine, self.y * cosine - self.x * sine


def draw(labels: npt.NDArray[np.int64], variation: int, width: int, height: int) -> U8:
    """Draw one picture for each ILSVRC label.

    Returns:
        uint8 [N, height, width, 3], RGB. The same label and variation is the same scene at every size.
    """
    pictures = np.empty((len(labels), height, width, 3), np.uint8)
    for number, composition in enumerate(_COMPOSITIONS):
        (chosen,) = np.nonzero(_composition(labels) == number)
        step = max(1, _BLOCK_BYTES // (4 * width * height))
        for start in range(0, len(chosen), step):
            block = chosen[start : start + step]
            pictures[block] = _painted(composition, labels[block], variation, width, height)
    return pictures


def _composition(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    # Neighbouring labels are kindred (dogs, birds): a stride prime to the count gives them unlike pictures.
    return labels * 5 % len(_COMPOSITIONS)


@cache
def _uniform(seed: int) -> F32:
    """Return numbers from 0 to 1, float32 [_TRAITS, classes.COUNT]; the raw stream of PCG64 is the same for ever."""
    raw = np.random.PCG64(seed).random_raw(_TRAITS * classes.COUNT)
    return ((raw >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)).reshape(_TRAITS, classes.COUNT)


def _painted(composition: Composition, labels: npt.NDArray[np.int64], variation: int, width: int, height: int) -> U8:
    own, moved = _uniform(_SEED)[:, labels], _uniform(_SEED + 1 + variation)[:, labels]
    traits = (own + np.float32(0.4) * (moved - np.float32(0.5)))[:, :, None, None]
    sharp = height / 2
    x = ((np.arange(width, dtype=np.float32) - (width - 1) / 2) / np.float32(sharp))[None, None, :]
    y = ((np.arange(height, dtype=np.float32) - (height - 1) / 2) / np.float32(sharp))[None, :, None]
    palette = _palette(labels, own, moved)
    slope = (y + 1) / 2 + (traits[0] - np.float32(0.5)) * x / 2
    image = palette[:, 0, :, None, None] + (palette[:, 1] - palette[:, 0])[:, :, None, None] * slope[:, None]
    change = np.empty_like(image)
    for mask, colour in composition(_Canvas(x, y, sharp, traits)):
        np.subtract(palette[:, colour, :, None, None], image, out=change)
        change *= mask[:, None]
        image += change
    light = np.float32(255) * (1 - np.float32(0.1) * (x**2 + y**2))
    image *= light
    image += np.float32(0.5)
    painted: U8 = np.clip(image, 0, 255, out=image).astype(np.uint8)
    return np.ascontiguousarray(painted.transpose(0, 2, 3, 1))


def _palette(labels: npt.NDArray[np.int64], own: F32, moved: F32) -> F32:
    """Return six colours a picture, float32 [N, 6, 3] from 0 to 1: sky above and below, three to draw with, a light."""
    golden = (labels * 0.6180339887498949 % 1).astype(np.float32)
    hue = golden + np.float32(0.06) * (moved[15] - np.float32(0.5))
    apart = np.float32(0.28) + own[14] / 3
    night = own[13] < np.float32(0.25)
    hues = np.stack([hue, hue + np.float32(0.09), hue + apart, hue + apart * 2, hue + np.float32(0.5), own[2] / 6])
    saturations = np.stack(
        [own[12] / 3 + 0.3, own[11] / 4 + 0.12, own[10] / 3 + 0.55, own[9] / 3 + 0.45, own[8] / 2, own[1] / 3]
    )
    values = np.stack([own[7] / 5 + 0.7, own[6] / 10 + 0.9, own[5] / 4 + 0.7, own[4] / 4 + 0.45, own[3] / 4 + 0.15])
    values = np.where(night, 1.08 - values, values)
    values = np.concatenate([values, np.ones_like(values[:1])]) + (moved[14] - 0.5) / 10
    wheel = np.clip(abs((hues[..., None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    colours = values[..., None] * (1 - saturations[..., None] * (1 - wheel))
    palette: F32 = np.clip(colours, 0, 1).astype(np.float32).transpose(1, 0, 2)
    return palette


def _wave(phase: F32) -> F32:
    """Return a smooth wave from -1 to 1 with period 1, made of parabolas."""
    saw = 2 * (phase - np.floor(phase)) - 1
    waved: F32 = 4 * saw * (1 - abs(saw))
    return waved


def _hills(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    yield c.mask(c.radius(1.4 * t[1] - 0.7, 0.5 * t[2] - 0.75) - (0.15 + t[3] / 5)), 5
    for layer, colour in enumerate((3, 2, 4)):
        crest = _wave(c.x * (0.3 + t[4 + layer] / 3) + t[7 + layer]) + _wave(c.x * (0.9 + t[5]) + t[9 + layer]) / 4
        yield c.mask(0.1 + 0.32 * layer - (0.3 - 0.06 * layer) * crest - c.y), colour


def _discs(c: _Canvas) -> Iterator[Layer]:
    for n, colour in enumerate((3, 2, 4, 2, 1)):
        x, y = 1.8 * c.traits[2 * n + 1] - 0.9, 1.5 * c.traits[2 * n + 2] - 0.75
        yield c.mask(c.radius(x, y) - (0.5 - 0.08 * n) * (0.6 + c.traits[11] / 2)), colour


def _rings(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    radius, pitch = c.radius(t[1] - 0.5, t[2] - 0.5), 0.22 + t[3] / 5
    yield c.mask(radius - 3.5 * pitch), 1
    cell = radius / pitch + t[4] / 2
    yield c.mask((abs(cell - np.floor(cell) - 0.5) - 0.25) * pitch) * c.mask(radius - 3 * pitch), 2
    yield c.mask(radius - 0.6 * pitch), 4


def _stripes(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    across, along = c.turned(2 * t[1] - 1)
    pitch = 0.3 + t[2] / 3
    cell = across / pitch + t[3]
    yield c.mask((abs(cell - np.floor(cell) - 0.5) - 0.12 - t[4] / 5) * pitch), 2
    yield c.mask(abs(along + 0.6 * t[5] - 0.3) - 0.12 - t[6] / 6), 3
    yield c.mask(c.radius(t[7] - 0.5, t[8] - 0.5) - 0.2 - t[9] / 4), 4


def _flower(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    x, y = 0.5 * t[1] - 0.25, 0.5 * t[2] - 0.25
    radius = c.radius(x, y)
    turn = t[3] - 0.5
    cosine = ((c.x - x) * (1 - turn**2) + (c.y - y) * 2 * turn) / ((1 + turn**2) * (radius + np.float32(1e-3)))
    square = cosine * cosine
    five = cosine * (square * (16 * square - 20) + 5)  # cos 5a and cos 6a by cos a: Chebyshev's polynomials
    six = square * (square * (32 * square - 48) + 18) - 1
    petals = np.where(t[4] < 0.5, five, six) * np.float32(0.22)
    yield c.mask(abs(c.x - x) - 0.05) * c.mask(y - c.y), 3
    yield c.mask(radius - (0.75 + t[5] / 5) * (0.75 + petals)), 2
    yield c.mask(radius - (0.45 + t[5] / 6) * (0.75 - petals)), 3
    yield c.mask(radius - 0.14 - t[6] / 8), 4


def _skyline(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    yield c.mask(c.radius(1.6 * t[1] - 0.8, 0.4 * t[2] - 0.7) - 0.18), 5
    for n in range(5):
        left, top = n * 0.52 - 1.35 + t[3 + n] / 4, 0.5 - 1.1 * t[8 + n]
        wall = c.mask(abs(c.x - left - 0.2) - 0.16 - t[4 + n] / 9) * c.mask(top - c.y)
        yield wall, 2 + n % 2
        windows = c.mask(abs((c.x - left) * 9 % 1 - 0.5) / 9 - 0.03) * c.mask(abs((c.y - top) * 6 % 1 - 0.5) / 6 - 0.04)
        yield wall * windows, 1


def _sea(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    sun, horizon = t[1] - 0.5, 0.4 * t[2] - 0.1
    yield c.mask(c.radius(sun, horizon - 0.1 - t[3] / 3) - 0.3 - t[4] / 6), 5
    yield c.mask(horizon - c.y) + np.zeros_like(c.x), 3
    ripple = (c.y - horizon) * 5
    glints = c.mask(abs(ripple - np.floor(ripple) - 0.5) / 5 - 0.05) * c.mask(horizon + 0.05 - c.y)
    yield glints * c.mask(abs(c.x - sun) - 0.12 - abs(c.y - horizon) / 2), 1
    mast, deck = 1.2 * t[5] - 0.6, horizon + 0.25 + t[6] / 4
    sail = np.maximum(abs(c.x - mast) * 1.4 + (deck - 0.75 - c.y) * 0.55, c.y - deck + 0.06)
    yield c.mask(sail), 2
    hull = np.maximum(abs(c.x - mast) + (c.y - deck) - 0.4, abs(c.y - deck - 0.06) - 0.09)
    yield c.mask(hull), 1


def _tiles(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    u, v = c.turned(t[1])
    count = 0.7 + t[2]
    weave = _wave(u * count + t[3]) * _wave(v * count + t[4])
    for level, colour in ((0.06, 2), (0.3, 3), (0.6, 4)):
        yield c.mask((level - weave) / (4 * count)), colour
    yield c.mask((weave + 0.25) / (4 * count)), 1


def _gem(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    u, v = c.turned(t[1] - 0.5)
    u, v = abs(u - 0.3 * t[2] + 0.15), abs(v - 0.3 * t[3] + 0.15)
    sides = np.where(t[4] < 0.5, np.maximum(u * 0.866 + v * 0.5, v), np.maximum(np.maximum(u, v), (u + v) * 0.7071))
    for size, colour in ((0.85, 4), (0.76, 2), (0.5, 3), (0.24, 1)):
        yield c.mask(sides - size * (0.8 + t[5] / 4)), colour


def _bands(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    level = c.y + (0.12 + t[1] / 4) * _wave(c.x * (0.35 + t[2] / 2) + t[3])
    for n, colour in enumerate((2, 3, 1, 4)):
        yield c.mask((n * 0.4 - 0.6 + t[4 + n] / 4) - level), colour
    yield c.mask(c.radius(1.4 * t[8] - 0.7, t[9] / 2 - 0.8) - 0.12 - t[10] / 8), 5


def _tree(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    x, ground = t[1] - 0.5, 0.55 + t[2] / 4
    yield c.mask(ground + _wave(c.x * 0.4 + t[3]) / 12 - c.y), 3
    yield c.mask(abs(c.x - x) - 0.06 - c.y / 30) * c.mask(abs(c.y - ground / 2) - ground / 2 - 0.1), 4
    for n in range(4):
        crown = c.radius(x + 0.7 * t[4 + n] - 0.35, -0.05 - 0.65 * t[8 + n])
        yield c.mask(crown - 0.25 - t[12] / 5), 2
    yield c.mask(c.radius(x + t[4] / 2 - 0.25, -0.2 - t[8] / 2) - 0.08), 1


def _peaks(c: _Canvas) -> Iterator[Layer]:
    t = c.traits
    yield c.mask(c.radius(1.6 * t[1] - 0.8, 0.4 * t[2] - 0.75) - 0.2), 5
    for n, colour in enumerate((3, 2)):
        x, top = 1.7 * t[3 + n] - 0.85, t[5 + n] / 2 - 0.6 + 0.3 * n
        slope = abs(c.x - x) * 0.65 - (c.y - top) * 0.6
        yield c.mask(slope), colour
        yield c.mask(np.maximum(slope, (c.y - top - 0.3 - _wave(c.x * 3 + t[8]) / 12) * 0.8)), 1
    yield c.mask(0.7 + t[9] / 8 + _wave(c.x * 0.5 + t[7]) / 10 - c.y), 4


_COMPOSITIONS: tuple[Composition, ...] = (
    *(_hills, _rings, _flower, _skyline, _gem, _bands),
    *(_sea, _discs, _stripes, _tree, _tiles, _peaks),
)
