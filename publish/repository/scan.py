"""What reading a split by page takes: known from the footers and offset indexes of its shards, no row is read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from publish.console.exits import discreet
from publish.repository.contents import Contents
from publish.repository.pages import NotParquet, Pages

PAGE_ROWS = 100  # of the Hub's viewer
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """A Parquet file: rows, bytes uncompressed, features by column, and what is wrong with its footer.

    `pages` has (first rows, bytes of the pages, bytes of the dictionary) of each column.
    """

    path: str
    rows: int = 0
    uncompressed: int = 0
    features: Mapping[str, Any] | None = None
    pages: Sequence[tuple[I64, I64, int]] = ()
    faults: Sequence[str] = ()
    is_readable: bool = True

    def scanned(self, first: I64, last: I64) -> I64:
        """Return the bytes that are read of this file for its rows `first` to `last`, int64 [n]."""
        total = np.zeros(len(first), np.int64)
        for first_row, sizes, dictionary in self.pages:
            ends = np.append(0, np.cumsum(sizes))
            begin, end = (np.searchsorted(first_row, rows, side="right") for rows in (first, last))
            total += ends[end] - ends[begin - 1] + dictionary
        return total


@dataclass(frozen=True)
class Split:
    """A split of the card: its pattern, and the shards that match it in the order of their names."""

    config: str
    name: str
    pattern: str
    shards: Sequence[Shard]

    @property
    def rows(self) -> int:
        """The rows of all shards."""
        return sum(shard.rows for shard in self.shards)

    def most_scanned(self) -> int:
        """Return the most bytes of one file that a page of 100 rows reads."""
        most, begin = 0, 0
        for shard in self.shards:
            first = np.arange(-(begin % PAGE_ROWS), shard.rows, PAGE_ROWS)  # a page may begin in the file before
            last = np.minimum(first + PAGE_ROWS, shard.rows) - 1
            most = max(most, int(shard.scanned(np.maximum(first, 0), last).max(initial=0)))
            begin += shard.rows
        return most

    def rows_within(self, limit: int) -> int:
        """Return the rows of the first files, up to the one whose uncompressed bytes pass the limit."""
        before = np.cumsum([0, *(shard.uncompressed for shard in self.shards)])[:-1]
        return sum(shard.rows for shard, size in zip(self.shards, before, strict=True) if size <= limit)


class Footers:
    """The shards of a repository, each read once: configs may share some."""

    def __init__(self, contents: Contents) -> None:
        self._contents, self._sizes = contents, contents.sizes()
        self._shards: dict[str, Shard] = {}

    def split(self, config: str, name: str, pattern: str) -> Split:
        """Return a split with the shards that match its pattern, as `datasets` matches it."""
        words = {r"\*\*": ".*", r"\*": "[^/]*", r"\?": "[^/]"}
        expression = re.sub(r"\\\*\\\*|\\\*|\\\?", lambda found: words[found[0]], re.escape(pattern))
        paths = sorted(path for path in self._sizes if re.fullmatch(expression, path))
        return Split(config, name, pattern, [self._shard(path) for path in paths])

    def _shard(self, path: str) -> Shard:
        if path not in self._shards:
            self._shards[path] = self._opened(path)
        return self._shards[path]

    def _opened(self, path: str) -> Shard:
        try:
            with self._contents.open(path) as file:
                return _parsed(path, file, self._sizes[path])
        except (OSError, ValueError) as error:  # of pyarrow: ArrowInvalid is a ValueError
            if self._contents.is_passing(error):
                raise
            return Shard(path, faults=[f"{path}: cannot be read as Parquet ({discreet(error)})"], is_readable=False)


def _parsed(path: str, file: Any, size: int) -> Shard:
    footer = pq.read_metadata(file)
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    uncompressed = sum(group.total_byte_size for group in groups)
    try:
        pages = Pages(lambda spans: [_bytes(file, *span) for span in spans], size)
        columns = [(c.first_row, c.bytes, _length(c.dictionary)) for c in pages.columns.values()]
        faults = list(_key_faults(path, pages, footer.schema.to_arrow_schema().names))
        return Shard(path, footer.num_rows, uncompressed, pages.features, columns, faults)
    except NotParquet as error:
        chunks = sum(group.column(i).total_compressed_size for group in groups for i in range(group.num_columns))
        whole = [(np.zeros(1, np.int64), np.array([chunks]), 0)]  # all of it, where no page can be found
        return Shard(path, footer.num_rows, uncompressed, None, whole, [f"{path}: {error}"])


def _bytes(file: Any, begin: int, end: int) -> bytes:
    file.seek(begin)
    return bytes(file.read(end - begin))


def _length(span: tuple[int, int] | None) -> int:
    return span[1] - span[0] if span else 0


def _key_faults(path: str, pages: Pages, columns: Sequence[str]) -> Iterator[str]:
    if (count := pages.key_names.count("huggingface")) != 1:
        yield f"{path}: expected one `huggingface` key in its footer, found {count}"
    elif list(pages.features) != list(columns):
        yield f"{path}: expected features of the columns {list(columns)}, found {list(pages.features)}"
