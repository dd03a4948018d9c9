"""The pages of a Parquet column, read from their headers, for files without an offset index, too.

https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

# mypy: disable-error-code="import-untyped"

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from publish.repository import thrift

_COMPRESSED_SIZE, _DATA_PAGE, _DATA_PAGE_V2, _NUM_VALUES = 3, 5, 8, 1  # fields of PageHeader and DataPageHeader


@dataclass(frozen=True)
class Page:
    """Rows `start` to `stop`, and the bytes of the page in the file, its header included."""

    start: int
    stop: int
    bytes: int


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
        reader = thrift.Reader(data, at)
        header = reader.struct()
        begin, at = at, reader.at + header[_COMPRESSED_SIZE].value
        if page := header.get(_DATA_PAGE) or header.get(_DATA_PAGE_V2):  # else it is a dictionary
            found.append(Page(row, row := row + page.value[_NUM_VALUES].value, at - begin))
    return found
