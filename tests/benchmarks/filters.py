"""Which PNG filter, ZSTD level and page layout: bytes and times of the choices that were open.

    python -m tests.benchmarks.filters [SOURCE]

SOURCE is a folder of upstream's zips; without one, archives of drawn images are made. The first table writes
--images train images with every filter and ZSTD level, and stock's way: PNG by Pillow, Parquet by `datasets`. The
second writes the chosen filter with other page layouts. Times are the processor's, the least of --repeat: other work
on the machine lengthens them less than the wall's. Every encoded image is decoded again and compared.
"""

# mypy: disable-error-code="import-untyped"

import argparse
import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from zlib_ng import zlib_ng

from loaders.formats.batches import BatchFile, open_batch
from loaders.images import arrow, decode, png
from publish.build.shard import CHUNKING
from publish.console.progress import table
from tests.benchmarks import archives

U8 = npt.NDArray[np.uint8]
T = TypeVar("T")

IMAGES = {8: 50_000, 16: 50_000, 32: 10_000, 64: 10_000}
LEVELS = (1, 3, -1)
STOCK_GROUP = 100  # rows of a row group that `datasets` writes for images
SINGLES = 400  # images that Pillow decodes one by one
KIB = 1 << 10
CHUNKED: dict[str, Any] = {"use_content_defined_chunking": CHUNKING}
UNCHUNKED: dict[str, Any] = {"use_content_defined_chunking": False}
HEAD = ("size", "filter", "ZSTD", "bytes", "to stock", "us encode", "us write", "us Pillow", "us batch decode")
LAYOUT_HEAD = ("size", "pages", "bytes/image", "us write", "us read")


def up(pixels: U8, rows: U8) -> None:
    """Filter uint8 pixels [N, S, 3 S] by Up into rows [N, S, 1 + 3 S]."""
    rows[:, :, 0] = 2
    rows[:, 0, 1:] = pixels[:, 0]
    np.subtract(pixels[:, 1:], pixels[:, :-1], rows[:, 1:, 1:])


def sub(pixels: U8, rows: U8) -> None:
    """Filter by Sub."""
    differences = np.empty_like(pixels)
    np.subtract(pixels.reshape(-1)[3:], pixels.reshape(-1)[:-3], differences.reshape(-1)[3:])
    rows[:, :, 0] = 1
    rows[:, :, 1:4] = pixels[:, :, :3]
    rows[:, :, 4:] = differences[:, :, 3:]


def by_image(pixels: U8, rows: U8) -> None:
    """Filter each image by Up or Sub, whichever leaves the smaller sum of absolute differences."""
    other = np.empty_like(rows)
    up(pixels, rows)
    sub(pixels, other)
    up_cost, sub_cost = (np.abs(r[:, :, 1:].view(np.int8)).view(np.uint8).sum(axis=(1, 2)) for r in (rows, other))
    is_sub = sub_cost < up_cost
    rows[is_sub] = other[is_sub]


def paeth(pixels: U8, rows: U8) -> None:
    """Filter by Paeth (PNG specification, 9.4)."""
    rows[:, :, 0] = 4
    left, above, corner = (np.zeros(pixels.shape, np.int16) for _ in range(3))
    left[:, :, 3:], above[:, 1:], corner[:, 1:, 3:] = pixels[:, :, :-3], pixels[:, :-1], pixels[:, :-1, :-3]
    to_left, to_above, to_corner = np.abs(above - corner), np.abs(left - corner), np.abs(left + above - 2 * corner)
    nearest = np.where(to_above <= to_corner, above, corner)
    nearest = np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
    np.subtract(pixels, nearest.astype(np.uint8), rows[:, :, 1:])


FILTERS: Mapping[str, Callable[[U8, U8], None]] = {
    "Up": up,
    "Sub": sub,
    "Up or Sub by row (ours)": png._filter,
    "Up or Sub by image": by_image,
    "Paeth": paeth,
}
LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    **{
        f"by content, {least}-{most} KiB": {
            "use_content_defined_chunking": {
                "min_chunk_size": least * KIB, "max_chunk_size": most * KIB, "norm_level": 0,
            }
        }
        for least, most in ((64, 256), (256, 512), (512, 1024), (256, 1024))
    },
    "at 512 KiB, looked at every 16 rows": UNCHUNKED | {"write_batch_size": 16, "data_page_size": 512 * KIB},
    "at 1 MiB, looked at every 16 rows": UNCHUNKED | {"write_batch_size": 16},
    "at 1 MiB, looked at every 1,024 rows": UNCHUNKED,
}  # fmt: skip


