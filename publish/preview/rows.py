"""Rows of a split, read by page from whichever shards they lie in, and the rows of each class."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from loaders import Problem
from publish.manifest import ShardEntry, SplitEntry
from publish.repository.contents import Contents
from publish.repository.pages import NotParquet, Pages

I64 = npt.NDArray[np.int64]
_AT_ONCE = 8  # shards whose labels are read at the same time: what takes long on the Hub is waiting


@dataclass(frozen=True)
class Row:
    """A row: its number in the split, from 0, and its values; `texts` are its columns of strings."""

    number: int
    image: bytes | None
    label: int | None
    texts: dict[str, str]


class Split:
    """The rows of a split, whose shards are opened when one of their rows is asked for.

    All it does raises Problem for a shard that is damaged or missing.
    """

    def __init__(self, contents: Contents, entry: SplitEntry) -> None:
        self._contents, self._shards = contents, entry.shards
        self._begins = np.cumsum([0, *(shard.rows for shard in entry.shards)])
        self._pages: dict[ShardEntry, Pages] = {}
        self.rows = entry.rows

    @cached_property
    def classes(self) -> list[str]:
        """The names of the labels, as the first shard has them; none where there are no labels."""
        with self._of(self._shards[0]) as pages:
            return list(pages.features.get("label", {}).get("names", []))

    def read(self, numbers: I64) -> list[Row]:
        """Return rows by their numbers, int64 [n], which rise."""
        found: list[Row] = []
        shards = np.searchsorted(self._begins, numbers, side="right") - 1
        for shard in np.unique(shards):
            within = numbers[shards == shard] - self._begins[shard]
            found += self._read(self._shards[shard], within, int(self._begins[shard]))
        return found

    def _read(self, shard: ShardEntry, within: I64, begin: int) -> list[Row]:
        with self._of(shard) as pages:
            paths = [path for path in pages.columns if path not in ("image.bytes", "image.path", "label")]
            columns = {path: pages.take(path, within).to_pylist() for path in pages.columns if path != "image.path"}
        texts = [{path: str(columns[path][i]) for path in paths} for i in range(len(within))]
        nothing = [None] * len(within)
        values = zip(within, columns.get("image.bytes", nothing), columns.get("label", nothing), texts, strict=True)
        return [Row(begin + int(number), *rest) for number, *rest in values]

    def of_class(self, label: int) -> I64:
        """Return the numbers of the rows of a class, int64 [n], which rise. Reads all labels, once."""
        order, begins = self._by_class
        return order[begins[label] : begins[label + 1]]

    @cached_property
    def _by_class(self) -> tuple[I64, I64]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            labels = np.concatenate(list(pool.map(self._labels, self._shards)))
        order = np.argsort(labels, kind="stable")
        return order, np.searchsorted(labels[order], np.arange(len(self.classes) + 1))

    def _labels(self, shard: ShardEntry) -> npt.NDArray[np.int16]:
        with self._of(shard) as pages:
            labels: Any = pages.take("label", np.arange(shard.rows)).to_numpy(zero_copy_only=False)
        return np.asarray(labels, np.int16)  # which sort by radix, 10 times as fast as wider ones

    @contextmanager
    def _of(self, shard: ShardEntry) -> Iterator[Pages]:
        """Give the pages of a shard; an error in it is that of the shard."""
        try:
            if shard not in self._pages:
                self._pages[shard] = self._opened(shard)
            yield self._pages[shard]
        except (OSError, NotParquet) as error:
            why = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
            raise Problem(
                f"{shard.path}: cannot be read: {why}. If it was built anew meanwhile, load this page again; else "
                f"`python -m publish.check {self._contents.name}` says what is wrong."
            ) from error

    def _opened(self, shard: ShardEntry) -> Pages:
        pages = Pages(lambda spans: self._contents.spans(shard.path, spans), shard.bytes)
        if pages.rows != shard.rows:
            raise NotParquet(f"expected {shard.rows:,} rows, as the manifest says, found {pages.rows:,}")
        return pages
