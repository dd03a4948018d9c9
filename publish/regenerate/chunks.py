"""Pixels on their way: photographs resized in the order of the archive, read back in the order of the batches.

The work is cut into chunks. A finished chunk is a file of its rows, for each size uint8 [n, 3 S S] (all red, then
green, then blue) in the order of their places, and a receipt with a CRC-32 of them and a stamp of the photographs: so a
run that was killed goes on behind it, and nothing that a crash of the machine lost or that has changed meanwhile is
taken for done. No two workers write one file, so that they may be on different machines.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

from loaders import Problem, SourceProblem
from loaders.files.cache import Arrays, load_arrays, save_arrays, take_arrays
from loaders.files.places import is_local
from loaders.files.reading import read_ranges
from loaders.files.typed import Count
from loaders.formats.photos import I64, Photos
from loaders.images.jpeg import Damage
from loaders.images.photographs import resized
from publish.console.damage import LEAVE
from publish.results import written

U8 = npt.NDArray[np.uint8]
_Resized = tuple[dict[int, U8], dict[int, str], dict[int, Damage]]
I32 = npt.NDArray[np.int32]
_SMALLEST, _LARGEST = 64, 512  # photographs in a chunk: about a second of work, and 8 MB of pixels for four sizes
_WINDOW, _REMOTE_WINDOW = 32 << 20, 64 << 20  # bytes of rows put in order at a time: fewer, longer reads from a store


@dataclass(frozen=True, kw_only=True)
class _Facts:
    split: str
    number: Count
    photos: Count
    stamp: str
    unreadable: Mapping[int, str]
    damaged: Mapping[int, Damage]
    check: Count
    bytes: Count


@dataclass(frozen=True, kw_only=True)
class Receipt(_Facts):
    """What came of a chunk: the place of each photograph left out and why, and the sum of the others at each size.

    Of those, `damaged` has the ones that libjpeg warns about.

    `sums` is {size: int64 [3 S S]}, `check` the CRC-32 of the chunk's file, `bytes` its length; `stamp` is that of the
    photographs before they were read.
    """

    sums: Mapping[int, I64]


@dataclass(frozen=True)
class Chunk:
    """Photographs to resize, and the place (int64 [n]) of each in its split. Called in a worker."""

    folder: Path
    split: str
    number: int
    photos: Photos
    places: I64
    sizes: tuple[int, ...]
    squaring: str
    allow_damaged: bool

    def __call__(self) -> Path:
        """Do the work, or take what an earlier run did, and return where the receipt is.

        Raises SourceProblem for an unreadable photograph, and for what changes while it is read; OSError. The receipt
        itself would not do: a worker that dies while it sends more than a pipe takes in one piece leaves the driver
        waiting for the rest.
        """
        place = _place(self.folder, self.split, self.number)
        receipt_place = place.with_suffix(".npz")
        photos, stamp = self.photos.stamped()
        receipt = load(receipt_place)
        if receipt and self._is_done(receipt, stamp) and _is_whole(place, receipt):
            return receipt_place
        blocks, unreadable, damaged = self._resize(photos)
        sums = {size: rows.sum(axis=0, dtype=np.int64) for size, rows in blocks.items()}
        order, check = np.argsort(self.places, kind="stable"), 0
        with written(place) as temporary, temporary.open("wb") as file:
            for size in self.sizes:
                content = blocks[size][order].data.cast("B")
                check = zlib_ng.crc32(content, check)
                file.write(content)
        receipt = Receipt(
            split=self.split,
            number=self.number,
            photos=len(self.photos),
            stamp=stamp,
            unreadable=unreadable,
            damaged=damaged,
            sums=sums,
            check=check,
            bytes=sum(rows.nbytes for rows in blocks.values()),
        )
        _save(receipt, receipt_place)
        return receipt_place

    def _is_done(self, receipt: Receipt, stamp: str) -> bool:
        return receipt.stamp == stamp and (self.allow_damaged or not receipt.unreadable)

    def _resize(self, photos: Photos) -> _Resized:
        """Return {size: rows}, uint8 [n, 3 S S], and by place what is unreadable, whose row is zero, or damaged."""
        blocks = {size: np.zeros((len(self.photos), size, size, 3), np.uint8) for size in self.sizes}
        unreadable: dict[int, str] = {}
        damaged: dict[int, Damage] = {}
        for i, (where, file) in enumerate(photos.read()):
            try:
                pictures, damage = resized(file, self.sizes, self.squaring)
            except ValueError as error:
                if not self.allow_damaged:
                    raise SourceProblem(
                        f"{where}: cannot be decoded ({error}). Get it again, or pass {LEAVE} to leave out what cannot "
                        "be decoded, counted and listed."
                    ) from error
                unreadable[int(self.places[i])] = str(error)
                continue
            if damage:
                damaged[int(self.places[i])] = damage
            for size, pixels in zip(self.sizes, pictures, strict=True):
                blocks[size][i] = np.frombuffer(pixels, np.uint8).reshape(size, size, 3)
        return {size: _planar(pixels) for size, pixels in blocks.items()}, unreadable, damaged


def _planar(pixels: U8) -> U8:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def _place(folder: Path, split: str, number: int) -> Path:
    return folder / f"{split}-{number:05d}.rows"


def _is_whole(place: Path, receipt: Receipt) -> bool:
    if not place.is_file() or place.stat().st_size != receipt.bytes:
        return False
    return not is_local(place) or zlib_ng.crc32(place.read_bytes()) == receipt.check


def _step(photos: int) -> int:
    """Return how many photographs of a split are in a chunk. How it is cut shows in no byte of what is made."""
    return min(_LARGEST, max(_SMALLEST, photos // 64))


def joined(stamps: Iterable[str]) -> str:
    """Return the stamp of a split by those of its chunks, in their order."""
    return hashlib.sha256("".join(stamps).encode()).hexdigest()


def stamp_of(photos: Photos) -> str:
    """Return the stamp of a split: what it would be of its chunks. Raises SourceProblem, OSError."""
    step = _step(len(photos))
    return joined(photos.take(slice(at, at + step)).stamped()[1] for at in range(0, len(photos), step))


def chunks(
    folder: Path, split: str, photos: Photos, places: I64, sizes: tuple[int, ...], squaring: str, skip: bool
) -> Iterator[Chunk]:
    """Cut a split into chunks."""
    step = _step(len(photos))
    for number, at in enumerate(range(0, len(photos), step)):
        rows = slice(at, at + step)
        yield Chunk(folder, split, number, photos.take(rows), places[rows], sizes, squaring, skip)


@dataclass(frozen=True)
class Rows:
    """Rows of a split at one of the `sizes` of its chunks, in the order of their places.

    `photos` (int32 [N]) says which photograph of the `total` lies at each place, `before` (int32 [chunks]) how many
    rows of each chunk belong to places before the first of these.
    """

    folder: Path
    split: str
    sizes: tuple[int, ...]
    size: int
    total: int
    photos: I32
    before: I32

    @property
    def width(self) -> int:
        """The bytes of a row."""
        return 3 * self.size * self.size

    def __len__(self) -> int:
        return len(self.photos)

    def windows(self) -> Iterator[U8]:
        """Yield all rows, uint8 [n, 3 S S], some at a time. Raises Problem when a chunk's file is not whole."""
        step = max(1, (_WINDOW if is_local(self.folder) else _REMOTE_WINDOW) // self.width)
        before = self.before.copy()
        for at in range(0, len(self), step):
            chunk = self.photos[at : at + step] // _step(self.total)
            counts = np.bincount(chunk, minlength=len(before)).astype(np.int32)
            rows = np.empty((len(chunk), self.width), np.uint8)
            rows[np.argsort(chunk, kind="stable")] = self._read(before, counts)
            before += counts
            yield rows

    def _read(self, before: I32, counts: I32) -> U8:
        numbers = np.flatnonzero(counts).tolist()
        starts = [self._start(number) + int(before[number]) * self.width for number in numbers]
        lengths = [int(counts[number]) * self.width for number in numbers]
        paths = [_place(self.folder, self.split, number) for number in numbers]
        content = b"".join(read_ranges(paths, starts, lengths))
        if len(content) != sum(lengths):
            raise Problem(f"{self.folder}: a file was cut short while it was read. Run the same command again.")
        return np.frombuffer(content, np.uint8).reshape(-1, self.width)

    def _start(self, chunk: int) -> int:
        """Return where the rows of this size begin in the file of a chunk."""
        step = _step(self.total)
        photos = min(step, self.total - chunk * step)
        return photos * sum(3 * size * size for size in self.sizes[: self.sizes.index(self.size)])


def rows(folder: Path, split: str, sizes: tuple[int, ...], size: int, order: I64, start: int, stop: int) -> Rows:
    """Return the rows at the places from `start` to `stop`, where `order` (int64 [N]) has the photograph of each."""
    chunk = order[:start] // _step(len(order))
    before = np.bincount(chunk, minlength=-(-len(order) // _step(len(order)))).astype(np.int32)
    return Rows(folder, split, sizes, size, len(order), order[start:stop].astype(np.int32), before)


def _save(receipt: Receipt, place: Path) -> None:
    facts = _Facts(**{member.name: getattr(receipt, member.name) for member in fields(_Facts)})
    with written(place) as temporary:
        temporary.write_bytes(save_arrays(facts, {str(size): sums for size, sums in receipt.sums.items()}))


def load(place: Path) -> Receipt | None:
    """Return a receipt, or None when there is none yet, or half of one after a crash of the machine."""
    return load_arrays(place, _Facts, _receipt)


def take(place: Path) -> Receipt:
    """Return the receipt of a chunk that is done. Raises Problem when it is gone, or cannot be read."""
    return take_arrays(place, _Facts, _receipt)


def _receipt(facts: _Facts, arrays: Arrays) -> Receipt:
    return Receipt(**vars(facts), sums={int(size): array for size, array in arrays.items()})
