"""What is measured of the rows while they pass: sums for mean and deviation, the mean image, classes, oddities, twins.

The first images are kept, small, for the pictures on the card: who draws them may never see the shards. All sums are of
integers and exact, so that they come out the same in any order and on any number of workers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from PIL import Image, ImageOps

from loaders import Batch, Problem, classes
from loaders.images import photographs
from loaders.images.arrow import numbers
from loaders.images.jpeg import Damage
from loaders.images.photographs import Photograph

THUMBNAIL = 64  # photographs are squeezed to this many pixels a side for the mean image
SHOWN = 48  # images that are kept of a split, at most 3 MB
SQUARE = 80  # pixels a side of a photograph among them
_FEW = 256  # so many values of at most 255 that their sum fits 16 bits, and that of their squares 24
_FLOATS = 98_304  # floats converted at a time: 384 KB, which stay in a core's own cache
_TURNS: dict[object, Image.Transpose] = {  # what makes a photograph of that orientation upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


def _zeros(*shape: int) -> I64:
    return np.zeros(shape, np.int64)


@dataclass
class Statistics:
    """Sums over rows.

    `pixels` a channel; `sums` and `squares` int64 [3]; `mean_sums` int64 [3, S, S], the sum of all images; `labels`
    int64 [1000]; `fingerprints` uint64 [rows], equal for equal images; `oddities` counts rows by kind; `first` uint8
    [K, 3, S, S], the first images, photographs cut to squares of 80 pixels; `damaged` has the photographs that libjpeg
    warns about, by name.
    """

    rows: int = 0
    pixels: int = 0
    sums: I64 = field(default_factory=lambda: _zeros(3))
    squares: I64 = field(default_factory=lambda: _zeros(3))
    mean_sums: I64 | None = None
    labels: I64 = field(default_factory=lambda: _zeros(classes.COUNT))
    fingerprints: U64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    oddities: Counter[str] = field(default_factory=Counter)
    first: U8 = field(default_factory=lambda: np.zeros((0, 3, 0, 0), np.uint8))
    damaged: dict[str, Damage] = field(default_factory=dict)

    def mean(self) -> tuple[float, float, float]:
        """Return the mean of each channel, 0 to 1."""
        red, green, blue = (self.sums / self.pixels / 255).tolist()
        return red, green, blue

    def deviation(self) -> tuple[float, float, float]:
        """Return the standard deviation of each channel over all pixels, on the scale 0 to 1."""
        mean = self.sums / self.pixels
        red, green, blue = (np.sqrt(self.squares / self.pixels - mean**2) / 255).tolist()
        return red, green, blue

    def mean_image(self) -> npt.NDArray[np.uint8]:
        """Return the mean image, uint8 [S, S, 3]."""
        assert self.mean_sums is not None
        return np.rint(self.mean_sums / self.rows).astype(np.uint8).transpose(1, 2, 0)

    def duplicates(self) -> int:
        """Return the number of rows whose image an earlier row has, too."""
        ordered = np.sort(self.fingerprints)  # 40 times as fast as np.unique, which counts by a hash table
        return int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def merged(parts: Iterable[Statistics]) -> Statistics:
    """Return the statistics of all rows of the parts."""
    total = Statistics()
    every = list(parts)
    for part in every:
        total.rows += part.rows
        total.pixels += part.pixels
        total.sums += part.sums
        total.squares += part.squares
        total.labels += part.labels
        total.oddities += part.oddities
        total.damaged |= part.damaged
        if part.mean_sums is not None:
            total.mean_sums = part.mean_sums if total.mean_sums is None else total.mean_sums + part.mean_sums
    total.fingerprints = np.concatenate([total.fingerprints, *(part.fingerprints for part in every)])
    if kept := [part.first for part in every if len(part.first)]:
        total.first = np.concatenate(kept)
    return total


def of_batch(batch: Batch, shown: int = 0) -> Statistics:
    """Measure a batch and keep so many of its first images.

    Encoded images are decoded for it, each of them whole: raises Problem for one that cannot be.
    """
    rows, pixels = batch.rows, batch.pixels
    found = _of_pixels(rows, pixels, shown) if pixels is not None else _of_files(rows, batch.places, shown)
    found.damaged |= batch.damaged
    found.oddities.update(batch.oddities)
    if "label" in batch.rows.schema.names:
        found.labels = count_labels(batch.rows)
    return found


def count_labels(rows: pa.RecordBatch) -> I64:
    """Return how many rows each class has, int64 [1000]; the label -1, or any other, is that of no class."""
    labels = numbers(rows["label"])
    return np.bincount(labels[(labels >= 0) & (labels < classes.COUNT)], minlength=classes.COUNT)


def _of_pixels(rows: pa.RecordBatch, pixels: U8, shown: int) -> Statistics:
    count, _, size, _ = pixels.shape
    mean_sums = _sum_of_images(pixels)
    return Statistics(
        rows=count,
        pixels=count * size * size,
        sums=mean_sums.sum(axis=(1, 2)),
        squares=_squares(pixels),
        mean_sums=mean_sums,
        fingerprints=_fingerprints_of_png(rows),
        first=pixels[:shown].copy(),
    )


def _sum_of_images(pixels: U8) -> I64:
    parts = range(0, len(pixels), _FEW)  # 256 times 255 fits 16 bits, which adds up 3 times as fast as 32
    sums = [np.add.reduce(pixels[at : at + _FEW], axis=0, dtype=np.uint16) for at in parts]
    total: I64 = np.add.reduce(sums, axis=0, dtype=np.int64)
    return total


def _squares(pixels: U8) -> I64:
    count, channels, size, _ = pixels.shape
    area = size * size
    whole = area - area % _FEW  # 256 squares of at most 255 sum to less than 2**24: exact in float32, in any order
    step = max(1, _FLOATS // (channels * area))
    floats, total = np.empty((step, channels, area), np.float32), _zeros(channels)
    for at in range(0, count, step):
        few = pixels[at : at + step].reshape(-1, channels, area)
        np.copyto(floats[: len(few)], few)
        lanes = floats[: len(few), :, :whole].reshape(len(few), channels, whole // _FEW, _FEW)
        rest = floats[: len(few), :, whole:]
        for part, axes in ((lanes, (0, 2)), (rest, 0)):
            if part.size:
                total += np.vecdot(part, part).sum(axis=axes, dtype=np.float64).astype(np.int64)
    return total


def _fingerprints_of_png(rows: pa.RecordBatch) -> U64:
    """Return Adler-32 and CRC-32 of each PNG: 64 bits that are there already, 20 bytes before the end of the file.

    Only for images of one size framed by `loaders.images.png`, where equal pixels are equal files.
    """
    files = rows["image"].field("bytes")
    table = np.frombuffer(files.buffers()[2], np.uint8).reshape(len(files), -1)
    return np.ascontiguousarray(table[:, -20:-12]).view(np.uint64).reshape(-1)


def _of_files(rows: pa.RecordBatch, places: Sequence[str], shown: int) -> Statistics:
    found = Statistics(rows=rows.num_rows, mean_sums=_zeros(3, THUMBNAIL, THUMBNAIL))
    fingerprints: list[int] = []
    first: list[U8] = []
    names = rows["file_name"].to_pylist()
    for file, name, place in zip(rows["image"].field("bytes"), names, places or names, strict=True):
        data = file.as_buffer()
        fingerprints.append(xxhash.xxh3_64_intdigest(data))
        photo = _add_photo(found, data, name, place)
        if len(first) < shown:
            first.append(_square(photo))
    found.fingerprints = np.array(fingerprints, np.uint64)
    found.first = np.array(first, np.uint8).reshape(len(first), 3, SQUARE, SQUARE)
    return found


def _square(photo: Photograph) -> U8:
    """Return the middle of a photograph, turned as `datasets` turns it, as uint8 [3, SQUARE, SQUARE]."""
    turn = _TURNS.get(photo.orientation)
    upright = photo.image if turn is None else photo.image.transpose(turn)
    return np.asarray(ImageOps.fit(upright, (SQUARE, SQUARE), Image.Resampling.BOX)).transpose(2, 0, 1)


def damage_of(rows: pa.RecordBatch) -> Iterator[tuple[str, str | Damage]]:
    """Decode every image of a batch whole; yield (name, why not, or what libjpeg warned about) of what is damaged.

    The name of a row without one is its place in the batch.
    """
    names = rows["file_name"].to_pylist() if "file_name" in rows.schema.names else map(str, range(rows.num_rows))
    for file, name in zip(rows["image"].field("bytes"), names, strict=True):
        try:
            if damage := photographs.decode(file.as_buffer()).damage:
                yield name, damage
        except ValueError as error:
            yield name, str(error)


def _add_photo(found: Statistics, data: pa.Buffer, name: str, place: str) -> Photograph:
    try:
        photo = photographs.decode(data)
        found.oddities.update(photo.oddities(name))
    except ValueError as error:
        raise Problem(
            f"{place}: expected an image that can be decoded whole, but {error}. Download the archive again."
        ) from error
    if photo.damage:
        found.damaged[name] = photo.damage
    histogram = np.array(photo.image.histogram(), np.int64).reshape(3, 256)
    values = np.arange(256)
    found.pixels += photo.image.width * photo.image.height
    found.sums += histogram @ values
    found.squares += histogram @ values**2
    found.mean_sums += np.asarray(photo.squares([THUMBNAIL], "box")[0]).transpose(2, 0, 1)
    return photo
