"""Tars by their headers alone: the same members as `tarfile` finds, and nothing that is no plain file."""

import gzip
import io
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import SourceProblem
from loaders.formats import index, tars
from publish.sample.archives import tar
from tests.kit.archives import odd_tar
from tests.kit.refusals import in_time

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
TYPES = {
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "FIFO": tarfile.FIFOTYPE,
    "GNU sparse": tarfile.GNUTYPE_SPARSE,
    "contiguous": tarfile.CONTTYPE,
    "unknown": b"Z",
}


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


def write(folder: Path, data: bytes) -> Path:
    path = folder / "a.tar"
    path.write_bytes(data)
    return path


def contents(path: Path) -> dict[str, bytes]:
    members = tars.scan(path)
    return dict(zip(members.names, tars.read_members(path, members.offsets, members.sizes), strict=True))


def refused(path: Path) -> str:
    with pytest.raises(SourceProblem) as caught:
        tars.scan(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="/\\:"), min_size=1, max_size=150
).filter(lambda name: not name.startswith((".", " ")) and name not in ("Thumbs.db", "desktop.ini", "__MACOSX"))
fuzz = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzz
@given(
    st.dictionaries(NAMES, st.binary(max_size=1500), max_size=6), st.sampled_from(FORMATS[1:]), st.booleans(), st.data()
)
def test_the_members_are_those_of_tarfile(
    tmp_path: Path, files: dict[str, bytes], form: int, zipped: bool, data: st.DataObject
) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("folder", b"", {"type": tarfile.DIRTYPE}), *((n, d, {}) for n, d in files.items()), format=form)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    assert contents(path) == files
    members = tars.scan(path)
    order = data.draw(st.permutations(range(len(files))))
    offsets, sizes = ([column[i] for i in order] for column in (members.offsets, members.sizes))
    assert list(tars.read_members(path, offsets, sizes)) == [files[members.names[i]] for i in order]


@pytest.mark.parametrize("form", FORMATS)
def test_names_longer_than_a_header(form: int, tmp_path: Path) -> None:
    name = "/".join(["folder" * 5] * 4) + "/" + "x" * 90
    odd_tar(tmp_path / "a.tar", (name, b"data", {}), ("short", b"more", {}), format=form)
    assert contents(tmp_path / "a.tar") == {name: b"data", "short": b"more"}


def test_sizes_in_binary(tmp_path: Path) -> None:
    """GNU tar writes numbers of 8 GB and more in base 256; here a small one, which reads alike."""
    data = bytearray(tar([("name", b"data"), ("next", b"more")]))
    data[124:136] = b"\x80" + (4).to_bytes(11, "big")
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    assert contents(write(tmp_path, bytes(data))) == {"name": b"data", "next": b"more"}


@pytest.mark.keeps("S14")
def test_sizes_in_a_pax_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("name", b"data", {"pax_headers": {"size": "4", "mtime": "1.5"}}), format=tarfile.PAX_FORMAT)
    assert contents(path) == {"name": b"data"}


def test_a_tar_inside_a_tar_is_read_in_place(tmp_path: Path) -> None:
    inner = tar([("a", b"1" * 600), ("b", b"2")])
    path = write(tmp_path, tar([("first", b"-"), ("inner.tar", inner), ("last", b"-")]))
    outer = tars.scan(path)
    start = outer.offsets[1]
    members = tars.scan(path, start, start + outer.sizes[1])
    assert members.names == ["a", "b"]
    assert list(tars.read_members(path, members.offsets, members.sizes)) == [b"1" * 600, b"2"]


