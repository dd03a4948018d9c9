"""A file in a store is read as one on the disk, in few requests."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.files import reading
from loaders.formats import streams, zips
from publish.build import shard

SIZE = 3_000_000


@pytest.fixture(scope="module")
def stored() -> Iterator[tuple[Path, bytes]]:
    """A file in the store that fsspec keeps in memory, and its content."""
    upath = pytest.importorskip("upath", reason="needs the extra 'dask'")
    place = upath.UPath("memory://places/file")
    content = np.random.default_rng(0).bytes(SIZE)
    place.write_bytes(content)
    yield place, content
    place.unlink()


@settings(deadline=None, max_examples=50)
@given(steps=st.lists(st.tuples(st.integers(0, SIZE + 10), st.sampled_from([0, 1, 2]), st.integers(0, 900_000))))
def test_it_is_read_as_a_file_is(steps: list[tuple[int, int, int]], stored: tuple[Path, bytes]) -> None:
    place, content = stored
    known = io.BytesIO(content)
    with reading.open_file(place) as file:
        for offset, whence, count in steps:
            offset = offset if whence == 0 else -min(offset, SIZE, known.tell() if whence == 1 else SIZE)
            assert file.seek(offset, whence) == known.seek(offset, whence)
            assert all_of(file, count) == known.read(count)


def all_of(file: BinaryIO, count: int) -> bytes:
    """Read until so many bytes or the end of the file are there."""
    found = b""
    while len(found) < count and (piece := file.read(count - len(found))):
        found += piece
    return found


def test_a_header_is_one_small_request_and_the_whole_file_few(
    stored: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, content = stored
    asked: list[int] = []
    stores = type(cast(Any, place).fs.open(cast(Any, place).path))

    def read(file: io.BytesIO, count: int = -1) -> bytes:
        asked.append(count)
        return io.BytesIO.read(file, count)

    monkeypatch.setattr(stores, "read", read)
    with reading.open_file(place) as file:
        file.seek(100)
        assert file.read(30) == content[100:130]
        assert asked == [1 << 18]
        file.seek(0)
        asked.clear()
        assert b"".join(iter(lambda: file.read(1 << 16), b"")) == content
    assert asked == [1 << 18, 1 << 19, 1 << 20, SIZE - (7 << 18)]


@pytest.mark.parametrize("kind", [streams.ByteRange, zips._Inflated, reading._Ahead, shard._Hashed])
def test_a_file_that_could_not_be_opened_is_closed_without_a_word(kind: type[io.RawIOBase]) -> None:
    """Python closes what it clears away, and since 3.13 tells of what goes wrong there."""
    kind.__new__(kind).close()
