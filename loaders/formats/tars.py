"""Tar archives by their headers alone: where each member's bytes are. Links, devices and odd names are refused.

The header's layout: POSIX.1-2017, pax, "ustar Interchange Format". `tarfile` takes 2.2 s of processor time over 100,000
headers and all that is checked here besides, and the fields that are needed here 0.75 s, by threads that share one
interpreter: that is half a minute against ten seconds for ILSVRC's 1.28 million.
"""

import io
import itertools
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from tqdm import tqdm
from zlib_ng import zlib_ng

from loaders._errors import SourceProblem, shown
from loaders.formats.packed import is_compressed, open_tar, reopened
from loaders.formats.untrusted import junk, leads_out, reading

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_REGULAR, _FOLDER = (b"0", b"\0"), b"5"
_PAX, _PAX_GLOBAL, _LONG_NAME = b"x", b"g", b"L"
PHOTO_LIMIT = 1 << 26  # bytes of what is read whole, here or from a folder: 580 times those of ILSVRC's mean photograph
_END_LIMIT = 1 << 24  # bytes of end mark and padding: GNU tar writes 10 kB unless told otherwise
_PIECE = 1 << 16  # bytes of them read at a time
_PAX_LIMIT = 1 << 20  # no honest pax header or long name is a megabyte long
_NAME_LIMIT = 1 << 12  # characters: PATH_MAX of Linux
_MOST_RECORDS, _MOST_EXTENSIONS = 64, 8  # of a pax header, and before a member; honest tars have ten and two
_MOST_ENTRIES = 1 << 21  # ILSVRC's train has 1,281,167, in a thousand tars
_GZIP_FACTOR, _GZIP_SLACK = 64, 1 << 20  # of compressed bytes; photographs come to 1.0, the development kit to 3
_ADLER = 65521
_WAIT = 1.0  # seconds before a bar is shown
_DIGITS = 20  # of a length in bytes, and more


@dataclass
class Members:
    """The regular members of a tar, in its order: name, offset and size in bytes; and the junk skipped, by kind."""

    names: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def scan(
    path: Path, start: int = 0, stop: int | None = None, page_by_page: bool = False, told: bool = False
) -> Members:
    """Return the members of the tar that lies in a file from byte `start` to `stop`; the data is skipped over.

    `page_by_page` keeps the system from reading ahead, which only helps where members are small. On a terminal, one
    that takes more than a second is `told` to go on.

    Raises SourceProblem for a damaged or unfinished archive, a link, a device, a sparse file, a name that leads out of
    the archive, or a name that is there twice.
    """
    with reading(path, "the tar"), open_tar(path) as file:
        limit = stop if stop is not None else _length(path, file)
        if page_by_page and limit is not None and isinstance(file, io.FileIO) and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), start, limit - start, os.POSIX_FADV_RANDOM)
        found = Members()
        with _bar(path, limit, told) as bar:
            for name, offset, size in _entries(path, file, start, limit):
                _sort_in(path, found, name, offset, size)
                bar.update(offset + size - bar.n)
    if len(set(found.names)) != len(found.names):
        twice = next(name for name, count in Counter(found.names).items() if count > 1)
        raise SourceProblem(f"{path}: holds {shown(twice)} more than once.")
    return found


def _bar(path: Path, size: int | None, told: bool) -> "tqdm[NoReturn]":
    hidden = None if told else True  # None: but on a terminal
    return tqdm(total=size, desc=f"indexing {path.name}", unit="B", unit_scale=True, disable=hidden, delay=_WAIT)


def first_names(path: Path, count: int) -> list[str]:
    """Return the names of the first members of a tar, of which no more is read; raises SourceProblem for no tar."""
    with reading(path, "the tar"), open_tar(path) as file:
        return [name for name, _, _ in itertools.islice(_entries(path, file, 0, _length(path, file)), count)]


