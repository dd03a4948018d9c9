"""Zips read in place: pickled and npz members alike, stored or deflated, as a stream; nothing behind their end."""

import io
import pickle
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from loaders import SourceProblem
from loaders.formats import streams, tars, zips
from loaders.formats.batches import BatchFile, OpenBatch
from publish.sample import archives
from tests.kit.refusals import in_time

ROWS = 12_000
DATA = np.random.default_rng(0).integers(0, 60, (ROWS, 192), np.uint8)
LABELS = np.arange(ROWS) % 1000 + 1
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
every_way = pytest.mark.parametrize("method", [STORED, DEFLATED], ids=["stored", "deflated"])


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, data=DATA, labels=LABELS)
    return buffer.getvalue()


def pickled(**other: Any) -> bytes:
    return pickle.dumps({"data": DATA, "labels": LABELS.tolist(), "mean": np.zeros(3072), **other}, 3)


def read_all(file: BatchFile) -> None:
    batch = OpenBatch(file, 8)
    assert len(batch.labels) == ROWS
    batch.read(0, ROWS)


CONTENTS = {
    "npz": npz(),
    "pickle": pickled(),
    "labels first": pickle.dumps({"labels": LABELS, "data": DATA}, 3),
    "labels as an array": pickled(labels=LABELS),
}


def zipped(folder: Path, content: bytes, method: int, name: str = "Imagenet8_val/val_data") -> BatchFile:
    path = folder / "Imagenet8_val.zip"
    with zipfile.ZipFile(path, "w", method, compresslevel=1) as archive:
        archive.writestr(name, content)
    return BatchFile(path, name)


@every_way
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_batch_in_a_zip_is_read_forwards_and_from_anywhere(
    kind: str, method: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "_SPAN", 1 << 16)
    monkeypatch.setattr(zips, "_PIECE", 1 << 12)
    batch = OpenBatch(zipped(tmp_path, CONTENTS[kind], method), 8)
    assert np.array_equal(batch.labels + 1, LABELS)
    for start, stop in [(0, 500), (500, 7000), (11_990, ROWS), (3, 9), (5000, 5001), (0, ROWS)]:
        assert np.array_equal(batch.read(start, stop), DATA[start:stop])
    batch.close()


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_deflated_member_is_inflated_twice_at_most(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to find its labels, which may stand behind its data, and once for its rows."""
    inflated: list[int] = []
    following = zips._Inflated._next

    def counted(file: Any, wanted: int) -> bytes:
        piece = following(file, wanted)
        inflated.append(len(piece))
        return piece

    monkeypatch.setattr(zips._Inflated, "_next", counted)
    monkeypatch.setattr(zips, "_SPAN", 1 << 18)
    batch = OpenBatch(zipped(tmp_path, CONTENTS[kind], DEFLATED), 8)
    assert len(batch.labels) == ROWS
    for start in range(0, ROWS, 1000):
        batch.read(start, start + 1000)
    assert sum(inflated) < 2.6 * len(CONTENTS[kind])


@pytest.mark.keeps("S1", "S2")
@every_way
@pytest.mark.parametrize("kind", CONTENTS)
@pytest.mark.parametrize("place", [0.3, 0.9, 0.999])
def test_a_damaged_byte_is_found(place: float, kind: str, method: int, tmp_path: Path) -> None:
    file = zipped(tmp_path, CONTENTS[kind], method)
    data = bytearray(file.path.read_bytes())
    data[int(place * (len(data) - 300))] ^= 1
    file.path.write_bytes(data)
    with pytest.raises(SourceProblem, match=r"Imagenet8_val\.zip"):
        read_all(file)


@pytest.mark.keeps("S31")
@pytest.mark.parametrize("where", ["before", "behind", "a zip behind"])
def test_what_stands_beside_a_zip_is_refused(where: str, tmp_path: Path) -> None:
    file = zipped(tmp_path, CONTENTS["npz"], STORED)
    data = file.path.read_bytes()
    file.path.write_bytes({"before": b"x" + data, "behind": data + b"x", "a zip behind": data + data}[where])
    with pytest.raises(SourceProblem, match=r"more follows|before its first"):
        OpenBatch(file, 8)


def test_a_comment_is_no_harm(tmp_path: Path) -> None:
    file = zipped(tmp_path, CONTENTS["npz"], STORED)
    with zipfile.ZipFile(file.path, "a") as archive:
        archive.comment = b"made by hand"
    assert OpenBatch(file, 8).rows == ROWS


@pytest.mark.keeps("S10")
def test_a_member_that_inflates_to_gigabytes_is_not_inflated(tmp_path: Path) -> None:
    file = zipped(tmp_path, bytes(1 << 26), DEFLATED)
    with pytest.raises(SourceProblem, match="64 times as many"):
        OpenBatch(file, 8)


@pytest.mark.keeps("S9")
@every_way
def test_code_in_a_pickle_of_a_zip_is_not_run(method: int, tmp_path: Path) -> None:
    with pytest.raises(SourceProblem, match="nothing was run"):
        OpenBatch(zipped(tmp_path, b"\x80\3cposix\nsystem\n(X\4\0\0\0exittR.", method), 8)


@pytest.mark.parametrize("as_many", [1, 20])
def test_of_a_tar_stored_in_a_zip_headers_are_read_and_what_is_asked_for(
    as_many: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, size, read = 20, 100_000, list[int]()

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            read.append(super().readinto(buffer) or 0)
            return read[-1]

    tar = archives.tar((f"{n}.png", bytes([n]) * size) for n in range(count))
    zipped(tmp_path, tar, STORED, "a.tar")
    monkeypatch.setattr(streams, "open_file", lambda path, ahead=True: Counted(path))
    members = tars.scan(tmp_path / "Imagenet8_val.zip")
    assert sum(read) <= 512 * count + 20_480  # and the end mark, which tarfile fills up to 10 kB
    read.clear()
    files = tars.read_members(tmp_path / "Imagenet8_val.zip", members.offsets[:as_many], members.sizes[:as_many])
    assert list(files) == [bytes([n]) * size for n in range(as_many)]
    assert sum(read) - as_many * size in range(5)  # whether it is gzip is looked at in two bytes


@pytest.mark.keeps("S30")
@pytest.mark.parametrize("ahead", [b"", b"left over"], ids=["cut", "with more behind its end"])
def test_a_member_that_ends_before_its_size_is_refused(ahead: bytes, tmp_path: Path) -> None:
    """By each way in which it is read: zlib gives back what stands behind the end of its data again and again."""
    deflate = zlib.compressobj(wbits=-15)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("member", deflate.compress(b"pixels" * 50) + deflate.flush() + ahead)
    data = bytearray(path.read_bytes())
    for header, method in ((data.index(b"PK\3\4"), 8), (data.index(b"PK\1\2"), 10)):
        size = header + method + 14
        data[header + method], data[size : size + 4] = zipfile.ZIP_DEFLATED, (1000).to_bytes(4, "little")
    path.write_bytes(data)
    member = zips.find_zip_member(path, "member", 1 << 20)
    forwards = zips.MemberStream(path.open("rb"), member.info, str(member))
    with cast(Any, member.open()) as anywhere, forwards:
        for file in (anywhere.raw, forwards):
            assert file.read(10) == b"pixelspixe"
            with pytest.raises(SourceProblem, match="member: cut short"):
                file.read()
