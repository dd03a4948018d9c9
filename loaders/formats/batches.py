"""Chrabaszcz et al.'s batches: `data` uint8 [N, 3 S S] (all red, green, blue, row by row), `labels` 1-based, `mean`.

Those of `publish.regenerate` have `file_names` besides, bytes [N], which upstream's readers pass over.

A batch is an `.npz` or a CIFAR-style pickle, and either is a file or a member of a zip, stored or deflated. All are
read as a stream of rows, so that a batch of 1.6 GB is never whole in memory, and no code that a file names is ever run.
"""

import io
import math
import re
import threading
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from loaders._errors import SourceProblem, shown
from loaders.files.places import state
from loaders.formats import pickles
from loaders.formats.streams import open_range
from loaders.formats.untrusted import reading
from loaders.formats.zips import MemberStream, find_zip_member, zip_directory
from loaders.images import png

U8 = npt.NDArray[np.uint8]
_DEFLATE_LIMIT = 1032  # bytes that one compressed byte can stand for: https://zlib.net/zlib_tech.html
_MOST_ROWS = 1_281_167  # of all batches together
_MOST_BYTES = 10 << 30  # of a batch in a zip; upstream's have up to 1.6 GB, those of 147 pixels 8.3
_LONGEST_NAME = 100  # bytes; ILSVRC's have up to 28
_ARRAYS = ("data", "labels", "file_names")  # that are read; `mean` is not
_SKIPPED = 1 << 22  # bytes of a compressed stream that are inflated at a time only to get past them
_HEADER_LIMIT = 1_000  # characters of an npy header; upstream's have about 100
_NPY_ENTRY = re.compile(
    r"'(descr|fortran_order|shape)': *('[<>=|]?[a-zA-Z?]\d{0,9}'|True|False|\([\dL, ]{0,150}\)),? *"
)
_NPY_HEADER = re.compile(rf"\{{(?:{_NPY_ENTRY.pattern}){{3}}\}}\s*")


class Stored(Protocol):
    """One array of a batch as it lies in its file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its dimensions."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type of its numbers."""

    def open(self) -> BinaryIO:
        """Return a file at the array's first byte."""