@pytest.mark.keeps("S13")
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("form", FORMATS)
def test_what_is_no_plain_file_is_refused(kind: str, form: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    fields = {"type": TYPES[kind], "linkname": "/etc/passwd"}
    odd_tar(path, ("plain", b"data", {}), ("n01440764_1.JPEG", b"", fields), format=form)
    assert "n01440764_1.JPEG" in refused(path)


@pytest.mark.keeps("S13")
def test_a_link_named_like_a_folder_is_refused(tmp_path: Path) -> None:
    odd_tar(tmp_path / "a.tar", ("folder/", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"}))
    assert "folder/" in refused(tmp_path / "a.tar")


@pytest.mark.keeps("S13")
def test_a_sparse_file_of_pax_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "x", "GNU.sparse.realsize": "1000"}
    odd_tar(path, ("x", b"data", {"pax_headers": headers}), format=tarfile.PAX_FORMAT)
    assert "sparse" in refused(path)


@pytest.mark.keeps("S12")
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\\..\\x", "C:x", "..", "a/..", "//x", "\\x"])
@pytest.mark.parametrize("form", FORMATS)
def test_names_that_lead_out_are_refused(name: str, form: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("first", b"", {}), (name, b"data", {"pax_headers": {"path": name}}), format=form)
    assert repr(name) in refused(path)


@pytest.mark.keeps("S12")
def test_a_name_stops_at_its_nul(tmp_path: Path) -> None:
    data = bytearray(tar([("name", b"data")]))
    data[4:12] = b"\0../../x"
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    assert contents(write(tmp_path, bytes(data))) == {"name": b"data"}


@pytest.mark.keeps("S15", "S21")
def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    text = refused(write(tmp_path, tar([("a", b"1"), ("b", b"2"), ("a", b"3")])))
    assert "'a' more than once" in text


LITTER = {"._a": 1, "f/._a": 1, ".DS_Store": 1, "f/.DS_Store": 1, "__MACOSX/a": 1, "Thumbs.db": 2, "f/desktop.ini": 2}


@pytest.mark.keeps("S14")
@pytest.mark.parametrize("form", FORMATS)
def test_litter_is_skipped_and_counted(form: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("kept", b"data", {}), *((name, b"junk", {}) for name in LITTER), ("too", b"", {}), format=form)
    found = tars.scan(path)
    assert found.names == ["kept", "too"]
    assert dict(found.skipped) == {"macOS metadata": 5, "Windows metadata": 2}


@pytest.mark.keeps("S13")
def test_litter_that_is_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("._a", b"", {"type": tarfile.SYMTYPE, "linkname": "x"}))
    assert "link" in refused(path)


@pytest.mark.keeps("S2", "S3")
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 700, 1023, 1024, 1536, 2047, 2048, 2559])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_tar_cut_anywhere_is_refused(size: int, zipped: bool, tmp_path: Path) -> None:
    """The two members end at bytes 1,024 and 2,560; the end mark is behind them."""
    data = tar([("a", b"1"), ("b", b"2" * 600)])[:size]
    path = write(tmp_path, gzip.compress(data, 1) if zipped else data)
    text = refused(path)
    if not zipped or 1536 < size < 2560:
        assert "cut short" in text


@pytest.mark.keeps("S2")
@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("members", [10, 30_000])
def test_a_hole_is_not_taken_for_the_end(blocks: int, members: int, tmp_path: Path) -> None:
    """As in a file whose place was made before it was downloaded, some of which then never came."""
    data = bytearray(tar((f"{n}", b"." * 600) for n in range(members)))
    data[3 * 1536 : 3 * 1536 + 512 * blocks] = bytes(512 * blocks)
    path = write(tmp_path, bytes(data))
    text = refused(path)
    assert "end mark of a tar at byte 4,608" in text
    assert "Download it again" in text


TWO = tar([("a", b"1"), ("b", b"2" * 600)])[:2560]
ENDS = [512, 1024, 10_240, 1 << 20]
both_ways = pytest.mark.parametrize("zipped", [False, True])


@both_ways
@pytest.mark.parametrize("end", ENDS)
def test_an_end_of_any_length_is_one(end: int, zipped: bool, tmp_path: Path) -> None:
    data = TWO + bytes(end)
    path = write(tmp_path, gzip.compress(data, 1) if zipped else data)
    assert contents(path) == {"a": b"1", "b": b"2" * 600}


