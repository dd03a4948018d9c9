"""Photographs that pass through byte for byte: class-sorted archives put in a fixed pseudo-random order of rows.

The order is that of a hash of each file name, so that a reader of a stream, and the first page of a viewer, sees all
classes without a shuffle buffer, and the order is the same on every machine and for every selection of rows.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base.dataset import Batch, Dataset, Job
from loaders.formats import folders, tars
from loaders.images import arrow

_BATCH = 64  # photographs in a batch: about 7 MB
_BATCH_LIMIT = 1 << 30  # bytes; Arrow's offsets end at 2^31


@dataclass(frozen=True)
class Photo:
    """One row: its `file_name`, its label, and where its bytes lie: in an archive, or at a `place` in a folder."""

    file_name: str
    label: int
    offset: int
    size: int
    place: str = ""


def shuffled(photos: list[Photo]) -> list[Photo]:
    """Return the photographs in the order of a hash of their file names."""
    return sorted(photos, key=lambda photo: hashlib.blake2b(photo.file_name.encode(), digest_size=8).digest())


def _check_names(path: Path, photos: list[Photo]) -> None:
    names = Counter(photo.file_name for photo in photos)
    if len(names) != len(photos):
        raise SourceProblem(f"{path}: holds {names.most_common(1)[0][0]!r} more than once, under different spellings.")


def jobs(dataset: str, config: str, path: Path, photos: list[Photo], shards: list[int]) -> Iterator[Job]:
    """Yield one job a shard."""
    _check_names(path, photos)
    start = 0
    for count in shards:
        chosen = photos[start : start + count]
        numbers = np.array([(photo.label, photo.offset, photo.size) for photo in chosen], np.int64)
        places = [photo.place for photo in chosen if photo.place]
        yield Job(dataset, config, count, ((path, [photo.file_name for photo in chosen], numbers, places),))
        start += count


def _check_size(path: Path, sizes: npt.NDArray[np.int64]) -> None:
    if (size := int(sizes.sum())) > _BATCH_LIMIT:
        raise SourceProblem(
            f"{path}: {len(sizes)} photographs have {size:,} bytes together, expected at most {_BATCH_LIMIT:,}, and a "
            "tenth of a megabyte apiece."
        )


def batches(dataset: Dataset, job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image (the bytes as they are), label, file_name.

    Raises SourceProblem for photographs that cannot be read or are too large, OSError.
    """
    for path, names, numbers, places in job.parts:
        labels, offsets, sizes = numbers.T
        if places:
            files = folders.read(path, places, sizes.tolist())
        else:
            files = tars.read_members(path, offsets.tolist(), sizes.tolist())
        for at in range(0, len(names), _BATCH):
            rows = slice(at, at + _BATCH)
            _check_size(path, sizes[rows])
            images = arrow.images([next(files) for _ in names[rows]])
            columns = [images, arrow.integers(labels[rows]), arrow.strings(names[rows])]
            yield Batch(pa.record_batch(columns, schema=dataset.schema))
