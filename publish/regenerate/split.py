"""A split on its way: its photographs, their order, and what came of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from loaders.formats.photos import I64, Photos
from loaders.images.jpeg import Damage

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """A split on its way: row r of its spill is photograph `order[r]`; `left_out` says why rows are not used.

    `damage` has the rows that are used although libjpeg warns about them. `stamps` are those of its chunks'
    photographs, by number.
    """

    photos: Photos
    order: I64
    left_out: dict[int, str] = field(default_factory=dict)
    damage: dict[int, Damage] = field(default_factory=dict)
    stamps: dict[int, str] = field(default_factory=dict)
    sums: dict[int, I64] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The rows that are used."""
        return len(self.photos) - len(self.left_out)

    def unreadable(self) -> dict[str, str]:
        """Return {file name: why it could not be decoded}."""
        return self._by_name(self.left_out)

    def damaged(self) -> dict[str, Damage]:
        """Return {file name: what libjpeg warned about}."""
        return self._by_name(self.damage)

    def _by_name(self, rows: Mapping[int, T]) -> dict[str, T]:
        return {self.photos.names[self.order[row]].decode(): told for row, told in sorted(rows.items())}


def order_of(split: str, photos: Photos, seed: int) -> I64:
    """Return which photograph comes at each place: shuffled train, validation by name, in whatever order they are.

    Of the bit generator alone, whose numbers NumPy promises never to change; those of its methods it may.
    """
    by_name = np.argsort(photos.names, kind="stable")
    if split == "validation":
        return by_name
    return by_name[np.argsort(np.random.PCG64(seed).random_raw(len(photos)), kind="stable")]
