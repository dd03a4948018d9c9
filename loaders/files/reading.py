"""Files opened for reading, here or in a store alike."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from loaders.files.places import is_local, remote


class RawFile(io.RawIOBase):
    """What every such file does alike: it knows its place and its end, and closes the other with itself.

    `readinto` is each kind's own.
    """

    _file: BinaryIO = io.BytesIO()  # what is closed of one whose file could not be opened

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._at = file, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


_LEAST, _MOST = 1 << 18, 8 << 20  # bytes of a request to a store: of the first, and of one in a file read to its end


def open_file(path: Path, *, ahead: bool = True) -> BinaryIO:
    """Open a file for reading. Of a remote one, more is asked for than is read, unless `ahead` is not set."""
    if is_local(path):
        return path.open("rb", buffering=0)
    file = remote(path).open("rb", cache_type="none")
    return cast(BinaryIO, _Ahead(file) if ahead else file)


class _Ahead(RawFile):
    """A remote file. Each request asks for twice as much as the one before while it is read in one go.

    So a header costs little, and a gigabyte few requests.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, file.seek(0, io.SEEK_END))
        self._piece, self._start, self._ask = b"", 0, _LEAST

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        if not self._start <= self._at < self._start + len(self._piece):
            self._fetch()
        begin = self._at - self._start
        piece = memoryview(self._piece)[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        goes_on = self._piece and self._at == self._start + len(self._piece)
        self._ask = min(2 * self._ask, _MOST) if goes_on else _LEAST
        self._piece, self._start = b"", self._at  # free before the next comes
        self._file.seek(self._at)
        self._piece = self._file.read(min(self._ask, self._size - self._at))


def read_ranges(paths: Sequence[Path], starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
    """Return a piece of each file; from a store, many at once."""
    if paths and not is_local(paths[0]):
        stops = [start + length for start, length in zip(starts, lengths, strict=True)]
        names = [remote(path).path for path in paths]
        return list(remote(paths[0]).fs.cat_ranges(names, list(starts), stops, on_error="raise"))
    pieces = []
    for path, start, length in zip(paths, starts, lengths, strict=True):
        file = os.open(path, os.O_RDONLY)
        try:
            pieces.append(os.pread(file, length, start))
        finally:
            os.close(file)
    return pieces
