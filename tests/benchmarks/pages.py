"""The pages of a Parquet column, read from their headers: pyarrow exposes neither them nor the offset index.

Page headers are Thrift structs in the compact protocol:
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

# mypy: disable-error-code="import-untyped"

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12  # Thrift's types; 4 to 6 are varints
_COMPRESSED_SIZE, _DATA_PAGE, _DATA_PAGE_V2, _NUM_VALUES = 3, 5, 8, 1  # fields of PageHeader and DataPageHeader


@dataclass(frozen=True)
class Page:
    """Rows `start` to `stop`, and the bytes of the page in the file, its header included."""

    start: int
    stop: int
    bytes: int


class _Reader:
    """Reads structs at `at`; a struct is {field number: value}."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self.at = data, at

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def integer(self) -> int:
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.integer()
            fields[number] = self._value(head & 15)
        return fields

    def _take(self, count: int) -> memoryview:
        self.at += count
        return self._data[self.at - count : self.at]

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _STRUCT:
            return self.struct()
        if kind in (_BYTE, _DOUBLE, _BINARY):
            return self._take({_BYTE: 1, _DOUBLE: 8}.get(kind) or self.varint())
        if kind in (4, 5, 6):
            return self.integer()
        raise ValueError(f"byte {self.at}: expected a page header, found a field of Thrift type {kind}")


def pages(file: pa.Buffer, column: int = 0) -> list[Page]:
    """Return the data pages of a column of flat rows, over all row groups, in their order.

    Raises:
        ValueError: the column's bytes are not pages, or do not add up to its rows.
    """
    metadata, data = pq.read_metadata(pa.BufferReader(file)), memoryview(file).cast("B")
    found: list[Page] = []
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(column)
        begin = chunk.dictionary_page_offset or chunk.data_page_offset
        found += _pages(data, begin, begin + chunk.total_compressed_size, found[-1].stop if found else 0)
    if not found or found[-1].stop != metadata.num_rows:
        raise ValueError(f"expected the pages of {metadata.num_rows:,} rows, found those of {found[-1:]}")
    return found


def _pages(data: memoryview, at: int, end: int, row: int) -> list[Page]:
    found = []
    while at < end:
        reader = _Reader(data, at)
        header = reader.struct()
        begin, at = at, reader.at + header[_COMPRESSED_SIZE]
        if page := header.get(_DATA_PAGE) or header.get(_DATA_PAGE_V2):  # else it is a dictionary
            found.append(Page(row, row := row + page[_NUM_VALUES], at - begin))
    return found