def encode(planes: U8, apply: Callable[[U8, U8], None]) -> U8:
    """Write uint8 [N, 3, S, S] as stored PNGs, as `loaders.images.png.encode` does, with any filter."""
    size, step = planes.shape[2], png.block_rows(planes.shape[2])
    files = np.empty((len(planes), png.file_bytes(size)), np.uint8)
    for at in range(0, len(planes), step):
        _frame(planes[at : at + step], files[at : at + step], apply)
    return files


def _frame(planes: U8, files: U8, apply: Callable[[U8, U8], None]) -> None:
    count, size, (head, tail) = len(planes), planes.shape[2], (png.HEAD, png.TAIL)
    files[...] = png.template(size)
    apply(png._interleaved(planes), files[:, head:-tail].reshape(count, size, 1 + 3 * size))
    png._put(files[:, -tail : -tail + 4], map(zlib_ng.adler32, files[:, head:-tail]))
    png._put(files[:, -tail + 4 : -tail + 8], map(zlib_ng.crc32, files[:, png._IDAT : -tail + 4]))


def undo_up(files: U8, size: int) -> U8:
    """Undo Up alone: a running sum down the columns."""
    pixels = files[:, png.HEAD : -png.TAIL].reshape(len(files), size, 1 + 3 * size)[:, :, 1:].copy()
    for part in np.array_split(pixels, -(-len(pixels) // 256)):
        for y in range(1, size):
            part[:, y] += part[:, y - 1]
    return pixels.reshape(-1, size, size, 3)


def least(repeat: int, call: Callable[[], T]) -> tuple[float, T]:
    """Return the least processor seconds of `repeat` calls, and what the last returned."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return min(seconds), result


def write(images: pa.Array, level: int, layout: Mapping[str, Any]) -> pa.Buffer:
    """Write one column as the publisher does: one row group, a page index, ZSTD."""
    sink, rows = pa.BufferOutputStream(), pa.table({"image": images})
    settings = {"compression": "zstd", "compression_level": level, "use_dictionary": False, "write_statistics": False}
    pq.write_table(rows, sink, **settings, row_group_size=len(rows), write_page_index=True, **layout)
    return sink.getvalue()


def singles(images: pa.Array, repeat: int) -> float:
    """Return us an image of decoding by Pillow, one by one."""
    files = images.field("bytes")[:SINGLES].to_pylist()
    seconds, _ = least(repeat, lambda: [np.asarray(Image.open(io.BytesIO(file))) for file in files])
    return seconds / len(files) * 1e6


def check(images: pa.Array, planes: U8) -> None:
    """Raise ValueError unless the images decode to the pixels."""
    for at in range(0, len(planes), 1000):
        if not np.array_equal(decode(images[at : at + 1000]), planes[at : at + 1000].transpose(0, 2, 3, 1)):
            raise ValueError(f"images {at} to {at + 1000} do not decode to the pixels they were made from")


@dataclass(frozen=True)
class Stock:
    """Stock's way: bytes an image, and its times in us."""

    bytes: float
    encode: float
    write: float
    pillow: float


def _pillow_png(pixels: U8) -> bytes:
    Image.fromarray(pixels).save(buffer := io.BytesIO(), "PNG")
    return buffer.getvalue()


def stock(planes: U8, repeat: int) -> Stock:
    """Encode by Pillow and write by `datasets`, as a `GeneratorBasedBuilder` does."""
    import datasets
    from datasets.arrow_writer import ParquetWriter

    seconds, files = least(1, lambda: [_pillow_png(p) for p in np.ascontiguousarray(planes.transpose(0, 2, 3, 1))])
    images = arrow.images(files)

    def written() -> int:
        sink = pa.BufferOutputStream()
        with ParquetWriter(stream=sink, features=datasets.Features({"image": datasets.Image()})) as writer:
            for at in range(0, len(images), STOCK_GROUP):
                writer.write_table(pa.table({"image": images[at : at + STOCK_GROUP]}))
            writer.finalize(close_stream=False)
        return int(sink.getvalue().size)

    write_seconds, size = least(repeat, written)
    each = 1e6 / len(planes)
    return Stock(size / len(planes), seconds * each, write_seconds * each, singles(images, repeat))


def compare(size: int, planes: U8, repeat: int) -> list[tuple[str, ...]]:
    """Return the lines of the first table for one size."""
    peer, each = stock(planes, repeat), 1e6 / len(planes)
    times = (peer.encode, peer.write, peer.pillow)
    lines = [(f"{size}", "stock", "-", f"{peer.bytes:,.0f}", "1.000", *(f"{t:.2f}" for t in times), "-")]
    for name, apply in FILTERS.items():
        seconds, files = least(repeat, lambda apply=apply: encode(planes, apply))  # type: ignore[misc]
        images = arrow.images_of_one_length(files)
        check(images, planes)
        one, batch = f"{singles(images, repeat):.1f}", _batch_decode(name, size, files, repeat)
        for level in LEVELS:
            written, buffer = least(repeat, lambda i=images, n=level: write(i, n, CHUNKED))  # type: ignore[misc]
            share = buffer.size / len(planes)
            cells = (f"{share:,.0f}", f"{share / peer.bytes:.3f}", f"{seconds * each:.2f}", f"{written * each:.2f}")
            lines.append((f"{size}", name, f"{level}", *cells, one, batch))
    return lines


def _batch_decode(name: str, size: int, files: U8, repeat: int) -> str:
    if name == "Paeth":
        return "-"
    images, parts = arrow.images_of_one_length(files), range(0, len(files), 1000)
    whole, _ = least(repeat, lambda: [decode(images[at : at + 1000]) for at in parts])
    found = f"{whole / len(files) * 1e6:.2f}"
    if name != "Up":
        return found
    alone, _ = least(repeat, lambda: [undo_up(files[at : at + 1000], size) for at in parts])
    return f"{found} ({alone / len(files) * 1e6:.2f} if nothing else)"


def compare_layouts(size: int, planes: U8, repeat: int) -> list[tuple[str, ...]]:
    """Return the lines of the second table for one size."""
    images, each = arrow.images_of_one_length(png.encode(planes)), 1e6 / len(planes)
    lines: list[tuple[str, ...]] = []
    for name, layout in LAYOUTS.items():
        written, buffer = least(repeat, lambda layout=layout: write(images, 1, layout))  # type: ignore[misc]
        read, _ = least(repeat, lambda b=buffer: pq.read_table(b, use_threads=False))  # type: ignore[misc]
        cells = (f"{buffer.size * each / 1e6:,.0f}", f"{written * each:.2f}", f"{read * each:.2f}")
        lines.append((f"{size}", name, *cells))
    return lines


def read_planes(source: Path, size: int, count: int) -> U8:
    """Return the first `count` train images of a folder of zips, uint8 [<= count, 3, S, S].

    Raises:
        FileNotFoundError: there is no such zip.
    """
    paths = sorted(source.glob(f"Imagenet{size}_train*_npz.zip"))
    if not paths:
        raise FileNotFoundError(f"{source}: expected Imagenet{size}_train*_npz.zip, found none; name another folder")
    parts: list[U8] = []
    for file in (BatchFile(path, name) for path in paths for name in zipfile.ZipFile(path).namelist()):
        batch = open_batch(file, size)
        parts.append(batch.read(0, min(count - sum(map(len, parts)), batch.rows)))
    return np.concatenate(parts).reshape(-1, 3, size, size)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", help="folder of upstream's zips (default: drawn ones)")
    parser.add_argument("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64])
    parser.add_argument("--images", type=int, help="of each size (default: 50,000, at 32 and 64 px 10,000)")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    lines, layouts = [], []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        for size in options.sizes:
            count = options.images or IMAGES[size]
            if not options.source:
                archives.write(Path(folder), [size], count)
            planes = read_planes(options.source or Path(folder), size, count)
            lines += compare(size, planes, options.repeat)
            layouts += compare_layouts(size, planes, options.repeat)
    print(table(HEAD, lines), table(LAYOUT_HEAD, layouts), sep="\n\n")


if __name__ == "__main__":
    main()