@pytest.mark.keeps("S31")
@both_ways
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("more", [b"left over", tar([("c", b"3")]), bytes(100) + tar([("c", b"3")]), bytes(1 << 24)])
def test_what_follows_the_end_is_refused(more: bytes, end: int, zipped: bool, tmp_path: Path) -> None:
    """Another tar that was appended, at the place of a header or at another, or more zeros than an end has."""
    data = TWO + bytes(end) + more
    text = refused(write(tmp_path, gzip.compress(data, 1) if zipped else data))
    assert "end mark of a tar at byte 2,560, and more behind it" in text


@pytest.mark.keeps("S31")
def test_what_follows_the_end_of_a_tar_in_a_tar_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, tar([("inner.tar", TWO + bytes(1024) + TWO), ("last", b"-")]))
    outer = tars.scan(path)
    start, size = outer.offsets[0], outer.sizes[0]
    with pytest.raises(SourceProblem, match="more behind it"):
        tars.scan(path, start, start + size)


@pytest.mark.keeps("S31")
@pytest.mark.parametrize(
    "more", [b"left over" * 10, b"\x1f\x8b", gzip.compress(tar([("c", b"3")])), bytes(9) + b"x", gzip.compress(b"x")]
)
def test_what_follows_the_end_of_a_gzip_stream_is_refused(more: bytes, tmp_path: Path) -> None:
    refused(write(tmp_path, gzip.compress(TWO + bytes(1024)) + more))


@pytest.mark.parametrize("more", [bytes(1000), gzip.compress(b""), gzip.compress(bytes(9))])
def test_zeros_behind_a_gzip_stream_and_parts_of_it_are_no_harm(more: bytes, tmp_path: Path) -> None:
    assert set(contents(write(tmp_path, gzip.compress(TWO[:700]) + gzip.compress(TWO[700:] + bytes(1024)) + more))) == {
        "a",
        "b",
    }


@pytest.mark.keeps("S2")
@pytest.mark.parametrize("size", [10, 20, 100, -9, -8, -1])
def test_a_gzip_cut_anywhere_is_refused(size: int, tmp_path: Path) -> None:
    data = gzip.compress(tar([("a", bytes(range(256)) * 4)]), 1)
    refused(write(tmp_path, data[:size]))


@pytest.mark.keeps("S2")
def test_a_gzip_with_damaged_data_is_refused(tmp_path: Path) -> None:
    """Stored blocks: the bytes of a member are changed, and only the CRC-32 at the end of the stream tells."""
    data = bytearray(gzip.compress(tar([("a", b"." * 1000)]), 0, mtime=0))
    data[data.index(b"." * 100) + 50] ^= 1
    refused(write(tmp_path, bytes(data)))


@pytest.mark.parametrize("size", ["-512", "-1024", "-1536", "-2048", "99999999999999999999", "x", ""])
def test_odd_sizes_in_a_pax_header(size: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("a", b"data", {"pax_headers": {"size": size}}), format=tarfile.PAX_FORMAT)
    refused(path)


def test_negative_sizes_in_binary(tmp_path: Path) -> None:
    data = bytearray(tar([("name", b"data")]))
    data[124:136] = (-512).to_bytes(12, "big", signed=True)
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    refused(write(tmp_path, bytes(data)))


