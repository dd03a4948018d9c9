"""What batches of Chrabaszcz et al. tell before their pixels are read: how many rows, and which photographs these are.

Photographs are told by names in the batches, as `publish.regenerate` makes them, or by the order of validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from loaders import classes
from loaders._errors import SourceProblem
from loaders.base.dataset import Named
from loaders.formats.batches import BatchFile, open_batch
from loaders.ilsvrc import layout

_COMPARED = 16  # pictures: no two batches start with the same ones


@dataclass(frozen=True)
class Head:
    """A batch: its labels, int64 [N], and the file names of its photographs, bytes [N], if it has any."""

    file: BatchFile
    labels: npt.NDArray[np.int64]
    names: npt.NDArray[np.bytes_] | None

    @property
    def rows(self) -> int:
        """The rows of the batch."""
        return len(self.labels)


@dataclass(frozen=True)
class Heads:
    """The batches of a split in the order of their numbers."""

    split: str
    each: Sequence[Head]

    @property
    def files(self) -> list[BatchFile]:
        """Where they are."""
        return [head.file for head in self.each]

    @property
    def rows(self) -> list[int]:
        """The rows of each."""
        return [head.rows for head in self.each]

    @property
    def named(self) -> int:
        """The rows that have file names."""
        return sum(head.rows for head in self.each if head.names is not None)

    @cached_property
    def by_row(self) -> Named:
        """Say "row" when labels are those of all of ILSVRC's validation photographs by file name.

        They are 50,000, of 1000 classes in no order: rows that have them stand in the order of the names.
        """
        if self.split != "validation" or sum(self.rows) != layout.COUNTS["validation"]:
            return ""
        clsloc = np.argsort(classes.clsloc_to_ilsvrc())  # ILSVRC's label -> the authors'
        labels = np.concatenate([head.labels for head in self.each])
        return "row" if np.array_equal(labels, clsloc[layout.validation_labels()]) else ""


def heads(split: str, files: Sequence[BatchFile], size: int) -> Heads:
    """Open batches. Raises SourceProblem when two are the same, by labels and first pictures."""
    known: dict[tuple[bytes, bytes], BatchFile] = {}
    found = []
    for file in files:
        batch = open_batch(file, size)
        content = (batch.labels.tobytes(), batch.read(0, min(batch.rows, _COMPARED)).tobytes())
        if batch.rows and (same := known.setdefault(content, file)) is not file:
            raise SourceProblem(
                f"{file}: is {same} under another name, expected another batch. Was one copied over the other? "
                "Download it again."
            )
        found.append(Head(file, batch.labels, batch.file_names))
    return Heads(split, found)


def are_named(splits: Sequence[Heads], partial: bool) -> bool:
    """Say whether the batches of all splits have file names: `datasets` loads no splits whose columns differ.

    Raises SourceProblem when only some have, unless `partial`; also for a name that a split has twice.
    """
    every = [head for split in splits for head in split.each]
    without = [head.file for head in every if head.names is None]
    named = [head.file for head in every if head.names is not None]
    if named and without and not partial:
        raise SourceProblem(
            f"{named[0]}: has the file names of its rows, and {without[0]} has none. `datasets` loads no splits whose "
            "columns differ: regenerate all of the config with python -m publish.regenerate, take all of it from "
            "upstream, or pass --allow-partial (allow_partial=True) to build it without file names."
        )
    if without:
        return False
    for split in splits:
        _check_unique(split.each)
    return True


def _check_unique(batches: Sequence[Head]) -> None:
    names = np.sort(np.concatenate([head.names for head in batches if head.names is not None]))
    if (twice := names[1:][names[1:] == names[:-1]]).size:
        where = [head.file for head in batches if head.names is not None and twice[0] in head.names]
        raise SourceProblem(
            f"{where[-1]}: names {twice[0].decode()}, which stands in {where[0]} already. Was a batch of another "
            "regeneration put among these? Make them anew."
        )
