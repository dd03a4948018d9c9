"""Files read in place: by byte range, through gzip when their content is gzip, and never extracted."""

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

from zlib_ng import gzip_ng

from loaders.files.reading import RawFile, open_file

_PIECE = 1 << 18  # compressed bytes read at a time

_open_gzip: Any = gzip_ng.open  # untyped


class ByteRange(RawFile):
    """A part of a file, or what follows a byte of it, as a read-only file of its own."""

    def __init__(self, path: Path, offset: int, size: int | None, *, ahead: bool) -> None:
        file = open_file(path, ahead=ahead)
        super().__init__(file, file.seek(0, io.SEEK_END) - offset if size is None else size)
        self._offset = offset

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._offset + self._at)
        count = cast(io.RawIOBase, self._file).readinto(memoryview(buffer)[:wanted])
        self._at += count or 0
        return count or 0


def open_range(path: Path, offset: int = 0, size: int | None = None, *, ahead: bool = True) -> BinaryIO:
    """Open a part of a file, to its end by default. More is read than is asked for, unless `ahead` is not set."""
    part = ByteRange(path, offset, size, ahead=ahead)
    return io.BufferedReader(part, _PIECE) if ahead else cast(BinaryIO, part)


def gunzipped(file: "Path | BinaryIO") -> BinaryIO:
    """Open what a gzip stream inflates to."""
    return cast(BinaryIO, _open_gzip(file, "rb"))
