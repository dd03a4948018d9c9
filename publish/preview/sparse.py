"""A file of which some spans are known, for reading one small column of a shard that lies far away."""

import io
from collections.abc import Sequence


class Missing(Exception):
    """Bytes are needed that are not known: from `span[0]` to before `span[1]`."""

    def __init__(self, begin: int, end: int) -> None:
        super().__init__(f"bytes {begin} to {end}")
        self.span = (begin, end)


class Sparse(io.RawIOBase):
    """A file of `size` bytes of which only `spans` are known, whose bytes stand in `body` one after the other."""

    def __init__(self, size: int, spans: Sequence[tuple[int, int]], body: bytes) -> None:
        self._size, self._at = size, 0
        self._known: list[tuple[int, int, bytes]] = []
        for begin, end in spans:
            self._known.append((begin, end, body[: end - begin]))
            body = body[end - begin :]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return bytes that are known; raises Missing for others."""
        begin = min(max(self._at, 0), self._size)
        end = self._size if size < 0 else min(begin + size, self._size)
        for known_begin, known_end, data in self._known:
            if known_begin <= begin and end <= known_end:
                self._at = end
                return data[begin - known_begin : end - known_begin]
        raise Missing(begin, end)
