"""Where files are: a path of this machine, or a URL of a store that fsspec knows (`s3://`, `gs://`, `hf://`).

Both have the interface of `pathlib.Path`; universal_pathlib gives it to a URL, which is typed as a `Path` here for that
reason. A URL carries no credentials: each machine finds its own, where the file system's library looks for them.
"""

import itertools
import os
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from loaders._errors import Problem

_LIBRARIES = {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "distributed", "fsspec", "gcsfs", "google"}
_LIBRARIES |= {"httpcore2", "httpx", "httpx2", "huggingface_hub", "paramiko", "s3fs", "upath"}
_STAMPS = ("ETag", "etag", "generation", "blob_id", "LastModified", "last_modified", "mtime")  # by file system


def place(text: str) -> Path:
    """Return the path that a person names, here or by URL.

    Raises Problem as `local` does, and for a URL with a password in it, of an unknown file system, or of one whose
    library is missing.
    """
    if "://" not in text:
        return local(text)
    from upath import UPath

    parts = urlsplit(text)
    if "::" in text or "?" in text or ":" in parts.netloc.rpartition("@")[0]:
        scheme = parts.scheme.rpartition(":")[2]
        raise Problem(f"{scheme}://...: leave credentials out of a URL; set them up on each machine instead.")
    try:
        path = UPath(text, use_listings_cache=False)  # others write there, too
        path.fs  # noqa: B018  (it is made when first asked for)
    except (ImportError, ValueError) as error:
        raise Problem(f"{parts.scheme}://...: this file system cannot be used here: {error}.") from error
    return Path(path.path) if path.protocol in ("", "file", "local") else cast(Path, path)


def local(text: str) -> Path:
    """Return the path of this machine that a person names; of one that starts with `~`, in the home folder.

    Raises Problem for an empty name, one that is not UTF-8, and the home of a user that there is not.
    """
    if not text:
        raise Problem("expected a name, got an empty one. Is a variable not set? The current folder is named `.`")
    try:
        text.encode()
        return Path(text).expanduser() if text.startswith("~") else Path(text)
    except UnicodeEncodeError as error:  # Python has each byte that is none as half of a surrogate pair
        raise Problem(f"{os.fsencode(text)!r}: expected a name in UTF-8, as libraries do. Rename it.") from error
    except RuntimeError as error:
        raise Problem(f"{text}: no home folder is known for that. A folder of that name here is ./{text}") from error


def is_place(value: object) -> bool:
    """Say whether something is a path, here or by URL."""
    return isinstance(value, Path) or type(value).__module__.startswith("upath.")


def is_local(path: Path) -> bool:
    """Say whether a path is one of this machine (or of a disk that it mounts)."""
    return isinstance(path, Path)


def identity(path: Path) -> list[int | str]:
    """Return what changes when a file does: size in bytes and mtime in nanoseconds, or what a store says of it."""
    if is_local(path):
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]
    there = remote(path)
    info = there.fs.info(there.path)
    stamp = next((info[name] for name in _STAMPS if info.get(name)), None)
    return [int(info["size"]), str(stamp or there.fs.ukey(there.path))]


def state(path: Path) -> tuple[int | str, ...]:
    """Return what changes whenever a file does, its mtime put back or not: as `identity`, and ctime in nanoseconds.

    `wget`, `rsync -t` and `cp -p` give another content the mtime of the first. A link, or a chmod, changes it as well:
    of files that share links, ask for `identity`. An inode would tell no more, and some file systems (FUSE, FAT) make
    up another while nothing has changed.
    """
    return state_of(path.stat()) if is_local(path) else tuple(identity(path))


def state_of(status: os.stat_result) -> tuple[int | str, ...]:
    """Return the same of a file of this machine that is open, or was asked after."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def key(path: Path) -> bytes:
    """Return what names a file on this machine, for notes about it."""
    return os.fsencode(path.resolve()) if is_local(path) else str(path).encode()


def entries(folder: Path, most: int | None = None) -> dict[str, bool]:
    """Return {name: whether it is a folder} of what lies in a folder, `most` of them, by listing it and no more."""
    if is_local(folder):
        with os.scandir(folder) as found:
            return {entry.name: _is_folder(entry) for entry in itertools.islice(found, most)}
    there = remote(folder)
    infos = there.fs.ls(there.path, detail=True)[:most]
    return {info["name"].rstrip("/").rpartition("/")[2]: info["type"] == "directory" for info in infos}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def files(folder: Path) -> list[str]:
    """Return the path of every file in a folder, from there."""
    if is_local(folder):
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink()]
    there = remote(folder)
    start = len(there.path.rstrip("/")) + 1
    return [name[start:] for name in there.fs.find(there.path, withdirs=False)]


def is_remote_error(error: BaseException) -> bool:
    """Say whether an error was raised by a remote file system's library; they have no common base."""
    return type(error).__module__.partition(".")[0] in _LIBRARIES


def told(error: BaseException, out: Path | None) -> str | None:
    """Return what an error of the system or of a store says, and of which file; None of any other error.

    That there is no memory is the system's, too.

    `out` is where things are written: what the system says without a file is about that.
    """
    if isinstance(error, MemoryError):
        return f"out of memory ({str(error) or 'of this process'}): use fewer --workers, or raise its limit (ulimit -v)"
    if isinstance(error, OSError) and (where := error.filename2 or error.filename):
        return f"{where}: {error.strerror or error}"
    if isinstance(error, OSError) and error.errno is not None and not is_remote_error(error):
        return f"{out or 'error of the system'}: {error.strerror or error}"
    is_known = isinstance(error, OSError) or is_remote_error(error)
    return f"{type(error).__name__}: {error}" if is_known else None


def remote(path: Path) -> Any:
    """Return a path of a store with what universal_pathlib gives it beyond a `Path`: `fs`, `path`, `protocol`."""
    return path
