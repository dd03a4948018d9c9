"""Rows read by page: the same as pyarrow's, for the bytes of their pages alone; what is no such file is refused."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from publish.repository import thrift
from publish.repository.pages import NotParquet, Pages, merged

ROWS = 20_000


class File:
    """A file in memory that counts the bytes that are read of it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.bytes_read = data, 0

    def read(self, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        self.bytes_read += sum(end - begin for begin, end in spans)
        return [self.data[begin:end] for begin, end in spans]

    def pages(self) -> Pages:
        return Pages(self.read, len(self.data))


def table(rows: int = ROWS) -> pa.Table:
    random = np.random.default_rng(5)
    files = pa.array([random.bytes(200) for _ in range(rows)], pa.binary())
    image = pa.StructArray.from_arrays([files, pa.nulls(rows, pa.string())], ["bytes", "path"])
    names = pa.array([None if i % 7 == 3 else f"n{i:08d}.JPEG" for i in range(rows)], pa.string())
    return pa.table({"image": image, "label": random.integers(0, 1000, rows), "file_name": names})


def written(rows: pa.Table, **how: object) -> bytes:
    sink = pa.BufferOutputStream()
    settings = {"write_page_index": True, "data_page_size": 8192, "row_group_size": len(rows), **how}
    pq.write_table(rows, sink, **settings)
    return bytes(sink.getvalue())


LAYOUTS: dict[str, dict[str, object]] = {
    "dictionary": {"use_dictionary": ["label"], "compression": "zstd"},
    "plain": {"use_dictionary": False, "compression": "none"},
    "every dictionary": {"use_dictionary": True, "compression": "snappy"},
    "delta": {"use_dictionary": False, "column_encoding": {"label": "DELTA_BINARY_PACKED"}},
    "version 2 pages": {"data_page_version": "2.0", "use_dictionary": ["label"], "compression": "gzip"},
    "by content": {"use_content_defined_chunking": True},
}


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return table()


@pytest.fixture(scope="module", params=LAYOUTS)
def data(request: pytest.FixtureRequest, rows: pa.Table) -> bytes:
    return written(rows, **LAYOUTS[request.param])


@pytest.mark.parametrize(
    "wanted",
    [[0], [ROWS - 1], range(100), range(ROWS - 100, ROWS), range(7777, 7877), range(3, ROWS, 997), range(ROWS)],
    ids=["first", "last", "the first page", "the last page", "amid", "here and there", "all"],
)
def test_rows_are_those_that_pyarrow_reads(data: bytes, rows: pa.Table, wanted: Sequence[int]) -> None:
    numbers, file = np.array(wanted, np.int64), File(data).pages()
    for path, column in (
        ("image.bytes", rows["image"].combine_chunks().field("bytes")),
        ("label", rows["label"]),
        ("file_name", rows["file_name"]),
    ):
        assert file.take(path, numbers).to_pylist() == column.take(pa.array(numbers)).to_pylist()
    assert file.rows == ROWS


def test_a_far_row_is_read_for_the_bytes_of_its_page(rows: pa.Table) -> None:
    file = File(written(rows, use_dictionary=False, compression="none"))
    pages = file.pages()
    column = pages.columns["image.bytes"]
    read_for_the_footer, file.bytes_read = file.bytes_read, 0
    pages.take("image.bytes", np.array([ROWS // 2]))
    assert file.bytes_read in column.bytes.tolist()
    assert read_for_the_footer <= 256 << 10


def test_its_columns_and_features_are_found(built: Path) -> None:
    path = next((built / "imagenet_v2").rglob("*.parquet"))
    pages = File(path.read_bytes()).pages()
    assert list(pages.columns) == ["image.bytes", "image.path", "label", "file_name"]
    assert list(pages.features) == ["image", "label", "file_name"]
    assert len(pages.features["label"]["names"]) == 1000


# What is no such file


def test_a_file_that_is_cut_off_anywhere_is_refused(rows: pa.Table) -> None:
    data = written(rows.slice(0, 300))
    for size in [*range(40), *range(40, len(data), 997), len(data) - 1]:
        with pytest.raises(NotParquet):
            File(data[:size]).pages()


def test_a_file_without_an_offset_index_is_refused(rows: pa.Table) -> None:
    with pytest.raises(NotParquet, match="no offset index"):
        _ = File(written(rows, write_page_index=False)).pages().columns


def test_a_file_of_two_row_groups_is_refused(rows: pa.Table) -> None:
    with pytest.raises(NotParquet, match="expected one row group, found 2"):
        File(written(rows, row_group_size=ROWS // 2)).pages()


@given(place=st.integers(0), bit=st.integers(0, 7))
def test_a_footer_with_a_flipped_bit_is_read_or_refused(place: int, bit: int) -> None:
    """Whatever it says then, the error is one that the page can show."""
    data = bytearray(SMALL)
    size = int.from_bytes(data[-8:-4], "little") + 8
    data[-1 - place % size] ^= 1 << bit
    with suppress(NotParquet, OSError):
        pages = File(bytes(data)).pages()
        if {"label"} <= set(pages.columns) and pages.rows:
            pages.take("label", np.arange(min(max(pages.rows, 1), 10)))


SMALL = written(table(50))


# Thrift


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_footer_that_is_read_and_written_is_the_same_bytes(layout: str, rows: pa.Table) -> None:
    data = written(rows, **LAYOUTS[layout])
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    assert thrift.dump(thrift.Reader(footer).struct()) == footer


def structs() -> st.SearchStrategy[thrift.Struct]:
    plain = st.one_of(
        st.builds(thrift.Value, st.just(thrift.I64), st.integers(-(2**63), 2**63 - 1)),
        st.builds(thrift.Value, st.just(thrift.BINARY), st.binary()),
        st.booleans().map(lambda value: thrift.Value(thrift.TRUE if value else thrift.FALSE, value)),
        st.builds(thrift.Value, st.just(thrift.DOUBLE), st.binary(min_size=8, max_size=8)),
    )
    return st.recursive(
        st.dictionaries(st.integers(1, 40), plain, max_size=3),
        lambda inner: st.dictionaries(
            st.integers(1, 40),
            st.one_of(
                inner.map(lambda struct: thrift.Value(thrift.STRUCT, struct)),
                st.lists(inner, max_size=20).map(
                    lambda many: thrift.Value(thrift.LIST, thrift.Values(thrift.STRUCT, many))
                ),
            ),
        ),
        max_leaves=20,
    )


@given(structs())
def test_any_struct_comes_back(struct: thrift.Struct) -> None:
    data = thrift.dump(struct)
    reader = thrift.Reader(data)
    assert reader.struct() == struct
    assert reader.at == len(data)


def test_what_touches_is_read_at_once() -> None:
    assert merged([(0, 5), (5, 9), (12, 14), (14, 15)]) == [(0, 9), (12, 15)]
