"""The 1000 ImageNet classes: WordNet id, human name, and their place in both label orders.

Two orders are in use and never agree. ILSVRC's sorts the WordNet ids (0 is tench); ImageNet-1k, SimCLR's subsets and
ImageNetV2 use it. Chrabaszcz et al. kept the order of the development kit's `map_clsloc.txt` (0 is kit fox).

Names are the WordNet lemmas; the two classes called "crane" are told apart, so that all 1000 names are unique.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Order = Literal["ilsvrc", "clsloc"]
COUNT = 1000
TABLE = files(__package__) / "classes.tsv"


@dataclass(frozen=True)
class ImageNetClass:
    """One class. Labels are 0-based."""

    wnid: str
    name: str
    ilsvrc_label: int
    clsloc_label: int

    def label(self, order: Order) -> int:
        """Return its label in that order."""
        return self.ilsvrc_label if order == "ilsvrc" else self.clsloc_label


@cache
def classes() -> tuple[ImageNetClass, ...]:
    """Return the 1000 classes, sorted by WordNet id."""
    with TABLE.open(encoding="utf-8") as lines:
        rows = csv.DictReader(lines, delimiter="\t")
        return tuple(
            ImageNetClass(row["wnid"], row["name"], int(row["ilsvrc_label"]), int(row["clsloc_label"])) for row in rows
        )


@cache
def names(order: Order) -> tuple[str, ...]:
    """Return the 1000 names; the place of a name is its label in that order."""
    return tuple(c.name for c in sorted(classes(), key=lambda c: c.label(order)))


@cache
def wnids(order: Order) -> tuple[str, ...]:
    """Return the 1000 WordNet ids; the place of an id is its label in that order."""
    return tuple(c.wnid for c in sorted(classes(), key=lambda c: c.label(order)))


@cache
def label_of_wnid(order: Order) -> dict[str, int]:
    """Return {WordNet id: label in that order}."""
    return {wnid: label for label, wnid in enumerate(wnids(order))}


def clsloc_to_ilsvrc() -> tuple[int, ...]:
    """Return 1000 labels: item i is the ILSVRC label of the class whose label is i in the order of `map_clsloc.txt`."""
    return tuple(c.ilsvrc_label for c in sorted(classes(), key=lambda c: c.clsloc_label))
