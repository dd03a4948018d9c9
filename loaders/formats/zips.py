"""Zip files read in place: by member, as a stream, and never extracted."""

import io
import re
import struct
import zipfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from zlib_ng import zlib_ng

from loaders._errors import SourceProblem, shown
from loaders.files.places import key, state
from loaders.files.reading import RawFile, open_file
from loaders.formats.streams import _PIECE, open_range
from loaders.formats.untrusted import junk, reading

_DIRECTORY_LIMIT = 4 << 20  # bytes: a dozen names come to less than one kB
_END = 22  # bytes of a zip's last record, without a comment
_FACTOR, _SLACK = 64, 1 << 24  # of compressed bytes: photographs come to less than 2
_SOURCE = 1 << 16  # compressed bytes read at a time
_MARKS, _SPAN = 64, 4 << 20  # places in a deflated member from which it is inflated again, and bytes between two


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
    """Return what the directory of a zip lists; raises BadZipFile for bytes before its first member or after its end.

    `zipfile` passes over both: over a whole zip that another was appended to.
    """
    with zipfile.ZipFile(cast(BinaryIO, _Sparing(file))) as archive:
        infos, comment = archive.infolist(), len(archive.comment)
    file.seek(-_END - comment, io.SEEK_END)
    end = file.read(_END)
    if end[:4] != b"PK\5\6" or int.from_bytes(end[20:], "little") != comment:
        raise zipfile.BadZipFile("more follows its end")
    if infos and (before := min(info.header_offset for info in infos)):
        raise zipfile.BadZipFile(f"{before:,} bytes stand before its first member")
    return infos


class MemberStream(io.RawIOBase):
    """The bytes of one zip member, inflated as they are read, forward only; size and CRC-32 are checked at its end."""

    def __init__(self, archive: BinaryIO, info: zipfile.ZipInfo, label: str) -> None:
        self._archive, self._label = archive, label  # first: closing this file closes the archive, whatever follows
        self._inflate = zlib_ng.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        self._compressed_left, self._size, self._left = info.compress_size, info.file_size, info.file_size
        self._crc, self._expected_crc = 0, info.CRC
        with ExitStack() as stack:
            stack.callback(self.close)  # unless all is well
            archive.seek(_data_offset(archive, info))
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise SourceProblem(f"{label}: expected a stored or deflated member, found an encrypted or other one.")
            stack.pop_all()

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
            raise SourceProblem(f"{path}: holds {shown(name)}, expected only members named like {wanted.pattern}.")
        if count > 1:
            raise SourceProblem(f"{path}: holds {name!r} more than once.")
    return kept, skipped


@dataclass(frozen=True)
class ZipMember:
    """A member of a zip, stored or deflated, and where its bytes start."""

    path: Path
    info: zipfile.ZipInfo
    start: int

    def open(self, *, ahead: bool = True) -> BinaryIO:
        """Return it as a seekable file. A deflated one is inflated once from start to end, its CRC-32 checked there.

        Of a stored one, more is read than is asked for, unless `ahead` is not set.
        """
        if self.info.compress_type == zipfile.ZIP_STORED:
            return open_range(self.path, self.start, self.info.file_size, ahead=ahead)
        marks = _marks(key(self.path), state(self.path), self.start)
        return io.BufferedReader(_Inflated(self, marks), _PIECE)

    def stream(self) -> BinaryIO:
        """Return it as a file that is read forwards, whose CRC-32 is checked at its end."""
        if self.info.compress_type != zipfile.ZIP_STORED:
            return self.open()
        return io.BufferedReader(MemberStream(open_file(self.path), self.info, str(self)), _PIECE)

    def __str__(self) -> str:
        return f"{self.path}:{self.info.filename}"


def find_zip_member(path: Path, name: str, most: int) -> ZipMember:
    """Return a member of a zip; raises SourceProblem for one that is encrypted or compressed otherwise.

    Also for one of more than `most` bytes, or of more than its compressed ones can honestly hold.
    """
    with reading(path, f"member {name}"), open_file(path) as file:
        info = {info.filename: info for info in zip_directory(file)}[name]
        if info.flag_bits & 1:
            raise SourceProblem(f"{path}: member {name} is encrypted, upstream's are not. Download it again.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SourceProblem(f"{path}: expected the member {name} stored or deflated. Download it again.")
        if info.file_size > min(most, _FACTOR * info.compress_size + _SLACK):
            raise SourceProblem(
                f"{path}: member {name} claims {info.file_size:,} bytes in {info.compress_size:,}, expected at most "
                f"{most / 2**30:.0f} GB and {_FACTOR} times as many. Download it again."
            )
        return ZipMember(path, info, _data_offset(file, info))


@dataclass
class _Mark:
    """A place in a deflated member: bytes inflated and compressed ones read so far, the CRC-32, what inflates on."""

    position: int
    read: int
    crc: int
    inflate: Any

    def copy(self) -> "_Mark":
        return replace(self, inflate=self.inflate.copy())


@lru_cache(maxsize=4)
def _marks(path: bytes, facts: tuple[int | str, ...], start: int) -> list[_Mark]:
    """Return the marks of a member: those who open it again in this process need not inflate it again to get there."""
    return [_Mark(0, 0, 0, zlib_ng.decompressobj(-15))]


class _Inflated(RawFile):
    """A deflated member. What is passed over is inflated, and a mark set now and then to go back to."""

    def __init__(self, member: ZipMember, marks: list[_Mark]) -> None:
        super().__init__(open_file(member.path), member.info.file_size)
        self._member, self._marks, self._now = member, marks, marks[0].copy()
        self._span = max(_SPAN, self._size // _MARKS)

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if self._at >= self._size or not len(buffer):
            return 0
        nearest = max((mark for mark in self._marks if mark.position <= self._at), key=lambda mark: mark.position)
        if not nearest.position <= self._now.position <= self._at:
            self._now = nearest.copy()
        while self._now.position < self._at:
            self._next(min(_PIECE, self._at - self._now.position))
        piece = self._next(min(len(buffer), self._size - self._at))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _next(self, wanted: int) -> bytes:
        now, piece = self._now, b""
        while not piece:
            source = now.inflate.unconsumed_tail or self._compressed()
            piece = now.inflate.decompress(source, wanted)
            if not piece and (now.inflate.eof or not source):  # at its end, what is left over is kept, and given again
                raise SourceProblem(f"{self._member}: cut short at byte {now.position:,}. Download it again.")
        now.position, now.crc = now.position + len(piece), zlib_ng.crc32(piece, now.crc)
        if now.position == self._size and now.crc != self._member.info.CRC:
            raise SourceProblem(f"{self._member}: its CRC-32 is wrong, so its bytes are damaged. Download it again.")
        if now.position >= self._marks[-1].position + self._span:
            self._marks.append(now.copy())
        return piece

    def _compressed(self) -> bytes:
        self._file.seek(self._member.start + self._now.read)
        piece = self._file.read(min(_SOURCE, self._member.info.compress_size - self._now.read))
        self._now.read += len(piece)
        return piece
