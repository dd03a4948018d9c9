"""Photographs that pass through byte for byte: class-sorted archives put in a fixed pseudo-random order of rows.

The order is that of a hash of each file name, so that a reader of a stream, and the first page of a viewer, sees all
classes without a shuffle buffer, and the order is the same on every machine and for every selection of rows.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base.dataset import Batch, Dataset, Job
from loaders.formats.photos import UNKNOWN, Photos
from loaders.images import arrow

_BATCH = 64  # photographs in a batch: about 7 MB
_BATCH_LIMIT = 1 << 30  # bytes; Arrow's offsets end at 2^31


def jobs(dataset: str, config: str, photos: Photos, shards: list[int]) -> Iterator[Job]:
    """Yield one job a shard. Raises SourceProblem for a name that is there twice."""
    if name := photos.twice():
        raise SourceProblem(f"{photos.root}: holds {name!r} more than once, under different spellings.")
    rows, start = photos.by_hash(), 0
    for count in shards:
        yield Job(dataset, config, count, (rows.take(slice(start, start + count)),))
        start += count


def batches(dataset: Dataset, job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image (the bytes as they are), label, file_name.

    Raises SourceProblem for photographs that cannot be read or are too large, OSError.
    """
    for photos in job.parts:
        files = photos.read()
        for at in range(0, len(photos), _BATCH):
            rows = slice(at, at + _BATCH)
            _check_size(photos.root, photos.sizes[rows])
            images = [next(files)[1] for _ in photos.names[rows]]
            names = [name.decode() for name in photos.names[rows].tolist()]
            columns = [arrow.images(images), arrow.integers(photos.labels[rows]), arrow.strings(names)]
            yield Batch(pa.record_batch(columns, schema=dataset.schema))


def _check_size(path: Path, sizes: npt.NDArray[np.int64]) -> None:
    if (size := int(sizes[sizes != UNKNOWN].sum())) > _BATCH_LIMIT:
        raise SourceProblem(
            f"{path}: {len(sizes)} photographs have {size:,} bytes together, expected at most {_BATCH_LIMIT:,}, and a "
            "tenth of a megabyte apiece."
        )