@dataclass(frozen=True)
class BatchFile:
    """Where a batch is: a file, and the member when the file is a zip of batches."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)


class OpenBatch:
    """One open batch of S x S images. Rows are read forwards; going back opens the stream anew."""

    def __init__(self, file: BatchFile, size: int) -> None:
        self.file, self.width = file, 3 * size * size
        self._arrays = _arrays(file)
        self._data = self._checked_data(size)
        self.rows = self._data.shape[0]
        self._stream: BinaryIO | None = None
        self._at = 0

    def _checked_data(self, size: int) -> Stored:
        missing = {"data", "labels"} - set(self._arrays)
        if missing:
            found = ", ".join(shown(name) for name in sorted(self._arrays)) or "neither"
            raise SourceProblem(f"{self.file}: has no {' and no '.join(sorted(missing))}, found {found}.")
        data = self._arrays["data"]
        if data.shape and data.shape[0] > _MOST_ROWS:
            raise SourceProblem(f"{self.file}: claims {data.shape[0]:,} rows, expected at most {_MOST_ROWS:,}.")
        if data.dtype != np.uint8 or len(data.shape) != 2 or data.shape[1] != self.width:
            fits = {3 * s * s: f" It fits the config {s}x{s}." for s in range(4, png.LARGEST + 1)}
            hint = fits.get(data.shape[-1], "") if data.dtype == np.uint8 and data.shape else ""
            raise SourceProblem(
                f"{self.file}: expected data uint8 [N, {self.width}] for {size}x{size}, "
                f"found {data.dtype} {list(data.shape)}.{hint}"
            )
        return data

    @cached_property
    def labels(self) -> npt.NDArray[np.int64]:
        """The labels, int64 [N], 0-based; raises SourceProblem for a wrong length, type or value."""
        stored = self._arrays["labels"]
        if stored.dtype.kind not in "iu" or stored.shape != (self.rows,):
            raise SourceProblem(
                f"{self.file}: expected labels of integers [{self.rows}], found {stored.dtype} {list(stored.shape)}."
            )
        with reading(self.file.path, "labels"), stored.open() as file:
            labels = np.frombuffer(_read(file, self.rows * stored.dtype.itemsize), stored.dtype).astype(np.int64)
        outside = labels[(labels < 1) | (labels > 1000)]
        if outside.size:
            raise SourceProblem(f"{self.file}: expected labels from 1 to 1000, found {outside[0]}.")
        return labels - 1

    @cached_property
    def file_names(self) -> npt.NDArray[np.bytes_] | None:
        """The file name of each row's photograph, bytes [N], None where the batch has none; raises SourceProblem."""
        if (stored := self._arrays.get("file_names")) is None:
            return None
        if stored.dtype.kind != "S" or stored.shape != (self.rows,) or not 0 < stored.dtype.itemsize <= _LONGEST_NAME:
            raise SourceProblem(
                f"{self.file}: expected file_names of up to {_LONGEST_NAME} bytes [{self.rows}], found {stored.dtype} "
                f"{list(stored.shape)}."
            )
        with reading(self.file.path, "file_names"), stored.open() as file:
            content = _read(file, self.rows * stored.dtype.itemsize)
        names = np.frombuffer(content, stored.dtype)
        strange = next((name for name in names.tolist() if not (name.isascii() and name.decode().isprintable())), None)
        if strange is not None or b"" in names:
            raise SourceProblem(f"{self.file}: expected names of files in ASCII, found {shown(strange or b'')}.")
        return names

    def read(self, start: int, stop: int) -> U8:
        """Return rows `start` to `stop` of data, uint8 [stop - start, 3 S S]."""
        with reading(self.file.path, "data"), ExitStack() as stack:
            stack.callback(self.close)  # unless all was read
            if self._stream is None or start < self._at:
                self.close()
                self._stream, self._at = self._data.open(), 0
            _skip(self._stream, (start - self._at) * self.width)
            pixels = np.frombuffer(_read(self._stream, (stop - start) * self.width), np.uint8)
            self._at = stop
            while stop == self.rows and not self._stream.seekable() and self._stream.read(_SKIPPED):
                pass  # to the end, where a CRC-32 is
            stack.pop_all()
        return pixels.reshape(stop - start, self.width)

    def close(self) -> None:
        """Close the stream."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Open(threading.local):
    """The batch that a thread has open, if any: a stream has one reader."""

    batch: OpenBatch | None = None
    key: object = None


_open_here = _Open()


def open_batch(file: BatchFile, size: int) -> OpenBatch:
    """Open a batch, or return the one this thread has open: its stream goes on where the last job stopped."""
    key = (file, size, *state(file.path))  # a worker of a cluster outlives a run, and an archive may be replaced
    if not _open_here.batch or _open_here.key != key:
        if _open_here.batch:
            _open_here.batch.close()
        _open_here.batch = None
        _open_here.batch, _open_here.key = OpenBatch(file, size), key
    return _open_here.batch


def _skip(file: BinaryIO, count: int) -> None:
    if file.seekable():
        file.seek(count, io.SEEK_CUR)
        return
    for at in range(0, count, _SKIPPED):
        _read(file, min(_SKIPPED, count - at))


def image_size(file: BatchFile) -> int:
    """Return S if the rows of a batch are S x S images, the next less when they are none; raises SourceProblem."""
    data = _arrays(file).get("data")
    return math.isqrt(data.shape[-1] // 3) if data and data.shape else 0


def _read(file: BinaryIO, count: int) -> bytearray:
    block = bytearray(count)
    view, done = memoryview(block), 0
    while done < count:
        got = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError(f"{count - done:,} bytes are missing")
        done += got
    return block


def _arrays(file: BatchFile) -> dict[str, Stored]:
    member = find_zip_member(file.path, file.member, _MOST_BYTES) if file.member else None
    opens = member.open if member else partial(open_range, file.path)
    with reading(file.path, file.member or "the batch"), opens() as stream:
        start = stream.read(4)
        infos = zip_directory(stream) if start == b"PK\x03\x04" else []
        found = pickles.arrays(stream, str(file)) if start[:1] == b"\x80" else {}
    if start == b"PK\x03\x04":
        members = {info.filename.removesuffix(".npy"): info for info in infos}
        return {name: _NpzArray.read(file, opens, info) for name, info in members.items() if name in _ARRAYS}
    if start[:1] == b"\x80":  # all of a member's bytes are behind one CRC-32, which is met where its data is read
        streams = {"data": member.stream if member else opens}
        return {name: _RawArray(streams.get(name, opens), array) for name, array in found.items() if name in _ARRAYS}
    raise SourceProblem(f"{file}: expected an npz or a pickled batch, found neither.")


@dataclass(frozen=True)
class _NpzArray:
    file: BatchFile
    opens: Callable[[], BinaryIO]
    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]

    @classmethod
    def read(cls, file: BatchFile, opens: Callable[[], BinaryIO], info: zipfile.ZipInfo) -> "_NpzArray":
        with reading(file.path, f"{file.member or 'the npz'}/{info.filename}"):
            with _npz_stream(file, opens, info) as stream:
                shape, fortran, dtype = _npy_header(stream)
                header = stream.tell()
            if info.file_size > _DEFLATE_LIMIT * max(info.compress_size, 1):
                raise SourceProblem(
                    f"{file}: {info.filename} claims {info.file_size:,} bytes in {info.compress_size:,} compressed "
                    "ones, more than deflate can hold. Download it again."
                )
            if dtype.hasobject:
                raise SourceProblem(f"{file}: {info.filename} holds Python objects, expected numbers; not unpickled.")
            if fortran or info.file_size != header + int(np.prod(shape, dtype=object)) * dtype.itemsize:
                raise SourceProblem(
                    f"{file}: {info.filename} claims {dtype} {list(shape)}, which is not what it holds."
                )
        return cls(file, opens, info, shape, dtype)

    def open(self) -> BinaryIO:
        with ExitStack() as stack:  # closed unless it is returned
            stream = stack.enter_context(_npz_stream(self.file, self.opens, self.info))
            _npy_header(stream)
            stack.pop_all()
        return stream


def _npz_stream(file: BatchFile, opens: Callable[[], BinaryIO], info: zipfile.ZipInfo) -> BinaryIO:
    return io.BufferedReader(MemberStream(opens(), info, f"{file}/{info.filename}"), 4096)


def _npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return shape, order and type. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.

    NumPy takes any expression of Python for the header, of which only what it writes itself is taken here.
    """
    start = bytes(_read(stream, 8))
    length = int.from_bytes(_read(stream, 2 if start[6:7] == b"\1" else 4), "little")
    if not start.startswith(b"\x93NUMPY") or length > _HEADER_LIMIT:
        raise ValueError("no npy header")
    text = _read(stream, length).decode("latin-1")
    found = dict(_NPY_ENTRY.findall(text)) if _NPY_HEADER.fullmatch(text) else {}
    if set(found) != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"the npy header is none of an array of numbers: {shown(text)}")
    shape = tuple(int(number) for number in re.findall(r"\d+", found["shape"]))
    return shape, found["fortran_order"] == "True", np.dtype(found["descr"].strip("'"))


@dataclass(frozen=True)
class _RawArray:
    opens: Callable[[], BinaryIO]
    array: pickles.PickledArray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.array.dtype

    def open(self) -> BinaryIO:
        if self.array.values is not None:
            return io.BytesIO(self.array.values.tobytes())
        with ExitStack() as stack:  # closed unless it is returned
            stream = stack.enter_context(self.opens())
            _skip(stream, self.array.offset)
            stack.pop_all()
        return stream
