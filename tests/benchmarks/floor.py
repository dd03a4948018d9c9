"""The floor of a build of `imagenet_resized`: the time that even perfect code spends, on the same cores.

Three things cannot be left out: inflating the source, hashing the source and the result, and compressing the
result's column bytes. Each is done here by the fastest library at hand, in pieces that fit the cache, and only the
calls into those libraries are on the clock: no opening, no reading of files, no framing of pictures. A part's seconds
are those of all its tasks together divided by the workers, hence an even spread that a real schedule may miss. The
processes stay busy with tasks of all parts, so that the cores share caches and clock rate as in a real build.
"""

# mypy: disable-error-code="import-untyped"

import argparse
import hashlib
import json
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from zlib_ng import zlib_ng

READ = 128 * 1024  # bytes read and given to a library at once
PAGE = 128 * 1024  # bytes of uncompressed column data in a page
ROWS = 4096  # of the Parquet, held in memory at once
LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: lengths of the name and the extra field, which it precedes
T = TypeVar("T")


@dataclass
class Clock:
    """Adds up the seconds of the calls made through it, and nothing between them."""

    seconds: float = 0.0

    def __call__(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)`, timed."""
        start = time.perf_counter()
        result = function(*args)
        self.seconds += time.perf_counter() - start
        return result


@dataclass(frozen=True)
class Task:
    """One unit of work: a whole file, or one npz member of a zip."""

    part: str
    path: str
    member: str = ""

    def weight(self) -> int:
        """Bytes read, in order to start the longest tasks first."""
        if not self.member:
            return Path(self.path).stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).compress_size


@dataclass(frozen=True)
class Done:
    """What a task took: its part, seconds on the clock, bytes given in, and images seen (by `inflate` only)."""

    part: str
    seconds: float
    given: int
    images: int = 0


def pieces(file: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    """`size` bytes of a file from `start` on, READ at a time."""
    file.seek(start)
    while size > 0 and (piece := file.read(min(READ, size))):
        size -= len(piece)
        yield piece


def _data_start(file: IO[bytes], info: zipfile.ZipInfo) -> int:
    file.seek(info.header_offset)
    name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    return info.header_offset + LOCAL_HEADER.size + int(name) + int(extra)


def _stream(clock: Clock, compressed: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = zlib_ng.decompressobj(-15)
    return (clock(decompressor.decompress, piece) for piece in compressed)


def _cut(stream: Iterator[bytes], spans: Sequence[tuple[int, int]]) -> Iterator[list[bytes]]:
    """The parts of each piece of a stream that lie in each of the spans (start, stop), as one list a piece."""
    position = 0
    for piece in stream:
        ends = [(max(start - position, 0), max(stop - position, 0)) for start, stop in spans]
        position += len(piece)
        yield [piece[start:stop] for start, stop in ends]


def inflate(task: Task, size: int) -> Done:
    """Inflate every array of one npz member, and the member itself where the outer zip deflates too."""
    clock, given = Clock(), 0
    with zipfile.ZipFile(task.path) as outer, Path(task.path).open("rb") as raw:
        info = outer.getinfo(task.member)
        with outer.open(info) as opened, zipfile.ZipFile(opened) as inner:
            arrays = inner.infolist()
            spans = [(start := _data_start(opened, a), start + a.compress_size) for a in arrays]
        member = pieces(raw, _data_start(raw, info), info.compress_size)
        stream = member if info.compress_type == zipfile.ZIP_STORED else _stream(clock, member)
        inflaters = [zlib_ng.decompressobj(-15) for _ in arrays]
        for parts in _cut(stream, spans):
            for inflater, part in zip(inflaters, parts, strict=True):
                given += len(clock(inflater.decompress, part)) if part else 0
    if given != sum(array.file_size for array in arrays):
        raise ValueError(f"{task.path}: {task.member}: inflated to {given} bytes, not to what its directory says")
    pixels = next(array.file_size for array in arrays if array.filename == "data.npy")
    return Done(task.part, clock.seconds, given, pixels // (3 * size * size))  # the header is shorter than a row


def digest(task: Task, size: int) -> Done:
    """SHA-256 of a file."""
    clock, hasher, given = Clock(), hashlib.sha256(), 0
    with Path(task.path).open("rb") as file:
        for piece in pieces(file, 0, Path(task.path).stat().st_size):
            clock(hasher.update, piece)
            given += len(piece)
    return Done(task.part, clock.seconds, given)


def columns(path: str) -> Iterator[memoryview]:
    """The column bytes of a Parquet file as its pages hold them before compression, ROWS rows at a time."""
    for batch in pq.ParquetFile(path).iter_batches(ROWS):
        sink = pa.BufferOutputStream()
        table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
        pq.write_table(table, sink, compression="none", use_dictionary=["label"], write_statistics=False)
        yield memoryview(sink.getvalue())


def compress(task: Task, size: int) -> Done:
    """ZSTD at level 1 of a Parquet file's column bytes, a page at a time."""
    clock, codec, given = Clock(), pa.Codec("zstd", compression_level=1), 0
    for data in columns(task.path):
        for start in range(0, len(data), PAGE):
            clock(codec.compress, data[start : start + PAGE])
        given += len(data)
    return Done(task.part, clock.seconds, given)


PARTS: dict[str, Callable[[Task, int], Done]] = {"inflate": inflate, "sha256": digest, "zstd": compress}


def _work(task: Task, size: int) -> Done:
    return PARTS[task.part](task, size)


def tasks(source: Path, parquet: Path, size: int) -> list[Task]:
    """All tasks of a build, the largest first.

    Raises:
        FileNotFoundError: there are no archives of this size, or no Parquet files.
    """
    zips, shards = sorted(source.glob(f"Imagenet{size}_*_npz.zip")), sorted(parquet.rglob("*.parquet"))
    if not zips:
        raise FileNotFoundError(f"{source}: expected archives named Imagenet{size}_*_npz.zip, found none")
    if not shards:
        raise FileNotFoundError(f"{parquet}: expected Parquet files of a finished build, found none")
    members = [(path, name) for path in zips for name in zipfile.ZipFile(path).namelist() if name.endswith(".npz")]
    found = [Task("inflate", str(path), name) for path, name in members]
    found += [Task("sha256", str(path)) for path in zips + shards]
    found += [Task("zstd", str(path)) for path in shards]
    return sorted(found, key=Task.weight, reverse=True)


def _check(todo: Sequence[Task], images: int, size: int) -> None:
    """Raise ValueError unless the Parquet files hold so many pictures of this size: a floor of other data misleads."""
    paths = [task.path for task in todo if task.part == "zstd"]
    rows = sum(pq.read_metadata(path).num_rows for path in paths)
    first = next(pq.ParquetFile(paths[0]).iter_batches(1, columns=["image.bytes"]))
    width, height = struct.unpack_from(">II", first["image"][0]["bytes"].as_py(), 16)  # of a PNG's header
    if (rows, width, height) != (images, size, size):
        expected, found = f"{images} images of {size}x{size}", f"{rows} of {width}x{height}"
        raise ValueError(f"{paths[0]}: expected {expected} in all, as in the archives, found {found}; give their build")


def measure(source: Path, parquet: Path, size: int, workers: int) -> dict[str, Any]:
    """Seconds of each part and in sum, images, and bytes given to each part.

    Raises:
        ValueError: the Parquet files do not hold the pictures of the archives.
    """
    todo = tasks(source, parquet, size)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(_work, todo, [size] * len(todo)))
    images = sum(d.images for d in done)
    _check(todo, images, size)
    seconds = {part: sum(d.seconds for d in done if d.part == part) / workers for part in PARTS}
    given = {part: sum(d.given for d in done if d.part == part) for part in PARTS}
    return {"images": images, "seconds": sum(seconds.values()), "parts": seconds, "bytes": given}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the ImagenetN_*_npz.zip archives")
    parser.add_argument("parquet", type=Path, help="folder of the Parquet files built from them")
    parser.add_argument("--size", type=int, choices=(8, 16, 32, 64), default=64)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    print(json.dumps(measure(args.source, args.parquet, args.size, args.workers)))


if __name__ == "__main__":
    main()
