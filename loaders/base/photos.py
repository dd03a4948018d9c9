"""Photographs, passed through byte for byte or resized: class-sorted archives put in a fixed pseudo-random order.

The order is that of a hash of each file name, so that a reader of a stream, and the first page of a viewer, sees all
classes without a shuffle buffer, and the order is the same on every machine and for every selection of rows.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base.dataset import Batch, Dataset, Job
from loaders.formats.photos import UNKNOWN, Photos
from loaders.images import arrow, photographs, png
from loaders.images.jpeg import Damage

_Resized = tuple[npt.NDArray[np.uint8], dict[str, Damage], list[list[str]]]
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
            places, images = zip(*itertools.islice(files, len(photos.names[rows])), strict=True)
            names = [name.decode() for name in photos.names[rows].tolist()]
            columns = [arrow.images(list(images)), arrow.integers(photos.labels[rows]), arrow.strings(names)]
            yield Batch(pa.record_batch(columns, schema=dataset.schema), places=places)


def resized_batches(dataset: Dataset, job: Job, size: int, squaring: str) -> Iterator[Batch]:
    """Yield blocks of rows: image (PNG of the photograph at that many pixels a side), label, file_name.

    `squaring` is one of `photographs.SQUARINGS`. Raises SourceProblem for photographs that cannot be decoded, OSError.
    """
    for photos in job.parts:
        pixels, damaged, odd = _resized(photos, size, squaring)
        step = png.block_rows(size)
        for at in range(0, len(photos), step):
            rows = slice(at, at + step)
            names = [name.decode() for name in photos.names[rows].tolist()]
            images = arrow.images_of_one_length(png.encode(pixels[rows]))
            columns = [images, arrow.integers(photos.labels[rows]), arrow.strings(names)]
            found = {name: damaged[name] for name in names if name in damaged}
            kinds = Counter(itertools.chain.from_iterable(odd[rows]))
            yield Batch(pa.record_batch(columns, schema=dataset.schema), pixels[rows], found, kinds)


def _resized(photos: Photos, size: int, squaring: str) -> _Resized:
    """Return uint8 [N, 3, size, size]; what libjpeg warned about, by name; and in which ways each is odd.

    They are read in the order in which they lie: what is compressed can be read forwards only.
    """
    pixels = np.empty((len(photos), 3, size, size), np.uint8)
    damaged, odd = dict[str, Damage](), [list[str]()] * len(photos)
    order = np.argsort(photos.offsets, kind="stable")
    for row, (where, file) in zip(order.tolist(), photos.take(order).read(), strict=True):
        name = photos.names[row].decode()
        try:
            photo = photographs.decode(file)
            odd[row], (picture,) = photo.oddities(name), photo.squares([size], squaring)
        except ValueError as error:
            raise SourceProblem(
                f"{where}: {name}: expected an image that can be decoded whole, but {error}. Download it again."
            ) from error
        pixels[row] = np.asarray(picture).transpose(2, 0, 1)
        if photo.damage:
            damaged[name] = photo.damage
    return pixels, damaged, odd


def _check_size(path: Path, sizes: npt.NDArray[np.int64]) -> None:
    if (size := int(sizes[sizes != UNKNOWN].sum())) > _BATCH_LIMIT:
        raise SourceProblem(
            f"{path}: {len(sizes)} photographs have {size:,} bytes together, expected at most {_BATCH_LIMIT:,}, and a "
            "tenth of a megabyte apiece."
        )
