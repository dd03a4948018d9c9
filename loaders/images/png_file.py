"""PNG files taken apart: whether one is whole, and the pixels of one that is.

Pillow reads a PNG leniently: it leaves the CRCs unread, takes a stream that ends before the last row for a picture
whose rest is black, and drops what a stream holds beyond it. PNG: https://www.w3.org/TR/png-3/, 5 and 8 to 10.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image
from zlib_ng import zlib_ng

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = 1 << 26  # 200 MB once decoded
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # by colour type; a letter a sample
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # Adam7
_DAMAGED = cast(type[Exception], zlib_ng.error)
_PIECE = 1 << 20  # bytes inflated at a time
_STORED = 65_535  # bytes in a stored block of deflate


@dataclass(frozen=True)
class Header:
    """What a PNG says of itself."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool

    def __str__(self) -> str:
        depth = "" if self.depth == 8 else f" of {self.depth} bits"
        return f"{_MODES[self.colour]}{depth} {self.width}x{self.height}"

    @property
    def stream_bytes(self) -> int:
        """Bytes of all filtered rows: what the zlib stream of a whole picture holds."""
        passes = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        return sum(self._pass_bytes(*each) for each in passes)

    def _pass_bytes(self, left: int, top: int, across: int, down: int) -> int:
        columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
        bits = columns * len(_MODES[self.colour]) * self.depth
        return rows * (1 + -(-bits // 8)) if columns > 0 and rows > 0 else 0


@dataclass(frozen=True)
class Png:
    """A PNG whose checksums are right: its header, and its compressed rows."""

    header: Header
    data: bytes

    def check(self) -> None:
        """Raise ValueError unless there are as many filtered rows as the header says."""
        for _ in self._pieces():
            pass

    def rows(self) -> bytes:
        """Return the filtered rows; raises ValueError as `check` does."""
        return b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        left, inflate, rest = self.header.stream_bytes, zlib_ng.decompressobj(), self.data
        try:
            while left and (piece := inflate.decompress(rest, min(left, _PIECE))):
                left, rest = left - len(piece), inflate.unconsumed_tail
                yield piece
            more = inflate.decompress(rest, 1)
        except _DAMAGED as error:
            raise ValueError(f"its compressed rows are damaged ({error})") from error
        if left or more or not inflate.eof or inflate.unused_data:
            found = f"{left:,} bytes too few" if left else "more than those" if more else _end(inflate.eof)
            raise ValueError(f"its compressed rows should be {self.header.stream_bytes:,} bytes, found {found}")

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Return the pixels of 8-bit RGB, uint8 [height, width, 3]; raises ValueError as `check` does.

        The rows are inflated here, and Pillow, which undoes their filters, is given them stored.
        """
        size = (self.header.width, self.header.height)
        image = Image.frombytes("RGB", size, _stored(self.rows()), "zip", "RGB", int(self.header.interlaced))
        return np.asarray(image)


def opened(file: bytes, *, alone: bool = True) -> Png:
    """Return a PNG taken apart; raises ValueError for any other file, and for one with a wrong CRC-32.

    Unless `alone` is unset, bytes that follow its end are an error too.
    """
    if not file.startswith(SIGNATURE):
        raise ValueError("no PNG")
    header, data, place, kind = None, [], len(SIGNATURE), b""
    while kind != b"IEND":
        end = place + 8 + int.from_bytes(file[place : place + 4], "big")
        kind, content = file[place + 4 : place + 8], file[place + 8 : end]
        if end + 4 > len(file):
            raise ValueError("cut short")
        if zlib_ng.crc32(content, zlib_ng.crc32(kind)) != int.from_bytes(file[end : end + 4], "big"):
            raise ValueError("a wrong CRC-32")
        header = header or _header(kind, content)
        data += [content] if kind == b"IDAT" else []
        place = end + 4
    if header is None or (alone and place != len(file)):
        raise ValueError(f"{len(file) - place:,} bytes after its end")
    return Png(header, b"".join(data))


def _header(kind: bytes, content: bytes) -> Header:
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (0, 4))
    depth, colour, *methods = content[8:] if len(content) == 13 else (0, -1)
    if kind != b"IHDR" or colour not in _MODES or depth not in (1, 2, 4, 8, 16) or methods[:2] != [0, 0]:
        raise ValueError("no header of a PNG")
    if not 0 < width * height <= PIXELS:
        raise ValueError(f"it claims {width} x {height} pixels")
    return Header(width, height, depth, colour, methods[2] == 1)


def _end(eof: bool) -> str:
    return "more behind their end" if eof else "no end"


def _stored(rows: bytes) -> bytes:
    """Return a zlib stream that holds bytes as they are. RFC 1950 and RFC 1951, 3.2.4."""
    parts = [b"\x78\x01"]
    for at in range(0, len(rows), _STORED):
        piece = rows[at : at + _STORED]
        last = at + _STORED >= len(rows)
        parts += [bytes([last]), len(piece).to_bytes(2, "little"), (len(piece) ^ 0xFFFF).to_bytes(2, "little"), piece]
    return b"".join([*parts, zlib_ng.adler32(rows).to_bytes(4, "big")])
