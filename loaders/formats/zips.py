"""Zip files read in place: by member, as a stream, and never extracted."""

import io
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from zlib_ng import zlib_ng

from loaders._errors import SourceProblem
from loaders.files.reading import open_file
from loaders.formats.streams import _PIECE, open_range
from loaders.formats.untrusted import junk, reading

_DIRECTORY_LIMIT = 4 << 20  # bytes: a dozen names come to less than one kB
_MEMBER_LIMIT = 4 << 30  # the largest batch of upstream's has 1.6 GB


class _Sparing:
    """A file that gives no more at a time than an honest zip's directory needs, which `zipfile` reads in one piece."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > _DIRECTORY_LIMIT:
            raise zipfile.BadZipFile(f"its directory claims {size:,} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def zip_directory(file: BinaryIO) -> list[zipfile.ZipInfo]:
    """Return what the directory of a zip lists."""
    with zipfile.ZipFile(cast(BinaryIO, _Sparing(file))) as archive:
        return archive.infolist()


class MemberStream(io.RawIOBase):
    """The bytes of one zip member, inflated as they are read, forward only; size and CRC-32 are checked at its end."""

    def __init__(self, archive: BinaryIO, info: zipfile.ZipInfo, label: str) -> None:
        self._archive, self._label = archive, label  # first: closing this file closes the archive, whatever follows
        archive.seek(_data_offset(archive, info))
        self._inflate = zlib_ng.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        self._compressed_left, self._size, self._left = info.compress_size, info.file_size, info.file_size
        self._crc, self._expected_crc = 0, info.CRC
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceProblem(f"{label}: expected a stored or deflated member, found an encrypted or other one.")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._archive.close()
        super().close()

    def tell(self) -> int:
        return self._size - self._left

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._left)
        piece = self._next(wanted) if wanted else b""
        if wanted and not piece:
            raise SourceProblem(f"{self._label}: cut short, {self._left:,} bytes are missing. Download it again.")
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        self._crc = zlib_ng.crc32(piece, self._crc)
        if piece and not self._left and self._crc != self._expected_crc:
            raise SourceProblem(f"{self._label}: its CRC-32 is wrong, so its bytes are damaged. Download it again.")
        return len(piece)

    def _next(self, wanted: int) -> bytes:
        if self._inflate is None:
            return self._compressed(min(wanted, _PIECE))
        piece = b""
        while not piece and not self._inflate.eof:
            source = self._inflate.unconsumed_tail or self._compressed(_PIECE)
            piece = self._inflate.decompress(source, wanted)  # of no source: what it still holds
            if not source:
                break
        return piece

    def _compressed(self, wanted: int) -> bytes:
        piece = self._archive.read(min(wanted, self._compressed_left))
        self._compressed_left -= len(piece)
        return piece


def _data_offset(archive: BinaryIO, info: zipfile.ZipInfo) -> int:
    if info.header_offset < 0:
        raise zipfile.BadZipFile("the directory says that a member starts before the file")
    archive.seek(info.header_offset)
    header = archive.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("a member's own header is not where the directory says")
    name, extra = struct.unpack("<HH", header[26:30])
    return int(info.header_offset + 30 + name + extra)


def zip_names(path: Path, wanted: re.Pattern[str]) -> tuple[list[str], Counter[str]]:
    """Return the members of a zip that match the pattern, in the archive's order, and the junk skipped, by kind.

    Raises SourceProblem for any other member, and for a name that is there twice.
    """
    with reading(path, "the zip directory"), open_file(path) as file:
        names = [info.filename for info in zip_directory(file) if not info.is_dir()]
    skipped = Counter(kind for name in names if (kind := junk(name)))
    kept = [name for name in names if not junk(name)]
    for name, count in Counter(kept).items():
        if not wanted.fullmatch(name):
            raise SourceProblem(f"{path}: holds {name!r}, expected only members named like {wanted.pattern}.")
        if count > 1:
            raise SourceProblem(f"{path}: holds {name!r} more than once.")
    return kept, skipped


def find_zip_member(path: Path, name: str) -> Callable[[], BinaryIO]:
    """Return what opens one member of a zip as a seekable file, as often as it is called.

    It is read in place when it is stored; otherwise it is inflated again to go back.
    """
    with reading(path, f"member {name}"), open_file(path) as file:
        info = {info.filename: info for info in zip_directory(file)}[name]
        if info.flag_bits & 1:
            raise SourceProblem(f"{path}: member {name} is encrypted, upstream's are not. Download it again.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceProblem(f"{path}: expected the member {name} stored or deflated. Download it again.")
        if info.file_size > _MEMBER_LIMIT:
            raise SourceProblem(f"{path}: member {name} claims {info.file_size:,} bytes, expected at most 4 GB.")
        if info.compress_type == zipfile.ZIP_STORED:
            return partial(open_range, path, _data_offset(file, info), info.file_size)
    return partial(_open_deflated, path, info)


def _open_deflated(path: Path, info: zipfile.ZipInfo) -> BinaryIO:
    with reading(path, f"member {info.filename}"):
        return cast(BinaryIO, zipfile.ZipFile(open_range(path)).open(info))
