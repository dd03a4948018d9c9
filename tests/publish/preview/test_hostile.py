"""Shards and manifests that claim, or expand to, more than anybody has: what is shown is bounded, and it is told."""

import json
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders import Problem
from publish import manifest
from publish.manifest import SplitEntry
from publish.preview import markup, place, shard
from publish.preview.reader import NotRead, Reader
from publish.preview.rows import Page, Split
from publish.repository.contents import FolderContents
from tests.kit import making

LONG = 10.0  # seconds: the limit of time is 20, and none of these is to come near


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with closing(Reader()) as reader:
        reader.ready()
        yield reader


@pytest.fixture(scope="module")
def entry(built: Path) -> SplitEntry:
    found = manifest.read(built / "imagenet_resized")
    assert found
    return found.configs["8x8"]["validation"]


def split_of(folder: Path, table: pa.Table, entry: SplitEntry, reader: Reader, rows: int | None = None) -> Split:
    """Lay out a split of one shard with these rows, compressed well."""
    path = folder / "8x8" / "validation-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(table, path, compression="zstd", row_group_size=max(len(table), 1), data_page_size=1 << 40)
    assert path.stat().st_size < 4 << 20, "it is to be a small file"
    shown = replace(entry.shards[0], path="8x8/" + path.name, rows=len(table), bytes=path.stat().st_size)
    return Split(FolderContents(folder), replace(entry, shards=(replace(shown, rows=rows or len(table)),)), reader)


def files(images: list[bytes]) -> pa.StructArray:
    return pa.StructArray.from_arrays(
        [pa.array(images, pa.large_binary()), pa.nulls(len(images), pa.string())], ["bytes", "path"]
    )


def read(split: Split, rows: int = 100) -> tuple[Page | str, float]:
    """Return a page, or what is said in its place, and the seconds that it took."""
    began = time.monotonic()
    try:
        found: Page | str = split.read(np.arange(min(rows, split.rows)))
    except Problem as problem:
        found = str(problem)
    return found, time.monotonic() - began


@pytest.mark.keeps("V2")
def test_a_page_that_expands_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by what its footer claims, where that is true."""
    monkeypatch.setattr(shard, "MOST_BYTES", 10_000_000)
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table({"image": files([bytes(20 << 20)])}), path, compression="zstd")
    with pytest.raises(shard.Refused, match=r"it claims 21\.0 MB uncompressed, and the preview reads up to 10\.0 MB"):
        shard.Shard(path, 1)


@pytest.mark.keeps("V2")
def test_a_page_that_expands_to_more_than_it_claims(tmp_path: Path, entry: SplitEntry) -> None:
    """The process has no more memory than it was given, whatever the footer says."""
    table = pa.table({"image": files([bytes(160 << 20)]), "label": pa.array([0])})
    with closing(Reader(room=128 << 20)) as small:
        split = split_of(tmp_path, table, entry, small)
        path = tmp_path / "8x8" / "validation-00000-of-00001.parquet"
        group = pq.read_metadata(path).row_group(0)
        for number in {group.total_byte_size, *(group.column(i).total_uncompressed_size for i in range(3))}:
            if number > 1 << 20:
                claim(path, number, 1 << 21)
        assert pq.read_metadata(path).row_group(0).total_byte_size == 1 << 21
        said, seconds = read(split)
        assert "reading it takes more memory than the preview gives it" in str(said)
        assert seconds < LONG


def claim(path: Path, number: int, instead: int) -> None:
    """Let the footer of a shard have another number in place of one."""
    data = path.read_bytes()
    at = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    right = varint(2 * number)  # zigzag
    path.write_bytes(data[:at] + data[at:-8].replace(right, varint(2 * instead, len(right))) + data[-8:])


def varint(number: int, size: int = 0) -> bytes:
    """Return a number as Thrift's compact protocol has it, in so many bytes."""
    found = bytearray()
    while number or not found:
        found.append(number & 127 | 128)
        number >>= 7
    found += b"\x80" * (size - len(found))
    found[-1] &= 127
    return bytes(found)


