"""Pixels on their way: photographs resized in the order of the archive, put on disk in the order of the batches.

One file for each split and size holds its rows, uint8 [N, 3 S S] (all red, then green, then blue), each written at its
place in the shuffled order. The work is cut into chunks. A finished chunk has a receipt, with a CRC-32 of its rows, so
that a run that was killed goes on behind it, and nothing that a crash of the machine lost is taken for done.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from zlib_ng import zlib_ng

from loaders._archives import reading
from loaders._errors import SourceProblem
from loaders._originals import I64, Photos
from loaders._resize import resized

U8 = npt.NDArray[np.uint8]
_SMALLEST, _LARGEST = 64, 512  # photographs in a chunk: about a second of work, and 8 MB of pixels for four sizes


@dataclass(frozen=True)
class Receipt:
    """What came of a chunk: the place of each photograph left out and why, and the sum of the others at each size.

    `sums` is {size: int64 [3 S S]}, `checks` {size: CRC-32 of the chunk's rows}.
    """

    split: str
    photos: int
    unreadable: Mapping[int, str]
    sums: Mapping[int, I64]
    checks: Mapping[int, int]


@dataclass(frozen=True)
class Chunk:
    """Photographs to resize, and the place (int64 [n]) of each in the spill of its split. Called in a worker."""

    folder: Path
    split: str
    number: int
    photos: Photos
    places: I64
    sizes: tuple[int, ...]
    resample: str
    skip_unreadable: bool

    def __call__(self) -> Path:
        """Do the work, or take what an earlier run did, and return where the receipt is.

        Raises SourceProblem for an unreadable photograph; OSError. The receipt itself would not do: a worker that dies
        while it sends more than a pipe takes in one piece leaves the driver waiting for the rest.
        """
        receipt = load(self._receipt)
        if receipt and (self.skip_unreadable or not receipt.unreadable) and self._is_there(receipt):
            return self._receipt
        blocks, unreadable = self._resize()
        for size, rows in blocks.items():
            with _opened(spill(self.folder, self.split, size), os.O_WRONLY) as file:
                for place, row in zip(self.places.tolist(), rows, strict=True):
                    write_at(file, row, place * row.nbytes)
        sums = {size: rows.sum(axis=0, dtype=np.int64) for size, rows in blocks.items()}
        checks = {size: zlib_ng.crc32(rows) for size, rows in blocks.items()}
        receipt = Receipt(self.split, len(self.photos), unreadable, sums, checks)
        _save(receipt, self._receipt)
        return self._receipt

    @property
    def _receipt(self) -> Path:
        return self.folder / f"{self.split}-{self.number:05d}.npz"

    def _resize(self) -> tuple[dict[int, U8], dict[int, str]]:
        """Return {size: rows}, uint8 [n, 3 S S]; an unreadable photograph's row is zero, as holes of a file are."""
        blocks = {size: np.zeros((len(self.photos), size, size, 3), np.uint8) for size in self.sizes}
        unreadable: dict[int, str] = {}
        for i, (where, file) in enumerate(self.photos.read()):
            try:
                for size, pixels in zip(self.sizes, resized(file, self.sizes, self.resample), strict=True):
                    blocks[size][i] = np.frombuffer(pixels, np.uint8).reshape(size, size, 3)
            except ValueError as error:
                if not self.skip_unreadable:
                    raise SourceProblem(
                        f"{where}: cannot be decoded ({error}). Get it again, or pass --skip-unreadable to leave out "
                        "what cannot be read, counted and listed."
                    ) from error
                unreadable[int(self.places[i])] = str(error)
        return {size: _planar(pixels) for size, pixels in blocks.items()}, unreadable

    def _is_there(self, receipt: Receipt) -> bool:
        return all(self._check(size) == check for size, check in receipt.checks.items())

    def _check(self, size: int) -> int:
        width, check = 3 * size * size, 0
        with _opened(spill(self.folder, self.split, size), os.O_RDONLY) as file:
            for place in self.places.tolist():
                check = zlib_ng.crc32(os.pread(file, width, place * width), check)
        return check


def _planar(pixels: U8) -> U8:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def spill(folder: Path, split: str, size: int) -> Path:
    """Return the file of the rows of a split at a size."""
    return folder / f"{split}-{size}x{size}.rows"


def prepare(folder: Path, split: str, rows: int, sizes: Sequence[int]) -> None:
    """Make the files of a split, of their full length; what lies in them already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        with _opened(spill(folder, split, size), os.O_WRONLY | os.O_CREAT) as file:
            os.ftruncate(file, rows * 3 * size * size)


def chunks(
    folder: Path, split: str, photos: Photos, places: I64, sizes: tuple[int, ...], resample: str, skip: bool
) -> Iterator[Chunk]:
    """Cut a split into chunks. How it is cut shows in no byte of what is made."""
    step = min(_LARGEST, max(_SMALLEST, len(photos) // 64))
    for number, at in enumerate(range(0, len(photos), step)):
        rows = slice(at, at + step)
        yield Chunk(folder, split, number, photos.take(rows), places[rows], sizes, resample, skip)


def write_at(file: int, data: U8, offset: int) -> None:
    """Write all of data; a write that a full disk cuts short is gone on with, so that the next one says why."""
    view = data.data.cast("B")
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with ExitStack() as stack:
        stack.enter_context(naming(path))
        file = os.open(path, flags, 0o644)
        stack.callback(os.close, file)
        yield file


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of a write say which file it is of: a full disk does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _save(receipt: Receipt, path: Path) -> None:
    facts = {"split": receipt.split, "photos": receipt.photos}
    facts |= {"unreadable": list(receipt.unreadable.items()), "checks": {**receipt.checks}}
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with naming(path), temporary.open("wb") as file:
        sums = {str(size): sums for size, sums in receipt.sums.items()}
        np.savez(file, allow_pickle=False, facts=np.array(json.dumps(facts)), **sums)
    temporary.replace(path)


def load(path: Path) -> Receipt | None:
    """Return a receipt, or None when there is no whole one."""
    try:
        with reading(path, "the receipt"), path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
            facts = json.loads(str(arrays.pop("facts")))
    except (SourceProblem, FileNotFoundError):
        return None  # none yet, or half of one after a crash of the machine: the chunk is done again
    checks = {int(size): check for size, check in facts["checks"].items()}
    sums = {int(size): array for size, array in arrays.items()}
    return Receipt(facts["split"], facts["photos"], dict(facts["unreadable"]), sums, checks)
