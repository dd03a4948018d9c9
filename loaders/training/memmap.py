"""Arrays kept on disk, in this project's cache, for all processes of a machine to share.

Each is a folder under a name that changes with what it was made from, made whole beside that name and renamed. Who
makes it holds a lock meanwhile; a half made one that a kill left is removed by the next.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import msgspec
import numpy as np
from numpy.typing import NDArray

from loaders._errors import Problem
from loaders.files.cache import cache_folder
from loaders.training import shards
from loaders.training.data import Data
from loaders.training.repository import Rows

_FORMAT = 1  # raised when the same rows make other files
_BLOCK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DAMAGE = (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, msgspec.MsgspecError)
PARTIAL = ".partial"


@dataclass(frozen=True)
class About:
    """What an array was made from, whether it has labels, and the names of its classes."""

    repository: str
    config: str
    split: str
    version: str
    labelled: bool
    names: tuple[str, ...] | None = None


def place() -> Path:
    """Return the folder that all of them lie in."""
    return cache_folder() / "arrays"


def shared(rows: Rows) -> Data:
    """Return the rows as arrays on disk, made now if they are not there.

    Raises Problem as reading them does, and where the disk has no room.
    """
    facts = [_FORMAT, rows.repository, rows.config, rows.split, rows.version]
    folder = place() / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    if found := _found(folder):
        return found
    with _alone(folder, f"{rows.title}: another process makes its array; waiting for that"):
        if not (found := _found(folder)):
            _make(rows, folder)
            _tell_stale(rows)
        return found or opened(folder)


def opened(folder: Path) -> Data:
    """Open what lies on disk; raises OSError or ValueError when it is not there, or damaged."""
    about = read_about(folder)
    images, *labels = (_array(folder / f"{name}.npy") for name in ("images", *(["labels"] if about.labelled else [])))
    return Data(images, labels[0] if labels else None, about.names, folder)


def _array(path: Path) -> NDArray[Any]:
    return np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)  # type: ignore[no-any-return]


def read_about(folder: Path) -> About:
    """Return what an array was made from; raises OSError, or MsgspecError for what is none."""
    return msgspec.json.decode((folder / "about.json").read_bytes(), type=About)


def _found(folder: Path) -> Data | None:
    try:
        return opened(folder)
    except _DAMAGE:
        return None


@contextmanager
def _alone(folder: Path, waiting: str) -> Iterator[None]:
    """Wait until no other process is at this array."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(waiting, file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _make(rows: Rows, folder: Path) -> None:
    """Make the folder whole under another name, and wait for the disk before it gets its own."""
    partial = folder.with_suffix(PARTIAL)
    for left in (partial, folder):  # what was killed, or damaged
        shutil.rmtree(left, ignore_errors=True)
    try:
        partial.mkdir()
        rows.fetch()
        _write(rows, partial)
        partial.rename(folder)
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(rows, folder.parent) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(rows: Rows, partial: Path) -> None:
    with (partial / "images.npy").open("wb+") as file:
        images, labels, columns = shards.read(rows, lambda shape: _mapped(file, shape))
        os.fsync(file.fileno())
        del images
    if labels is not None:
        _written(partial / "labels.npy", lambda file: np.save(file, labels))
    about = About(rows.repository, rows.config, rows.split, rows.version, labels is not None, columns.names)
    _written(partial / "about.json", lambda file: file.write(json.dumps(asdict(about), indent=1).encode()))


def _written(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with path.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def _mapped(file: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of an .npy file to be filled; all of its room is taken first.

    In a file with holes, a full disk is told by killing the process (SIGBUS) that writes to its pages.
    """
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.flush()
    start = file.tell()
    if not math.prod(shape):
        return np.empty(shape, np.uint8)
    _take_room(file, math.prod(shape))
    return np.memmap(file, np.uint8, "r+", start, shape).view(np.ndarray)


def _take_room(file: BinaryIO, size: int) -> None:
    """Let a file have so many bytes more, and the disk room for them; raises OSError where it has none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), file.tell(), size)
        return
    for at in range(0, size, _BLOCK):  # as on macOS
        file.write(bytes(min(_BLOCK, size - at)))
    file.flush()


def _no_room(rows: Rows, folder: Path) -> Problem:
    free = shutil.disk_usage(folder).free
    return Problem(
        f"{rows.title}: no room for its array in {folder}, which has {free / 1e9:,.1f} GB left. Remove older ones "
        "(python -m loaders.training), or set XDG_CACHE_HOME to a folder on a larger disk."
    )


def _tell_stale(rows: Rows) -> None:
    of = (rows.repository, rows.config, rows.split)
    found = [(path, about) for path, about in kept() if about and (about.repository, about.config, about.split) == of]
    if stale := [path for path, about in found if about.version != rows.version]:
        print(
            f"{rows.title}: {len(stale)} of earlier versions are kept ({sum(map(size, stale)) / 1e9:,.1f} GB); "
            "python -m loaders.training --remove stale",
            file=sys.stderr,
        )


def kept() -> list[tuple[Path, About | None]]:
    """Return the folders in the cache, latest first, and what is said of each; None of one that is not whole."""
    folders = [path for path in place().glob("*") if path.is_dir()] if place().is_dir() else []
    return [(path, _about(path)) for path in sorted(folders, key=lambda path: -path.stat().st_mtime)]


def _about(folder: Path) -> About | None:
    try:
        return read_about(folder) if folder.suffix != PARTIAL else None
    except _DAMAGE:
        return None


def size(folder: Path) -> int:
    """Return the bytes of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def remove(folder: Path) -> bool:
    """Remove an array, unless another process is just making it; say whether it was. Who has it open keeps it."""
    lock = filelock.FileLock(f"{folder.with_suffix('')}.lock")
    with suppress(filelock.Timeout), lock.acquire(timeout=0):
        partial = folder.with_suffix(PARTIAL)
        if folder != partial:
            shutil.rmtree(partial, ignore_errors=True)
            folder.rename(partial)
        shutil.rmtree(partial)
        Path(lock.lock_file).unlink(missing_ok=True)
        return True
    return False
