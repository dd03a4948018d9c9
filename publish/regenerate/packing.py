"""Chrabaszcz et al.'s files, written as streams: npz batches in a zip, or CIFAR-style pickles.

They have one array more, which upstream's readers pass over: `file_names`, the photograph of each row.

A batch is up to 1.6 GB; what is held of it is a few MB. The same rows are the same bytes: members have no date, and the
entropy coder has one setting.
"""

import hashlib
import io
import pickle
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from zlib_ng import zlib_ng

from loaders.formats.photos import I64
from loaders.sources.digests import sha256_of
from publish.regenerate.chunks import Rows
from publish.results import to_disk, written

_BLOCK = 1 << 20  # bytes of pixels in hand
_DATE = (1980, 1, 1, 0, 0, 0)
MOST_PICKLED = (1 << 32) - 1  # bytes of an array, whose length has four of them in protocol 3
_PLACEHOLDER = b"the bytes of the data go in here"


@dataclass(frozen=True)
class Batch:
    """A batch to write: rows, but for the `left_out` ones among them.

    `labels` is int64 [N], from 1; `names` bytes [N], the photographs' file names; `mean` float64 [3 S S], or None as in
    validation.
    """

    name: str
    rows: Rows
    left_out: tuple[int, ...]
    labels: I64
    names: npt.NDArray[np.bytes_]
    mean: npt.NDArray[np.float64] | None

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of its data."""
        return len(self.rows) - len(self.left_out), self.rows.width

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays other than the data and the labels."""
        return ({"mean": self.mean} if self.mean is not None else {}) | {"file_names": self.names}

    def blocks(self) -> Iterator[memoryview]:
        """Yield the data, some rows at a time."""
        at = 0
        for window in self.rows.windows():
            gone = [row - at for row in self.left_out if at <= row < at + len(window)]
            kept = (np.delete(window, gone, axis=0) if gone else window).data.cast("B")
            yield from (kept[start : start + _BLOCK] for start in range(0, len(kept), _BLOCK))
            at += len(window)


@dataclass(frozen=True)
class File:
    """A file that was written: its name, bytes and SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Output:
    """A file to write, a zip of npz batches or (one batch) a pickle. Called in a worker."""

    folder: Path
    name: str
    batches: tuple[Batch, ...]

    @property
    def path(self) -> Path:
        """Where it goes."""
        return self.folder / self.name

    def __call__(self) -> File:
        """Write it, or take what an earlier run wrote, and return what the sidecar says of it. Raises OSError."""
        if self.path.is_file():
            return self._file(self.path)
        with written(self.path) as temporary:
            with temporary.open("wb") as file:
                if self.path.suffix == ".zip":
                    _write_zip(file, self.batches)
                else:
                    _write_pickle(file, self.batches[0])
                # A build trusts the sidecar for its sizes, and there is no later look at these files: be sure of them.
                to_disk(file)
            return self._file(temporary)

    def _file(self, place: Path) -> File:
        return File(self.name, place.stat().st_size, sha256_of(place))


@dataclass(frozen=True)
class ListOutput:
    """A list of photographs to write. Called in a worker."""

    folder: Path
    name: str
    content: bytes

    def __call__(self) -> File:
        """Write it, and return what the sidecar says of it. Raises OSError."""
        with written(self.folder / self.name) as temporary, temporary.open("wb") as file:
            file.write(self.content)
            to_disk(file)
        return File(self.name, len(self.content), hashlib.sha256(self.content).hexdigest())


def _write_zip(file: IO[bytes], batches: Sequence[Batch]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for batch in batches:
            with _member(archive, f"{batch.name}.npz", batch.shape[0] * batch.shape[1]) as member:
                _write_npz(member, batch)


def _write_npz(file: IO[bytes], batch: Batch) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        _write_npy(archive, "data", batch.shape, np.dtype(np.uint8), batch.blocks())
        for name, array in ({"labels": batch.labels} | batch.arrays).items():
            _write_npy(archive, name, array.shape, array.dtype, iter([array.tobytes()]))


def _write_npy(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterator[Any]
) -> None:
    with _member(archive, f"{name}.npy", int(np.prod(shape)) * dtype.itemsize) as member:
        # Entropy coding alone. To look for matches as well takes three times as long, and photographs of 8 to 64 pixels
        # have few: it makes files 3 % smaller.
        coder = zlib_ng.compressobj(1, zlib_ng.DEFLATED, -15, 8, zlib_ng.Z_HUFFMAN_ONLY)
        cast(Any, member)._compressor = coder  # `zipfile` has no door for another library's
        npy.write_array_header_1_0(member, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
        for block in blocks:
            member.write(block)


@contextmanager
def _member(archive: zipfile.ZipFile, name: str, size: int) -> Iterator[IO[bytes]]:
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = 0o644 << 16
    info.file_size = size  # by which `zipfile` chooses between the two lengths of header
    info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".npy") else zipfile.ZIP_STORED
    with archive.open(info, "w") as member:
        yield member


class _Data:
    """Pickled as the array of that shape whose bytes are the placeholder."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape

    def __reduce__(self) -> tuple[Any, ...]:
        reconstruct = np.zeros(0, np.uint8).__reduce__()[0]
        state = (1, self._shape, np.dtype(np.uint8), False, _PLACEHOLDER)
        return reconstruct, (np.ndarray, (0,), b"b"), state


def _write_pickle(file: IO[bytes], batch: Batch) -> None:
    """Write a dict of arrays, labels as a list, by protocol 3; NumPy by the name that each of its versions knows."""
    content = {"data": _Data(batch.shape), "labels": batch.labels.tolist()} | batch.arrays
    buffer = io.BytesIO()
    pickle.dump(content, buffer, 3)
    text = buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    head, tail = text.split(b"C" + bytes([len(_PLACEHOLDER)]) + _PLACEHOLDER)
    file.write(head + b"B" + struct.pack("<I", batch.shape[0] * batch.shape[1]))
    for block in batch.blocks():
        file.write(block)
    file.write(tail)