def _length(path: Path, file: BinaryIO) -> int | None:
    return None if is_compressed(path) else file.seek(0, 2)


def _sort_in(path: Path, found: Members, name: str, offset: int, size: int) -> None:
    if kind := junk(name):
        found.skipped[kind] += 1
        return
    if leads_out(name):
        raise SourceProblem(f"{path}: member {shown(name)} leads out of the archive, or is no name upstream has.")
    found.names.append(name)
    found.offsets.append(offset)
    found.sizes.append(size)


def _entries(path: Path, file: BinaryIO, start: int, limit: int | None) -> Iterator[tuple[str, int, int]]:
    """Yield (name, offset, size) of every plain file."""
    position, override, extensions, entries = start, dict[str, str](), 0, 0
    most = _GZIP_FACTOR * path.stat().st_size + _GZIP_SLACK if limit is None else limit
    while header := _header(path, file, position, limit, most):
        kind, name, size = _parse(path, header, position)
        data, size = position + _BLOCK, _size(path, name, override.get("size", size))
        position = data + -(-size // _BLOCK) * _BLOCK
        if kind in (_PAX, _PAX_GLOBAL, _LONG_NAME):
            override |= _extension(path, file, kind, name, size)
            extensions += 1
            if extensions > _MOST_EXTENSIONS:
                raise _too_many(path, _MOST_EXTENSIONS, "extended headers before a member")
            continue
        name, override, extensions, entries = override.get("path", name), {}, 0, entries + 1
        if entries > _MOST_ENTRIES or len(name) > _NAME_LIMIT:
            what = "entries" if entries > _MOST_ENTRIES else "characters in a name"
            raise _too_many(path, _MOST_ENTRIES if what == "entries" else _NAME_LIMIT, what)
        if _is_file(path, kind, name):
            if limit is not None and data + size > limit:
                raise SourceProblem(f"{path}: cut short inside {shown(name)}. Download it again.")
            yield name, data, size


def _header(path: Path, file: BinaryIO, position: int, limit: int | None, most: int) -> bytes:
    """Return the header at a position, nothing at the end mark."""
    if limit is None:
        _check_inflated(path, position, most)
    file.seek(position)
    header = file.read(_BLOCK) if limit is None or position < limit else b""
    if len(header) < _BLOCK:
        raise SourceProblem(
            f"{path}: ends at byte {position:,} without the end mark of a tar: cut short. Download it again."
        )
    if header != _ZEROS:
        return header
    _check_end(path, file, position, limit)
    return b""


def _too_many(path: Path, most: int, what: str) -> SourceProblem:
    return SourceProblem(f"{path}: has more than {most:,} {what}, as no tar of upstream's has. Download it again.")


def _is_file(path: Path, kind: bytes, name: str) -> bool:
    if kind in _REGULAR:
        return not name.endswith("/")
    if kind != _FOLDER:
        raise SourceProblem(
            f"{path}: {shown(name)} is a link, device or sparse file (type {kind!r}), expected files and folders."
        )
    return False


def _check_end(path: Path, file: BinaryIO, start: int, limit: int | None) -> None:
    """Raise SourceProblem when anything but some zeros follows the end mark; a gzip stream is read to its CRC-32 so.

    What follows may be another tar, which was appended. And a hole in a file, which reads as zeros, looks like a mark.
    """
    position = start + _BLOCK
    while piece := file.read(_PIECE if limit is None else min(_PIECE, max(0, limit - position))):
        position += len(piece)
        if position - start > _END_LIMIT or piece.count(0) < len(piece):
            raise SourceProblem(
                f"{path}: has the end mark of a tar at byte {start:,}, and more behind it, up to byte {position:,} or "
                "further. Was another tar appended to it, or a download stopped that had made place for the whole? "
                "Download it again, or pack it as one tar."
            )


def _check_inflated(path: Path, position: int, most: int) -> None:
    if position > most:
        raise SourceProblem(
            f"{path}: inflates to more than {most:,} bytes, which no photographs do. Download it again."
        )


def _size(path: Path, name: str, size: str | int) -> int:
    if (isinstance(size, str) and not (size.isdecimal() and len(size) < _DIGITS)) or int(size) < 0:
        raise SourceProblem(f"{path}: {shown(name)} claims {shown(str(size))} bytes. Download it again.")
    return int(size)


def _parse(path: Path, header: bytes, position: int) -> tuple[bytes, str, int]:
    """Return type, name and size; the fields of an unusual header (binary numbers) are left to `tarfile`."""
    digits, stored = header[124:136].strip(b" \0"), header[148:156].strip(b" \0")
    # Adler-32's low half is 1 + the sum of the bytes, modulo 65521: the header's checksum at C speed, its own field
    # counting as eight spaces.
    total = (zlib_ng.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 256
    if not digits.isdigit() or not stored.isdigit() or (total - int(stored, 8)) % _ADLER:
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise SourceProblem(f"{path}: no tar header at byte {position:,} ({error}). Download it again.") from error
        return info.type, info.name, info.size
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:262] == b"ustar" and header[263:265] == b"00" else b""
    return (
        header[156:157],
        (prefix + b"/" + name if prefix else name).decode("utf-8", "surrogateescape"),
        int(digits, 8),
    )


def _extension(path: Path, file: BinaryIO, kind: bytes, name: str, size: int) -> dict[str, str]:
    if size > _PAX_LIMIT:
        raise SourceProblem(f"{path}: the extended header {shown(name)} claims {size:,} bytes.")
    data = file.read(size)
    if kind == _LONG_NAME:
        return {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records = dict(_pax_records(data))
    if any(key.startswith("GNU.sparse") for key in records):
        raise SourceProblem(f"{path}: holds a sparse file, expected only plain ones.")
    wanted = {"path", "size"} if kind == _PAX else set[str]()
    return {key: value for key, value in records.items() if key in wanted}


def _pax_records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield keyword and value of "LENGTH KEYWORD=VALUE\\n"; raises ValueError for what is none."""
    start = 0
    for _ in range(_MOST_RECORDS):
        if start >= len(data):
            return
        space = data.index(b" ", start, start + _DIGITS)
        stop = start + int(data[start:space])
        if not space < stop <= len(data) or data[stop - 1 : stop] != b"\n":
            raise ValueError("a record of an extended header that is none")
        key, _, value = data[space + 1 : stop - 1].decode("utf-8", "surrogateescape").partition("=")
        yield key, value
        start = stop
    raise ValueError(f"an extended header of more than {_MOST_RECORDS} records")


def read_members(path: Path, offsets: Sequence[int], sizes: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of members in the order asked for.

    What is compressed can only be read forwards: in the tar's own order, reading goes on where it stopped before; in
    another, all that is asked for is read in one pass and held in memory.
    """
    spans = list(zip(offsets, sizes, strict=True))
    if not is_compressed(path):
        with reading(path, "the tar"), open_tar(path) as file:
            yield from (_read(path, file, offset, size) for offset, size in spans)
        return
    with reading(path, "the tar"):
        ordered = sorted(spans)
        file = reopened(path, int(ordered[0][0]) if ordered else 0)
        if spans == ordered:
            yield from (_read(path, file, offset, size) for offset, size in spans)
            return
        held = {offset: _read(path, file, offset, size) for offset, size in ordered}
    yield from (held.pop(offset) for offset in offsets)


def _read(path: Path, file: BinaryIO, offset: int, size: int) -> bytes:
    if size > PHOTO_LIMIT:
        raise SourceProblem(f"{path}: the member at byte {offset:,} claims {size:,} bytes. Download it again.")
    file.seek(offset)
    data = file.read(size)
    if len(data) != size:
        raise SourceProblem(f"{path}: cut short at byte {offset + len(data):,}. Download it again.")
    return data
