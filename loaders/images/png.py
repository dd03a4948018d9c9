"""Square RGB images as PNG files, a whole batch at a time.

Each file is an ordinary PNG whose deflate stream is one *stored* block of *filtered* rows: nothing in it is
compressed, so writing it is array arithmetic, and the compressing is done once, by ZSTD on the Parquet column.
Filtering matters all the same: it is what makes neighbouring bytes alike. Each row takes filter Up or Sub, whichever
leaves the smaller sum of absolute differences (the heuristic of the PNG specification, 12.8); both are undone by array
operations too.

Layout: signature 8 | IHDR 25 | IDAT length and type 8, zlib header 2, stored-block header 5, S rows of 1 + 3 S bytes,
Adler-32 4, CRC-32 4 | IEND 12. PNG: https://www.w3.org/TR/png-3/; zlib: RFC 1950; stored blocks: RFC 1951, 3.2.4.
"""

import struct
import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

U8 = npt.NDArray[np.uint8]
LARGEST = 147  # the largest S whose rows, S (1 + 3 S) bytes, fit the 65,535 bytes of one stored block
HEAD = 48  # bytes before the first row
TAIL = 20  # bytes after the last one
_IDAT = 37  # where the CRC of the IDAT chunk starts counting: at its type
_SUB, _UP = 1, 2
_BLOCK_BYTES = 800000  # pixels worked on at a time: a block and what is made of it stay close to the core


def file_bytes(size: int) -> int:
    """Return the length of the PNG of a size x size image."""
    return HEAD + size * (1 + 3 * size) + TAIL


def row_bytes(size: int) -> int:
    """Return about the length of a row of Parquet; measured on crops of photographs at 8, 16, 32 and 64 pixels."""
    return round(3 * size * size * (0.68 + 2.3 / size))


def block_rows(size: int) -> int:
    """Return how many images fit the cache at a time."""
    return max(16, min(2048, _BLOCK_BYTES // (3 * size * size)))


def encode(pixels: U8) -> U8:
    """Write images as PNG files.

    Args:
        pixels: uint8 [N, 3, S, S], the planes red, green, blue; S from 1 to 147.

    Returns:
        uint8 [N, file_bytes(S)], a file a row.

    Raises:
        ValueError: for another shape or dtype, or an S whose rows do not fit one stored block.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.shape[2] != pixels.shape[3]:
        raise ValueError(f"expected uint8 pixels [N, 3, S, S], found {pixels.dtype} {list(pixels.shape)}")
    size = pixels.shape[2]
    if not 1 <= size <= LARGEST:
        raise ValueError(f"one stored block holds images of 1 to {LARGEST} pixels a side, not {size}")
    files = np.empty((len(pixels), file_bytes(size)), np.uint8)
    step = block_rows(size)
    for start in range(0, len(pixels), step):
        _write(pixels[start : start + step], files[start : start + step])
    return files


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@lru_cache
def template(size: int) -> U8:
    """Return uint8 [file_bytes(size)]: all that PNG files of one size share, the rest 0."""
    rows = size * (1 + 3 * size)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
    stored = b"\x78\x01" + struct.pack("<BHH", 1, rows, rows ^ 0xFFFF)
    idat = struct.pack(">I", len(stored) + rows + 4) + b"IDAT" + stored
    file = b"\x89PNG\r\n\x1a\n" + header + idat + bytes(rows + 8) + _chunk(b"IEND", b"")
    return np.frombuffer(file, np.uint8)


def _write(planes: U8, files: U8) -> None:
    count, size = len(planes), planes.shape[2]
    files[...] = template(size)
    _filter(_interleaved(planes), files[:, HEAD:-TAIL].reshape(count, size, 1 + 3 * size))
    _put(files[:, -TAIL : -TAIL + 4], map(zlib_ng.adler32, files[:, HEAD:-TAIL]))
    _put(files[:, -TAIL + 4 : -TAIL + 8], map(zlib_ng.crc32, files[:, _IDAT : -TAIL + 4]))


def _put(place: U8, checksums: Iterable[int]) -> None:
    values = np.fromiter(checksums, np.uint32, len(place))
    place[...] = values.astype(">u4").view(np.uint8).reshape(place.shape)


def _interleaved(planes: U8) -> U8:
    count, _, size, _ = planes.shape
    pixels = np.empty((count, size * size, 3), np.uint8)
    for channel in range(3):  # a plane at a time: 3.6 times as fast as one transposed copy
        pixels[:, :, channel] = planes[:, channel].reshape(count, -1)
    return pixels.reshape(count, size, 3 * size)


def _filter(pixels: U8, rows: U8) -> None:
    """Write uint8 pixels [N, S, 3 S] as rows [N, S, 1 + 3 S], each behind the number of its filter."""
    count, size, width = pixels.shape
    sub, up = both = np.empty((2, count, size, width), np.uint8)
    # Over the whole block at once, ends of rows and images included, and then the first pixels and rows put right:
    # one long loop in place of many short ones.
    for differences, distance in ((sub, 3), (up, width)):
        np.subtract(pixels.reshape(-1)[distance:], pixels.reshape(-1)[:-distance], differences.reshape(-1)[distance:])
    sub[:, :, :3] = pixels[:, :, :3]
    up[:, 0] = pixels[:, 0]
    sub_cost, up_cost = _cost(both.reshape(2 * count * size, width)).reshape(2, -1)
    is_up = up_cost <= sub_cost
    rows[:, :, 0] = np.where(is_up, _UP, _SUB).reshape(count, size)
    chosen = np.arange(count * size) + np.where(is_up, count * size, 0)
    rows[:, :, 1:] = both.reshape(-1, width).take(chosen, axis=0).reshape(pixels.shape)


def _cost(rows: U8) -> npt.NDArray[np.uint16]:
    # -128 has no positive int8: np.abs leaves it, and as uint8 it is 128 again. einsum sums short rows 2-3 times as
    # fast as add.reduce; LARGEST rows of 441 bytes times 128 fit 16 bits.
    absolute = np.abs(rows.view(np.int8)).view(np.uint8)
    sums: npt.NDArray[np.uint16] = np.einsum("ij->i", absolute, dtype=np.uint16)
    return sums