@pytest.mark.parametrize("record", [b"0 a=b\n", b"-3 a=b\n", b"9 path\n", b"x\n", b"999 path=x\n", b"7 a=b\n"])
def test_odd_records_in_a_pax_header(record: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    odd_tar(path, ("head", record, {"type": tarfile.XHDTYPE}), ("a", b"data", {}))
    with suppress(SourceProblem):  # either is right, as long as nothing else is raised
        assert len(tars.scan(path).names) == 1


@pytest.mark.keeps("S10")
def test_an_extended_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    data = bytearray(tar([("name", b"")]))
    data[124:136] = b"%011o\0" % 2**32
    data[156:157] = b"x"
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    path = write(tmp_path, bytes(data))
    assert "claims 4,294,967,296 bytes" in refused(path)


def headers(*members: tuple[bytes, bytes, bytes]) -> bytes:
    """Return a tar of (name, type, data) that need not be honest."""
    parts = []
    for name, kind, data in members:
        info = tarfile.TarInfo(name.decode())
        info.size, info.type = len(data), kind
        parts += [info.tobuf(tarfile.USTAR_FORMAT), data, bytes(-len(data) % 512)]
    return b"".join([*parts, bytes(1024)])


MEGABYTE = (1 << 20) - 512
HOSTILE = {  # made when asked for: some take a while
    "many records": partial(headers, *[(b"h", b"x", b"6 a=b\n" * (MEGABYTE // 6)), (b"m", b"0", b"")] * 10),
    "a record without end": partial(headers, (b"h", b"x", b"1" * MEGABYTE), (b"m", b"0", b"")),
    "a length of many digits": partial(headers, (b"h", b"x", b"9" * 5000 + b" a=b\n"), (b"m", b"0", b"")),
    "a size of many digits": partial(headers, (b"h", b"x", b"4011 size=" + b"9" * 4000 + b"\n"), (b"m", b"0", b"")),
    "a long path": partial(headers, (b"h", b"x", b"8014 path=" + b"a/" * 4001 + b"b\n"), (b"m", b"0", b"")),
    "a long name": partial(headers, (b"h", b"L", b"a" * MEGABYTE), (b"m", b"0", b"")),
    "many long names": partial(headers, *[(b"h", b"L", b"a" * 300)] * 5000, (b"m", b"0", b"")),
    "many headers": partial(headers, *[(b"h", b"x", b"6 a=b\n")] * 5000, (b"m", b"0", b"")),
    "many headers for all": partial(headers, *[(b"h", b"g", b"6 a=b\n")] * 5000, (b"m", b"0", b"")),
    "one name": partial(headers, *[(b"m", b"0", b"")] * 20_000),
}


@pytest.mark.keeps("S30")
@both_ways
@pytest.mark.parametrize("kind", HOSTILE)
def test_headers_that_take_their_time_are_refused_at_once(kind: str, zipped: bool, tmp_path: Path) -> None:
    archive = HOSTILE[kind]()
    path = write(tmp_path, gzip.compress(archive, 1) if zipped else archive)
    started = time.process_time()
    text = refused(path)
    assert time.process_time() - started < 1
    assert len(text) < 600


@pytest.mark.keeps("S30")
def test_more_members_than_upstream_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "_MOST_ENTRIES", 5)
    assert len(tars.scan(write(tmp_path, tar((f"{n}", b"") for n in range(5)))).names) == 5
    assert "more than 5 entries" in refused(write(tmp_path, tar((f"{n}", b"") for n in range(6))))


VALID = io.BytesIO()
with tarfile.open(fileobj=VALID, mode="w", format=tarfile.PAX_FORMAT) as _archive:
    for _name in ("a", "é" * 120, "c"):
        _info = tarfile.TarInfo(_name)
        _info.size = 700
        _archive.addfile(_info, io.BytesIO(_name.encode()[:1] * 700))
WHOLE = VALID.getvalue()[:10240]


@settings(fuzz, max_examples=600)
@given(st.integers(0, 9000), st.integers(0, 255), st.booleans())
def test_any_damage_is_read_or_refused(tmp_path: Path, place: int, value: int, zipped: bool) -> None:
    data = WHOLE[:place] + bytes([value]) + WHOLE[place + 1 :]
    path = write(tmp_path, gzip.compress(data, 1, mtime=0) if zipped else data)
    with suppress(SourceProblem):  # either is right, as long as nothing else is raised
        assert len(contents(path)) <= 3


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("wait", [0.0, 60.0])
def test_a_scan_that_takes_long_is_shown_on_a_terminal(
    wait: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_WAIT", wait)
    for terminal, shown in ((_Terminal(), wait == 0), (io.StringIO(), False)):
        path = tmp_path / f"{type(terminal).__name__}.tar"
        path.write_bytes(tar((f"{n}.png", b"-") for n in range(20)))
        monkeypatch.setattr(sys, "stderr", terminal)
        index.members(path)
        assert (f"indexing {path.name}" in terminal.getvalue()) == shown
