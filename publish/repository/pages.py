"""Rows of a Parquet file read by page, by its offset index, so that a far row costs no more than the first.

pyarrow reads whole column chunks, and so do Polars 2.1 and DuckDB 2.0: of a shard of 59 MB each reads 59 MB for a
hundred rows. The Hub's own viewer goes by the offset index, and so does this: it finds the pages of the wanted rows,
and hands pyarrow a small file of those pages alone, under the large one's own footer with the counts and places put
right. What the pages hold, and how, stays pyarrow's to know.

The structs: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from loaders.images.arrow import PARQUET_ERRORS
from publish.repository import thrift
from publish.repository.thrift import Struct, Value, Values

Read = Callable[[Sequence[tuple[int, int]]], list[bytes]]  # the bytes of spans: (first byte, byte after the last)
I64 = npt.NDArray[np.int64]
_MAGIC = b"PAR1"
_TAIL = (
    256 << 10
)  # bytes: a footer of ours is 59 KB, most of it the names of the classes, and its indexes lie before it
_ROWS, _GROUPS, _KEYS = 3, 4, 5  # fields of FileMetaData
_COLUMNS, _GROUP_ROWS = 1, 3  # of RowGroup
_CHUNK, _INDEX_AT, _INDEX_BYTES = 3, 4, 5  # of ColumnChunk
_PATH, _VALUES, _BYTES, _DATA_AT, _DICTIONARY_AT = 3, 5, 7, 9, 11  # of ColumnMetaData
_PAGES, _PAGE_AT, _PAGE_BYTES, _PAGE_ROW = 1, 1, 2, 3  # of OffsetIndex and PageLocation


class NotParquet(ValueError):
    """The bytes are not those of a Parquet file with one row group and an offset index."""


@dataclass(frozen=True)
class Column:
    """Where the pages of a column lie: first byte, bytes and first row of each, int64 [pages]; a dictionary's span."""

    number: int
    at: I64
    bytes: I64
    first_row: I64
    dictionary: tuple[int, int] | None