@pytest.mark.keeps("V2")
def test_a_footer_that_claims_a_billion_rows(tmp_path: Path, entry: SplitEntry, reader: Reader) -> None:
    """Held against the manifest first; and where that claims as many, it is more than is read."""
    split = split_of(tmp_path, pa.table({"image": files([b"x"]), "label": pa.array([0])}), entry, reader, 10**9)
    assert "expected 1,000,000,000 rows, as the manifest says, found 1" in str(read(split)[0])
    with pytest.raises(Problem, match="The rows of a class are looked for in splits of up to 5,000,000 rows"):
        split.of_class(0)
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"label": pa.array(np.zeros(20_000_000, np.int8))}), path)
    with pytest.raises(shard.Refused, match="it claims 20,000,000 rows, and the preview reads shards of up to 10,000"):
        shard.Shard(path, 20_000_000)


@pytest.mark.keeps("V2")
def test_many_large_images_do_not_take_the_page_s_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there is time for are shown; of the others it is said that they are not."""
    monkeypatch.setattr(shard, "SECONDS", 0.01)
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": files([making_png(3000)] * 5)}), path)
    rows = shard.Shard(path, 5).page(range(5))["rows"]
    assert "image" in rows[0]
    assert [row.get("why") for row in rows[1:]] == ["not decoded: the images before it took 0 s"] * 4


def making_png(side: int) -> bytes:
    """Return a PNG of zeros, in grey: at 8191 pixels a side it has 65 kB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    body = zlib.compress(bytes((side + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_what_ends_the_process_is_told(tmp_path: Path, entry: SplitEntry) -> None:
    """And the next shard is read by another one."""
    with closing(Reader()) as reader:
        split = split_of(tmp_path, pa.table({"image": files([b"x"]), "label": pa.array([0])}), entry, reader)
        reader.ready()
        reader._process.kill()
        reader._process.join()
        assert isinstance(read(split)[0], Page)
        reader.ready()
        reader._connection.send_bytes(b"\xff\xff\xff\xff")  # which it cannot read, and ends
        said, _ = read(split)
        assert isinstance(said, Page) or "ended the process that reads" in said
        assert isinstance(read(split)[0], Page)


def test_a_split_of_more_rows_than_can_be_counted(entry: SplitEntry, reader: Reader, tmp_path: Path) -> None:
    many = tuple(replace(entry.shards[0], rows=2**62) for _ in range(4))
    with pytest.raises(Problem, match="rows of a split: it is damaged, or made to be too much"):
        Split(FolderContents(tmp_path), replace(entry, shards=many), reader)


@pytest.mark.keeps("V2")
def test_a_manifest_of_very_many_shards(built: Path, tmp_path: Path) -> None:
    """Refused by its size, before it is parsed: no list of a hundred thousand shards is one of ours."""
    repository = making.copied(built, tmp_path)
    content = json.loads((repository / manifest.NAME).read_text())
    content["configs"]["8x8"]["train"]["shards"] *= 50_000
    (repository / manifest.NAME).write_text(json.dumps(content))
    began = time.monotonic()
    with pytest.raises(Problem, match=r"expected a manifest of this project, but it cannot be read"):
        place.find(str(repository), "main").dataset(str(repository))
    assert time.monotonic() - began < 5


def test_a_histogram_has_a_bound(entry: SplitEntry) -> None:
    found = markup.statistics(replace(entry, labels=(1,) * 50_000), [])
    assert found.count("<rect") == 10_000
    assert "40,000 more classes are not drawn" in found


def test_a_shard_of_more_bytes_than_are_fetched(entry: SplitEntry, reader: Reader, tmp_path: Path) -> None:
    split = Split(FolderContents(tmp_path), replace(entry, shards=(replace(entry.shards[0], bytes=10**12),)), reader)
    assert "it has 1.00 TB, and the preview reads up to 1.0 GB" in str(read(split)[0])


def test_an_answer_has_a_bound(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publish.preview.reader._MOST", 1000)
    with pytest.raises(NotRead, match=r"what was read of it is more than 1\.0 kB, or no answer"):
        reader.ask({"what": "card", "paths": [], "sizes": []}, b"x" * 2000, 60)
