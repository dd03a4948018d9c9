"""Photographs that are files in a folder: their sizes, their bytes, and what changes when one of them does."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from loaders._errors import SourceProblem
from loaders.files.places import is_local, state, state_of
from loaders.files.reading import open_file
from loaders.files.seen import State, changed
from loaders.files.threads import mapped
from loaders.formats.tars import PHOTO_LIMIT

T = TypeVar("T")
_THREADS = 16  # on a network's file system, what is waited for is the answer
_AT_A_TIME, _READ_AT_A_TIME = 256, 64  # files asked after, or read, before the next
_BLOCK = 1 << 20  # bytes hashed at a time
UNASKED = 0  # the mark of a file that nobody has asked after yet


@dataclass(frozen=True)
class Status:
    """What is known of a file: its size in bytes, and a `mark` of 64 bits that changes when its state does."""

    size: int
    mark: int

    @classmethod
    def of(cls, state: State) -> "Status":
        """Return it by the file's state (see `places.state`)."""
        digest = hashlib.blake2b(repr(state).encode(), digest_size=8).digest()
        return cls(int(state[0]), int.from_bytes(digest, "little") or 1)


@dataclass(frozen=True)
class Files:
    """The files of a folder that rows come from: paths within it, sorted by file name, and bytes in all.

    `marks` are those of each, and `stamp` changes with the name or mark of any. Nothing is read for them, so that a
    second run starts at once.
    """

    names: tuple[str, ...]
    bytes: int
    stamp: str
    marks: tuple[int, ...] = field(repr=False)

    @classmethod
    def of(cls, found: dict[str, Status]) -> "Files":
        """Return them by what was found of each."""
        names = sorted(found, key=_file_name)
        marks = tuple(found[name].mark for name in names)
        stamp = hashlib.sha256(repr((names, marks)).encode()).hexdigest()
        return cls(tuple(names), sum(f.size for f in found.values()), stamp, marks)


def _file_name(place: str) -> str:
    return place.rpartition("/")[2]


def survey(root: Path, names: Sequence[str], archives: Collection[str] = ()) -> dict[str, Status]:
    """Return the status of each file that is there.

    Raises SourceProblem for what is no file, and for one too large for a photograph unless it is one of the `archives`;
    OSError.
    """
    parts = [names[at : at + _AT_A_TIME] for at in range(0, len(names), _AT_A_TIME)]
    known = frozenset(archives)
    found = mapped(lambda part: [_status(root / name, name in known) for name in part], parts, _THREADS)
    statuses = [status for part in found for status in part]
    return {name: status for name, status in zip(names, statuses, strict=True) if status}


def _status(path: Path, is_archive: bool) -> Status | None:
    try:
        if not is_local(path):
            return _bounded(path, Status.of(state(path)), is_archive)
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise SourceProblem(f"{path}: expected a file with a photograph, found a folder or device of that name.")
    return _bounded(path, Status.of(state_of(found)), is_archive)


def _bounded(path: Path, status: Status, is_archive: bool) -> Status:
    if not is_archive:
        _check_size(path, status.size)
    return status


def _check_size(path: Path, size: int) -> None:
    if size > PHOTO_LIMIT:
        raise SourceProblem(
            f"{path}: has {size:,} bytes, expected at most {PHOTO_LIMIT:,} of a photograph. Copy it anew."
        )


def read(root: Path, names: Sequence[str], marks: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of files, each held to its mark if that is not UNASKED; some are asked for at once.

    Raises SourceProblem for one that is gone or too large, and for one that has changed since it was asked after or
    while it is read; OSError.
    """
    return _each(_bytes, root, names, marks)


def _each(look: Callable[[Path, int], T], root: Path, names: Sequence[str], marks: Sequence[int]) -> Iterator[T]:
    for at in range(0, len(names), _READ_AT_A_TIME):
        rows = slice(at, at + _READ_AT_A_TIME)
        files = zip([root / name for name in names[rows]], marks[rows], strict=True)
        yield from mapped(lambda file: look(*file), list(files), _THREADS)


def _bytes(path: Path, mark: int) -> bytes:
    with _held(path, mark):
        if not is_local(path):
            data = path.read_bytes()
            _check_size(path, len(data))
            return data
        with path.open("rb", buffering=0) as file:
            _check_size(path, os.fstat(file.fileno()).st_size)
            return file.read()


def _sha256(path: Path, mark: int) -> str:
    digest = hashlib.sha256()
    with _held(path, mark), open_file(path) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _held(path: Path, mark: int) -> Iterator[None]:
    """Hold a file to its mark, before and after it is read; in a store, where each question is a request, after."""
    try:
        if is_local(path):
            _check_mark(path, mark)
        yield
        _check_mark(path, mark)
    except FileNotFoundError as error:
        if is_local(path) and path.is_symlink():
            raise broken_link(path) from error
        raise SourceProblem(f"{path}: was there at the start, and is gone. Put it back.") from error


def _check_mark(path: Path, mark: int) -> None:
    if mark != UNASKED and (found := Status.of(state(path))).mark != mark:
        raise changed(path, f"it has {found.size:,} bytes now, or other times")


def broken_link(path: Path) -> SourceProblem:
    """Return the error of a link to what is not there."""
    return SourceProblem(f"{path}: is a link to what is not there. Mend or remove it.")


def sha256_of(root: Path, files: Files, stopped: Callable[[], bool] = lambda: False) -> str:
    """Return the SHA-256 of the lines that `sha256sum` prints for the files, in their order, without folders.

    So it is equal for equal photographs, wherever they lie. Raises SourceProblem for one that has changed,
    InterruptedError once `stopped` says so.
    """
    digest = hashlib.sha256()
    for name, found in zip(files.names, _each(_sha256, root, files.names, files.marks), strict=True):
        digest.update(f"{found}  {_file_name(name)}\n".encode())
        if stopped():
            raise InterruptedError(f"hashing of {root} was stopped")
    return digest.hexdigest()