class Pages:
    """A Parquet file of flat columns, its footer read. `read` returns the bytes of spans, `size` is that of the file.

    All it does raises NotParquet, or what `read` raises.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read, self._size = read, size
        self._tail_at = max(0, size - _TAIL)
        (self._tail,) = read([(self._tail_at, size)])
        with _refusing("footer"):
            self._footer = self._read_footer()
            self.rows = int(self._footer[_ROWS].value)

    def _read_footer(self) -> Struct:
        if self._tail[-4:] != _MAGIC or self._size < 12:
            raise NotParquet("its last four bytes are not PAR1: it was cut off, or is no Parquet file")
        size = int.from_bytes(self._tail[-8:-4], "little")
        footer = thrift.Reader(self._bytes([(self._size - 8 - size, self._size - 8)])[0]).struct()
        if len(groups := footer[_GROUPS].value.values) != 1:
            raise NotParquet(f"expected one row group, found {len(groups)}")
        return footer

    def _bytes(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return spans, those at the end of the file from what was read with the footer."""
        if any(begin < 0 or end > self._size or begin > end for begin, end in spans):
            raise NotParquet("its footer points outside of the file")
        if all(begin >= self._tail_at for begin, _ in spans):
            return [self._tail[begin - self._tail_at : end - self._tail_at] for begin, end in spans]
        return self._read(spans)

    @property
    def _group(self) -> Struct:
        group: Struct = self._footer[_GROUPS].value.values[0]
        return group

    @cached_property
    def keys(self) -> dict[str, str]:
        """The key-value metadata."""
        return {str(pair[1].value, "utf-8"): str(pair[2].value, "utf-8") for pair in self._pairs if 2 in pair}

    @property
    def key_names(self) -> list[str]:
        """The names of the keys as they stand there; pyarrow hides that one is there twice."""
        return [str(pair[1].value, "utf-8") for pair in self._pairs]

    @property
    def _pairs(self) -> list[Struct]:
        return self._footer[_KEYS].value.values if _KEYS in self._footer else []

    @cached_property
    def features(self) -> dict[str, Any]:
        """The features that `datasets` wrote, by column."""
        with _refusing("features"):
            features: dict[str, Any] = (
                json.loads(self.keys.get("huggingface", "{}")).get("info", {}).get("features", {})
            )
            return features

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Every column by its path, such as `image.bytes`."""
        with _refusing("offset index"):
            chunks = self._group[_COLUMNS].value.values
            if any(_INDEX_AT not in chunk for chunk in chunks):
                raise NotParquet("it has no offset index, so its rows cannot be read by page")
            spans = [(chunk[_INDEX_AT].value, chunk[_INDEX_AT].value + chunk[_INDEX_BYTES].value) for chunk in chunks]
            found = zip(chunks, self._bytes(spans), strict=True)
            return {_path(chunk): _column(number, chunk, index) for number, (chunk, index) in enumerate(found)}

    def take(self, path: str, rows: I64) -> pa.Array:
        """Return the values of a column in rows, int64 [n > 0] in rising order, reading only the pages they lie on."""
        column = self.columns[path]
        page_of = np.searchsorted(column.first_row, rows, side="right") - 1
        pages, which = np.unique(page_of, return_inverse=True)
        counts = np.diff(column.first_row, append=self.rows)[pages]
        left_out = column.first_row[pages] - np.append(0, np.cumsum(counts)[:-1])  # rows before the page, not read
        with _refusing(f"column {path}"):
            return self._cut(path, column, pages, int(counts.sum())).take(pa.array(rows - left_out[which]))

    def _cut(self, path: str, column: Column, pages: I64, rows: int) -> pa.Array:
        """Return all values of some pages, from a file of these pages alone."""
        begins, ends = column.at[pages].tolist(), (column.at + column.bytes)[pages].tolist()
        dictionary = [column.dictionary] if column.dictionary else []
        parts = self._bytes([*dictionary, *merged(list(zip(begins, ends, strict=True)))])
        body = b"".join([_MAGIC, *parts])
        footer = thrift.dump(self._footer_of(column, rows, len(body), len(parts[0]) if dictionary else 0))
        file = b"".join([body, footer, struct.pack("<I", len(footer)), _MAGIC])
        try:
            table = pq.ParquetFile(pa.BufferReader(file)).read(columns=[path], use_threads=False)
        except PARQUET_ERRORS as error:  # of pyarrow over bytes in memory: not of reading them
            raise NotParquet(f"its column {path} cannot be read ({error})") from error
        return _leaf(table.column(0).combine_chunks())

    def _footer_of(self, column: Column, rows: int, end: int, dictionary: int) -> Struct:
        old = self._group[_COLUMNS].value.values[column.number][_CHUNK].value
        chunk = old | {
            _VALUES: Value(thrift.I64, rows),
            _BYTES: Value(thrift.I64, end - len(_MAGIC)),
            _DATA_AT: Value(thrift.I64, len(_MAGIC) + dictionary),
        }
        chunk |= {_DICTIONARY_AT: Value(thrift.I64, len(_MAGIC))} if dictionary else {}
        columns = [*self._group[_COLUMNS].value.values]
        columns[column.number] = columns[column.number] | {_CHUNK: Value(thrift.STRUCT, chunk)}
        group = self._group | {
            _COLUMNS: Value(thrift.LIST, Values(thrift.STRUCT, columns)),
            _GROUP_ROWS: Value(thrift.I64, rows),
        }
        footer = self._footer | {
            _ROWS: Value(thrift.I64, rows),
            _GROUPS: Value(thrift.LIST, Values(thrift.STRUCT, [group])),
        }
        return {number: value for number, value in footer.items() if number != _KEYS}


def merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same bytes in as few spans: what ends where the next begins is one."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Let whatever a file that says nonsense leads to be NotParquet; what reading raises, OSError, is left."""
    try:
        yield
    except NotParquet:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise NotParquet(f"its {what} cannot be read ({error})") from error


def _path(chunk: Struct) -> str:
    return ".".join(str(part, "utf-8") for part in chunk[_CHUNK].value[_PATH].value.values)


def _column(number: int, chunk: Struct, index: bytes) -> Column:
    pages = [{key: field.value for key, field in page.items()} for page in _locations(index)]
    at, size, row = (np.array([page[key] for page in pages], np.int64) for key in (_PAGE_AT, _PAGE_BYTES, _PAGE_ROW))
    begin = chunk[_CHUNK].value.get(_DICTIONARY_AT)
    return Column(number, at, size, row, (begin.value, int(at[0])) if begin else None)


def _locations(index: bytes) -> list[Struct]:
    found: list[Struct] = thrift.Reader(index).struct()[_PAGES].value.values
    return found


def _leaf(array: pa.Array) -> pa.Array:
    while pa.types.is_struct(array.type):
        array = array.flatten()[0]
    return array
