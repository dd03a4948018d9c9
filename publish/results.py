"""Files written whole under their names, here or in a store."""

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from loaders import Problem
from loaders.files.places import is_local, place, remote

_READ_ONLY = ("hf://", "http://", "https://")  # each file onto the Hub would be a commit of its own
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"  # the folder, beside finished files, of what is being made


def destination(text: str) -> Path:
    """Return the path that a person names for results; raises Problem as `place` does, and where one only reads."""
    if text.startswith(_READ_ONLY):
        raise Problem(
            f"{text}: results cannot be written to such a URL. Name a folder or a store such as s3://bucket/folder; "
            "onto the Hub go datasets, with python -m publish --push-to ORG."
        )
    return place(text)


def check_places(out: Path, inside: Iterable[Path]) -> None:
    """Raise Problem when what is made in `out` could not be moved to these places in it, or would replace a link there.

    `out` itself may be a link.
    """
    _check_folder(out)
    for path in (out / PARTIAL, *inside):
        if path.is_symlink():
            raise Problem(
                f"{path}: is a link to {path.readlink()}, in whose place what is made would be put. Name a folder on "
                f"that disk with --out, for all that is made, or let {out} be a link to one."
            )
        if path.exists() and path.stat().st_dev != out.stat().st_dev:
            raise Problem(
                f"{path}: lies on another disk than {out}. Name a folder of that disk with --out, for all that is made."
            )


def check_file(out: Path) -> None:
    """Raise Problem, before the work, when its result could not be written to the file `out`, which may be a link."""
    _check_folder(out.parent, out)
    if out.exists() and not out.is_file():
        what = "a folder" if out.is_dir() else "no file"  # a device, whose place a file would take
        raise Problem(f"{out}: is {what}, expected the name of a file to write (--out).")


def _check_folder(folder: Path, *inside: Path) -> None:
    """Raise Problem when a link on the way to a folder, or to what is in it, leads nowhere, or the way to a file."""
    for path in (*inside, folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise Problem(f"{path}: is a link to {path.readlink()}, and nothing is there. Is its disk mounted?")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise Problem(f"{there}: is no folder, expected one to write to. Name another place with --out.")


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give out a new file to write, which takes its place when the block is left; by an error, it is removed.

    A link stays one: what it leads to is written. A store takes only whole files: there, it lies in this machine's
    folder for temporary files until it is sent.
    """
    if is_local(path) and path.is_symlink():
        path = path.resolve()
    folder = path.parent if is_local(path) else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex[:8]  # the number of a process is not unique among machines
    temporary = folder / f"{path.name}.{os.getpid()}-{unique}.tmp"
    try:
        yield temporary
        if is_local(path):
            temporary.replace(path)
        else:
            there = remote(path)
            there.fs.put_file(str(temporary), there.path)
    except OSError as error:
        if error.filename is None and error.errno in _FULL:  # a full disk does not say of which file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def to_disk(file: IO[bytes]) -> None:
    """Wait until what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def move(origin: Path, path: Path) -> None:
    """Give a file its final name, within one file system."""
    if is_local(origin):
        path.parent.mkdir(exist_ok=True)
        origin.replace(path)
    else:
        copy(origin, path)
        origin.unlink()


def copy(origin: Path, path: Path) -> None:
    """Copy a file within one store, without its bytes coming here."""
    remote(path).fs.cp_file(remote(origin).path, remote(path).path)


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        remote(folder).fs.rm(remote(folder).path, recursive=True)


def check_store(out: Path) -> None:
    """Raise Problem unless results can be written to a store from here."""
    probe = out / PARTIAL / f"probe-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except Exception as error:  # each file system has errors of its own
        raise Problem(
            f"cannot write to {out} ({type(error).__name__}: {error}). Does this machine have credentials of its own "
            "for it, and does the bucket exist?"
        ) from error
