"""Photographs that are files in a folder: their sizes, their bytes, and what changes when one of them does."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from loaders._errors import SourceProblem
from loaders.files.places import identity, is_local
from loaders.formats.tars import PHOTO_LIMIT

_THREADS = 16  # on a network's file system, what is waited for is the answer
_AT_A_TIME, _READ_AT_A_TIME = 256, 64  # files asked after, or read, before the next


@dataclass(frozen=True)
class Status:
    """What tells one state of a file from another: size in bytes, mtime in nanoseconds or what a store says of it."""

    size: int
    mtime: int | str


@dataclass(frozen=True)
class Files:
    """The files of a folder that rows come from: paths within it, sorted by file name, and bytes in all.

    `stamp` changes with the name, size or mtime of any. Nothing is read for it, so that a second run starts at once.
    """

    names: tuple[str, ...]
    bytes: int
    stamp: str

    @classmethod
    def of(cls, found: dict[str, Status]) -> "Files":
        """Return them by what was found of each."""
        names = sorted(found, key=_file_name)
        facts = repr([(name, found[name].size, found[name].mtime) for name in names])
        return cls(tuple(names), sum(f.size for f in found.values()), hashlib.sha256(facts.encode()).hexdigest())


def _file_name(place: str) -> str:
    return place.rpartition("/")[2]


def survey(root: Path, names: Sequence[str], archives: Collection[str] = ()) -> dict[str, Status]:
    """Return the status of each file that is there.

    Raises SourceProblem for what is no file, and for one too large for a photograph unless it is one of the `archives`;
    OSError.
    """
    parts = [names[at : at + _AT_A_TIME] for at in range(0, len(names), _AT_A_TIME)]
    known = frozenset(archives)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda part: [_status(root / name, name in known) for name in part], parts)
        statuses = [status for part in found for status in part]
    return {name: status for name, status in zip(names, statuses, strict=True) if status}


def _status(path: Path, is_archive: bool) -> Status | None:
    try:
        if not is_local(path):
            size, mark = identity(path)
            return Status(int(size) if is_archive else _checked(path, int(size)), mark)
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise SourceProblem(f"{path}: expected a file with a photograph, found a folder or device of that name.")
    return Status(found.st_size if is_archive else _checked(path, found.st_size), found.st_mtime_ns)


def _checked(path: Path, size: int) -> int:
    if size > PHOTO_LIMIT:
        raise SourceProblem(
            f"{path}: has {size:,} bytes, expected at most {PHOTO_LIMIT:,} of a photograph. Copy it anew."
        )
    return size


def has_changed(path: Path, size: int, found: int) -> SourceProblem:
    """Return the error of a file of another size than when it was asked after."""
    return SourceProblem(
        f"{path}: had {size:,} bytes when the build began, and has {found:,} now. Is it still being copied? Run again "
        "when it is whole."
    )


def contents(root: Path, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of files, some of them asked for at once.

    Raises SourceProblem for one that is gone or too large, OSError.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        for at in range(0, len(names), _READ_AT_A_TIME):
            yield from pool.map(_bytes, [root / name for name in names[at : at + _READ_AT_A_TIME]])


def _bytes(path: Path) -> bytes:
    try:
        if not is_local(path):
            data = path.read_bytes()
            _checked(path, len(data))
            return data
        with path.open("rb", buffering=0) as file:
            _checked(path, os.fstat(file.fileno()).st_size)
            return file.read()
    except FileNotFoundError as error:
        if is_local(path) and path.is_symlink():
            raise broken_link(path) from error
        raise SourceProblem(f"{path}: was there at the start, and is gone. Put it back.") from error


def broken_link(path: Path) -> SourceProblem:
    """Return the error of a link to what is not there."""
    return SourceProblem(f"{path}: is a link to what is not there. Mend or remove it.")


def sha256_of(root: Path, names: Sequence[str], stopped: Callable[[], bool] = lambda: False) -> str:
    """Return the SHA-256 of the lines that `sha256sum` prints for the files, in the order given, without folders.

    So it is equal for equal photographs, wherever they lie. Raises InterruptedError once `stopped` says so.
    """
    digest = hashlib.sha256()
    for name, data in zip(names, contents(root, names), strict=True):
        digest.update(f"{hashlib.sha256(data).hexdigest()}  {_file_name(name)}\n".encode())
        if stopped():
            raise InterruptedError(f"hashing of {root} was stopped")
    return digest.hexdigest()
