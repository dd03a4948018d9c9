"""Rows of a split, read from whichever shards they lie in by a process of its own, and the rows of each class."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from loaders import Problem
from publish.console.progress import megabytes
from publish.manifest import ShardEntry, SplitEntry
from publish.preview.image import Shown
from publish.preview.reader import Budget, NotRead, Reader
from publish.repository.contents import Contents

I64 = npt.NDArray[np.int64]
MOST_BYTES = 1_000_000_000  # of a shard; ours have up to 153 MB
MOST_FILTERED, MOST_SHARDS = 5_000_000, 2_000  # rows and shards of a split whose classes can be chosen
_MOST_ROWS = 1 << 40  # of a split: numbers of rows are int64
_AT_ONCE = 8  # shards whose labels are read at the same time: what takes long on the Hub is waiting
_TAIL = 128 << 10  # bytes: a footer of ours is 59 KB, most of it the names of the classes
_SPAN = 16 << 20  # bytes asked for at once, at most
_SPANS = 8  # spans of a shard that its labels may take: the footer, the rest of it, the column


@dataclass(frozen=True)
class Row:
    """A row: its number in the split, from 0, its label and its other values as text.

    `image` is what is shown of its image; where there is none, `why` says why.
    """

    number: int
    image: Shown | None
    label: int | None
    texts: dict[str, str]
    why: str = ""


@dataclass(frozen=True)
class Page:
    """Rows, and what is to be told of them."""

    rows: list[Row]
    notes: list[str]


class Split:
    """The rows of a split, whose shards are read when one of their rows is asked for.

    All it does raises Problem for a shard that is damaged, missing, or more than the preview reads.
    """

    def __init__(self, contents: Contents, entry: SplitEntry, reader: Reader) -> None:
        if entry.rows > _MOST_ROWS:
            raise Problem(f"The manifest claims {entry.rows:,} rows of a split: it is damaged, or made to be too much.")
        self._contents, self._shards, self._reader = contents, entry.shards, reader
        self._begins = np.cumsum([0, *(shard.rows for shard in entry.shards)])
        self.rows = entry.rows

    @cached_property
    def classes(self) -> list[str]:
        """The names of the labels, as the first shard has them; none where there are no labels."""
        head = self._of(self._shards[0], Budget(self._reader), {"what": "names"})
        return [str(name) for name in head["names"]]

    def read(self, numbers: I64) -> Page:
        """Return rows by their numbers, int64 [n], which rise."""
        found, budget = Page([], []), Budget(self._reader)
        shards = np.searchsorted(self._begins, numbers, side="right") - 1
        for shard in np.unique(shards):
            begin = int(self._begins[shard])
            within = (numbers[shards == shard] - begin).tolist()
            head = self._of(self._shards[shard], budget, {"what": "rows", "numbers": within})
            found.rows.extend(_row(begin + number, row) for number, row in zip(within, head["rows"], strict=True))
            found.notes.extend(note for note in head["notes"] if note not in found.notes)
        return found

    def _of(self, shard: ShardEntry, budget: Budget, request: dict[str, Any]) -> dict[str, Any]:
        with self._naming(shard):
            if shard.bytes > MOST_BYTES:
                raise NotRead(f"it has {megabytes(shard.bytes)}, and the preview reads up to {megabytes(MOST_BYTES)}")
            path = self._contents.local(shard.path)
            return budget.ask(request | {"path": str(path), "rows": shard.rows})[0]

    def of_class(self, label: int) -> I64:
        """Return the numbers of the rows of a class, int64 [n], which rise. Reads all labels, once."""
        order, begins = self._by_class
        return order[begins[label] : begins[label + 1]]

    @cached_property
    def _by_class(self) -> tuple[I64, I64]:
        if self.rows > MOST_FILTERED or len(self._shards) > MOST_SHARDS:
            raise Problem(
                f"The rows of a class are looked for in splits of up to {MOST_FILTERED:,} rows and {MOST_SHARDS:,} "
                f"shards; this one has {self.rows:,} and {len(self._shards):,}."
            )
        budget = Budget(self._reader)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            labels = np.concatenate(list(pool.map(lambda shard: self._labels(shard, budget), self._shards)))
        order = np.argsort(labels, kind="stable")  # int16, which sort by radix, 10 times as fast as wider ones
        return order, np.searchsorted(labels[order], np.arange(len(self.classes) + 1))

    def _labels(self, shard: ShardEntry, budget: Budget) -> npt.NDArray[np.int16]:
        """Return the labels of a shard, of which nothing else is read, or fetched from the Hub."""
        spans, parts = [(max(0, shard.bytes - _TAIL), shard.bytes)], []
        with self._naming(shard):
            for _ in range(_SPANS):
                parts.append(self._contents.span(shard.path, *spans[-1]))
                request = {"what": "labels", "size": shard.bytes, "rows": shard.rows, "spans": spans}
                head, body = budget.ask(request, b"".join(parts))
                if "missing" not in head:
                    return np.frombuffer(body, np.int16)
                spans.append(_span(head["missing"], shard.bytes))
            raise NotRead("its column of labels lies in too many places")

    @contextmanager
    def _naming(self, shard: ShardEntry) -> Iterator[None]:
        """Let an error in a shard be a Problem that names it."""
        try:
            yield
        except (OSError, NotRead) as error:
            why = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
            raise Problem(
                f"{shard.path}: cannot be read: {why}. If it was built anew meanwhile, load this page again; else "
                f"`python -m publish.check {self._contents.name}` says what is wrong."
            ) from error


def _span(found: Any, size: int) -> tuple[int, int]:
    begin, end = int(found[0]), int(found[1])
    if not 0 <= begin < end <= size or end - begin > _SPAN:
        raise NotRead(f"its footer points to the bytes {begin:,} to {end:,} of {size:,}")
    return begin, end


def _row(number: int, found: dict[str, Any]) -> Row:
    image = Shown(**found["image"]) if found.get("image") else None
    label = None if found["label"] is None else int(found["label"])
    return Row(number, image, label, {str(k): str(v) for k, v in found["texts"].items()}, str(found.get("why", "")))
