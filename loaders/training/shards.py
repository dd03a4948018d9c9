"""Shards read side by side by threads, each image straight into its place in one array.

By path, mapped, without `pre_buffer` and without threads of Arrow's own: a reader that is left early cannot abort then.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from loaders._errors import Problem
from loaders.images import decode
from loaders.images.arrow import PARQUET_ERRORS, numbers
from loaders.training.manifest import Shard
from loaders.training.repository import Rows

Shape = tuple[int, ...]
_BATCH = 8 << 20  # bytes of images read at a time
_THREADS = 12  # at most: each takes some 25 MB
_UNDECODED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_LOOK = 64  # images that are looked at for their size, before there is an array


@dataclass(frozen=True)
class Columns:
    """The columns of a split: of images, of labels if there is one, and the names of its classes."""

    image: str
    label: str | None
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class _File:
    """An open shard, and the number of its first row."""

    path: Path
    shard: Shard
    file: pq.ParquetFile
    start: int = 0

    @property
    def rows(self) -> int:
        return int(self.file.metadata.num_rows)


def read(
    rows: Rows, array: Callable[[Shape], NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, Columns]:
    """Return images, uint8 [N, H, W, 3] in what `array` makes of that shape; labels, int64 [N], or None; the columns.

    Raises Problem for a shard that is not what it should be, and for images of different sizes.
    """
    files = _opened(rows)
    columns = _columns(rows, files)
    images = array((sum(file.rows for file in files), *_shape(rows, files, columns)))
    labels = np.empty(len(images), np.int64) if columns.label else None
    with tqdm(total=len(images), desc=rows.split, unit=" images", unit_scale=True, disable=None) as bar:
        lock = Lock()

        def fill(file: _File, stopped: Event) -> None:
            with _told(file):
                for count in _fill(rows, file, columns, images, labels, stopped):
                    with lock:
                        bar.update(count)

        _side_by_side(fill, files)
    rows.check()
    return images, labels, columns


def _side_by_side(fill: Callable[[_File, Event], None], files: Sequence[_File]) -> None:
    """Call `fill` of each file, a thread a core; one that fails stops the others, as Ctrl-C does."""
    stopped = Event()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(min(_THREADS, len(files), cores))
    try:
        for done in as_completed([pool.submit(fill, file, stopped) for file in files]):
            done.result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _told(file: _File) -> Iterator[None]:
    """Tell what pyarrow raises over a shard as a Problem."""
    try:
        yield
    except PARQUET_ERRORS as error:
        raise _damaged(file.path, "a Parquet file that can be read", f"{type(error).__name__}: {error}") from error


def _opened(rows: Rows) -> list[_File]:
    files, start = [], 0
    for path, shard in zip(rows.paths, rows.shards, strict=True):
        size = path.stat().st_size
        if shard.bytes not in (None, size):
            raise _damaged(path, f"{shard.bytes:,} bytes", f"{size:,}")
        try:
            file = _File(path, shard, pq.ParquetFile(path, memory_map=True, pre_buffer=False), start)
        except PARQUET_ERRORS as error:
            raise _damaged(path, "a Parquet file", str(error)) from error
        if shard.rows not in (None, file.rows):
            raise _damaged(path, f"{shard.rows:,} rows", f"{file.rows:,}")
        files.append(file)
        start += file.rows
    return files


def _damaged(path: Path, expected: str, found: str) -> Problem:
    return Problem(
        f"{path}: expected {expected}, found {found}. The shard is damaged, or not of this revision: remove "
        f"{path.resolve()} and load again, which fetches it anew from the Hub; in a folder, copy or build it anew."
    )


def _columns(rows: Rows, files: Sequence[_File]) -> Columns:
    """Return the columns of all shards; raises Problem where there is none of images, or not the same in each."""
    schema = files[0].file.schema_arrow
    images = [f.name for f in schema if pa.types.is_struct(f.type) and f.type.get_field_index("bytes") >= 0]
    if not images:
        raise Problem(f"{rows.title}: expected a column of images, found {', '.join(schema.names)}.")
    features = _features(schema)
    classes = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    label = next(iter(classes), "label" if "label" in schema.names else None)
    for file in files:
        other = file.file.schema_arrow
        if any(
            name not in other.names or other.field(name).type != schema.field(name).type
            for name in (images[0], label)
            if name
        ):
            raise Problem(f"{file.path}: expected the columns of {files[0].path}, found {', '.join(other.names)}.")
    names = features.get(label or "", {}).get("names")
    return Columns(images[0], label, tuple(map(str, names)) if names else None)


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return what `datasets` keeps of its features in a Parquet file; nothing where it does not."""
    try:
        return dict(json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"])
    except (KeyError, TypeError, ValueError):
        return {}


def _shape(rows: Rows, files: Sequence[_File], columns: Columns) -> Shape:
    """Return (H, W, 3) by the first images."""
    first = next((file for file in files if file.rows), None)
    if first is None:
        return (0, 0, 3)
    with _told(first):
        batch = next(first.file.iter_batches(_LOOK, columns=[f"{columns.image}.bytes"], use_threads=False))
    return _decoded(rows, first, batch.column(0), None).shape[1:]


def _fill(
    rows: Rows,
    file: _File,
    columns: Columns,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    stopped: Event,
) -> Iterator[int]:
    """Write the rows of one shard into their places; yield how many, each time. Its mapping ends with it."""
    _check_digest(file)
    wanted = [f"{columns.image}.bytes", *([columns.label] if columns.label else [])]
    at, each = file.start, max(1, _BATCH // max(1, math.prod(images.shape[1:])))
    with file.file:
        for batch in file.file.iter_batches(each, columns=wanted, use_threads=False):
            if stopped.is_set():
                return
            part = slice(at, at + len(batch))
            _decoded(rows, file, batch.column(columns.image), images[part])
            if labels is not None:
                labels[part] = _labels(file, batch.column(columns.label))
            at = part.stop
            yield len(batch)
    if at != file.start + file.rows:
        raise _damaged(file.path, f"{file.rows:,} rows", f"{at - file.start:,}")


def _check_digest(file: _File) -> None:
    if file.shard.sha256 is None:
        return
    with file.path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.shard.sha256:
        raise _damaged(file.path, f"SHA-256 {file.shard.sha256} (the manifest's)", found)


def _labels(file: _File, column: pa.Array) -> NDArray[np.int64]:
    if column.null_count or not pa.types.is_integer(column.type):
        raise Problem(f"{file.path}: expected a whole number as the label of each row, found {column.type} or none.")
    return numbers(column.cast(pa.int64()))


def _decoded(rows: Rows, file: _File, column: pa.Array, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    try:
        return decode(column, out=out)
    except _UNDECODED as error:
        if "different sizes" in str(error):
            raise Problem(
                f"{rows.title}: the photographs are of different sizes and do not fit one array. Crop them as they are "
                "read: datasets.load_dataset with set_transform, and a torch DataLoader with workers."
            ) from error
        raise _damaged(file.path, "images that can be decoded", f"{type(error).__name__}: {error}") from error
