"""Decode a batch of images at once, most of it array arithmetic. Needs numpy, pyarrow and pillow.

for batch in load_dataset(..., streaming=True).with_format("arrow").iter(batch_size=1000):
    images = decode(batch["image"])
"""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image


def decode(images: Any, block: int = 3_000_000, out: np.ndarray | None = None) -> np.ndarray:
    """Return uint8 [N, H, W, 3] for a column of image bytes: Arrow, or a sequence of bytes or {"bytes": ...} dicts.

    Images of this repository are undone about `block` bytes at a time, checksums unread; any other by Pillow. `out`
    takes the pixels, if given. Raises ValueError for a missing image and for images of different sizes, TypeError for
    what is no column of bytes, and what Pillow does (UnidentifiedImageError...).
    """
    column = _column(images)
    step = max(1, 8 * block // max(1, column[:8].nbytes))  # by the first few: asking all takes as long as decoding
    for at in range(0, len(column), step):
        part = _part(column[at : at + step], at)
        files = _files(part)
        size = _size(files)
        decoded = [] if size else [np.asarray(Image.open(io.BytesIO(f.as_py())).convert("RGB")) for f in part]
        shapes = {image.shape for image in decoded} or {(size, size, 3)}
        if out is None:  # one array, filled in place: memory asked for anew in every block costs more than the sums
            out = np.empty((len(column), *min(shapes)), np.uint8)
        if shapes != {out.shape[1:]}:
            raise ValueError("the images are of different sizes: they do not fit one array")
        pixels = out[at : at + len(part)]
        if size:
            _undo(files, pixels.reshape(-1, size, 3 * size))
        else:
            pixels[:] = decoded
    return np.empty((0, 0, 0, 3), np.uint8) if out is None else out


def _column(images: Any) -> pa.ChunkedArray:
    if not isinstance(images, pa.Array | pa.ChunkedArray):
        images = pa.array([_file(x) for x in images], pa.large_binary())
    return images if isinstance(images, pa.ChunkedArray) else pa.chunked_array([images])


def _part(rows: pa.ChunkedArray, first: int) -> pa.Array:
    """Return rows as large_binary in one piece; a whole column may be too large for that, by its offsets of 32 bits."""
    part = rows.chunk(0) if rows.num_chunks == 1 else rows.combine_chunks()
    if pa.types.is_struct(part.type):
        part = part.flatten()[part.type.get_field_index("bytes")]
    if part.null_count:
        raise ValueError(f"row {first + np.flatnonzero(part.is_null())[0]} has no image")
    return part.cast(pa.large_binary())


def _file(item: Any) -> Any:
    item = item["bytes"] if isinstance(item, dict) else item
    if item is not None and not isinstance(item, bytes):
        raise TypeError(
            f"expected the bytes of image files, found {type(item).__name__}: these images are decoded already. For "
            'their bytes, use with_format("arrow") or cast_column("image", datasets.Image(decode=False))'
        )
    return item


def _files(column: pa.Array) -> np.ndarray:
    """Return uint8 [N, length], or [0, 0] for files of different lengths."""
    ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset :][: len(column) + 1]
    if (np.diff(ends) != ends[1] - ends[0]).any():
        return np.empty((0, 0), np.uint8)
    data = np.frombuffer(column.buffers()[2] or b"", np.uint8)
    return data[ends[0] : ends[-1]].reshape(len(column), -1)


def _head(size: int, length: int) -> np.ndarray:
    """Return the 48 bytes before the rows of such a PNG: all of them are the same in each."""
    header = b"IHDR" + struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    idat = struct.pack(">I", length + 11) + b"IDATx\x01\x01" + struct.pack("<HH", length, length ^ 0xFFFF)
    head = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + struct.pack(">I", zlib.crc32(header)) + idat
    return np.frombuffer(head, np.uint8)


def _size(files: np.ndarray) -> int:
    """Return S if all files are stored PNGs of S x S pixels whose rows have filter Sub or Up, else 0."""
    size = round((max(files.shape[1] - 68, 0) / 3) ** 0.5 - 1 / 6)
    length = size + 3 * size * size
    if not 0 < length == files.shape[1] - 68 < 65536 or (files[:, :48] != _head(size, length)).any():
        return 0
    filters = files[:, 48 : -20 : 1 + 3 * size]
    return size if ((filters == 1) | (filters == 2)).all() else 0


def _undo(files: np.ndarray, pixels: np.ndarray) -> None:
    """Write the pixels of stored PNGs to uint8 [N, S, 3 S]."""
    _, size, width = pixels.shape
    rows = files[:, 48:-20].reshape(-1, size, 1 + width)
    pixels[:] = rows[:, :, 1:]
    flat, which = pixels.reshape(-1, width), np.flatnonzero(rows[:, :, 0] == 1)
    left = flat.take(which, axis=0)  # Sub: a running sum along the row, in log2(S) steps over all rows as one run
    shifted, step = np.zeros_like(left), 3
    while step < width:
        shifted.reshape(-1)[step:] = left.reshape(-1)[:-step]
        shifted[:, :step] = 0  # what a row must not take from the row before it
        left += shifted
        step *= 2
    flat[which] = left
    above, mask = np.empty_like(pixels[:, 0]), (rows[:, :, :1] == 2) * np.uint8(255)
    for y in range(1, size):  # Up: plus the row above, where that is the row's filter
        pixels[:, y] += np.bitwise_and(pixels[:, y - 1], mask[:, y], out=above)
