"""Where files are: a path of this machine, or a URL of a store that fsspec knows (`s3://`, `gs://`, `hf://`).

Both have the interface of `pathlib.Path`; universal_pathlib gives it to a URL, which is typed as a `Path` here for that
reason. A URL carries no credentials: each machine finds its own, where the file system's library looks for them.
"""

import errno
import io
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit

from loaders._errors import Problem
from loaders._raw import RawFile

_LIBRARIES = {"adlfs", "aiobotocore", "aiohttp", "azure", "botocore", "distributed", "fsspec", "gcsfs", "google"}
_LIBRARIES |= {"httpcore2", "httpx", "httpx2", "huggingface_hub", "paramiko", "s3fs", "upath"}
_READ_ONLY = ("hf", "http", "https")  # each file onto the Hub would be a commit of its own
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"  # the folder, beside finished files, of what is being made
_STAMPS = ("ETag", "etag", "generation", "blob_id", "LastModified", "last_modified", "mtime")  # by file system
_LEAST, _MOST = 1 << 18, 8 << 20  # bytes of a request to a store: of the first, and of one in a file read to its end


def place(text: str) -> Path:
    """Return the path that a person names.

    Raises Problem for a URL with a password in it, of an unknown file system, or of one whose library is missing.
    """
    if "://" not in text:
        return Path(text)
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


def destination(text: str) -> Path:
    """Return the path that a person names for results; raises Problem as `place` does, and where one only reads."""
    path = place(text)
    if not is_local(path) and _remote(path).protocol in _READ_ONLY:
        raise Problem(
            f"{text}: results cannot be written to such a URL. Name a folder or a store such as s3://bucket/folder; "
            "onto the Hub go datasets, with python -m publish --push-to ORG."
        )
    return path


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
    remote = _remote(path)
    info = remote.fs.info(remote.path)
    stamp = next((info[name] for name in _STAMPS if info.get(name)), None)
    return [int(info["size"]), str(stamp or remote.fs.ukey(remote.path))]


def key(path: Path) -> bytes:
    """Return what names a file on this machine, for notes about it."""
    return os.fsencode(path.resolve()) if is_local(path) else str(path).encode()


def open_file(path: Path, *, ahead: bool = True) -> BinaryIO:
    """Open a file for reading. Of a remote one, more is asked for than is read, unless `ahead` is not set."""
    if is_local(path):
        return path.open("rb", buffering=0)
    file = _remote(path).open("rb", cache_type="none")
    return cast(BinaryIO, _Ahead(file) if ahead else file)


class _Ahead(RawFile):
    """A remote file. Each request asks for twice as much as the one before while it is read in one go.

    So a header costs little, and a gigabyte few requests.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, file.seek(0, io.SEEK_END))
        self._piece, self._start, self._ask = b"", 0, _LEAST

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        if not self._start <= self._at < self._start + len(self._piece):
            self._fetch()
        begin = self._at - self._start
        piece = memoryview(self._piece)[begin : begin + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _fetch(self) -> None:
        goes_on = self._piece and self._at == self._start + len(self._piece)
        self._ask = min(2 * self._ask, _MOST) if goes_on else _LEAST
        self._piece, self._start = b"", self._at  # free before the next comes
        self._file.seek(self._at)
        self._piece = self._file.read(min(self._ask, self._size - self._at))


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give out a new file to write, which takes its place when the block is left; by an error, it is removed.

    A store takes only whole files: there, it lies in this machine's folder for temporary files until it is sent.
    """
    folder = path.parent if is_local(path) else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex[:8]  # the number of a process is not unique among machines
    temporary = folder / f"{path.name}.{os.getpid()}-{unique}.tmp"
    try:
        yield temporary
        if is_local(path):
            temporary.replace(path)
        else:
            remote = _remote(path)
            remote.fs.put_file(str(temporary), remote.path)
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


def read_ranges(paths: Sequence[Path], starts: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
    """Return a piece of each file; from a store, many at once."""
    if paths and not is_local(paths[0]):
        stops = [start + length for start, length in zip(starts, lengths, strict=True)]
        names = [_remote(path).path for path in paths]
        return list(_remote(paths[0]).fs.cat_ranges(names, list(starts), stops, on_error="raise"))
    pieces = []
    for path, start, length in zip(paths, starts, lengths, strict=True):
        file = os.open(path, os.O_RDONLY)
        try:
            pieces.append(os.pread(file, length, start))
        finally:
            os.close(file)
    return pieces


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
    _remote(path).fs.cp_file(_remote(origin).path, _remote(path).path)


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, if it is there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        _remote(folder).fs.rm(_remote(folder).path, recursive=True)


def entries(folder: Path) -> dict[str, bool]:
    """Return {name: whether it is a folder} of what lies in a folder, by listing it and no more."""
    if is_local(folder):
        with os.scandir(folder) as found:
            return {entry.name: entry.is_dir() for entry in found}
    remote = _remote(folder)
    infos = remote.fs.ls(remote.path, detail=True)
    return {info["name"].rstrip("/").rpartition("/")[2]: info["type"] == "directory" for info in infos}


def files(folder: Path) -> list[str]:
    """Return the path of every file in a folder, from there."""
    if is_local(folder):
        return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() or p.is_symlink()]
    remote = _remote(folder)
    start = len(remote.path.rstrip("/")) + 1
    return [name[start:] for name in remote.fs.find(remote.path, withdirs=False)]


def is_remote_error(error: BaseException) -> bool:
    """Say whether an error was raised by a remote file system's library; they have no common base."""
    return type(error).__module__.partition(".")[0] in _LIBRARIES


def told(error: BaseException, out: Path | None) -> str | None:
    """Return what an error of the system or of a store says, and of which file; None of any other error.

    `out` is where things are written: what the system says without a file is about that.
    """
    if isinstance(error, OSError) and (where := error.filename2 or error.filename):
        return f"{where}: {error.strerror or error}"
    if isinstance(error, OSError) and error.errno is not None and not is_remote_error(error):
        return f"{out or 'error of the system'}: {error.strerror or error}"
    is_known = isinstance(error, OSError) or is_remote_error(error)
    return f"{type(error).__name__}: {error}" if is_known else None


def sees(files: Sequence[tuple[Path, int | None]]) -> None:
    """Raise Problem unless this machine has the files, of that many bytes, or folders. Runs wherever work is done."""
    for path, size in files:
        if not path.exists() or (size is not None and path.stat().st_size != size):
            raise Problem(
                f"sees no {path} as it is here: expected the same archives on all machines. Put it into --source, a "
                "folder that all mount under one path or a URL such as s3://bucket/archives."
            )


def takes(out: Path) -> Callable[[], object]:
    """Return what raises Problem unless results can be written to `out` where it is called."""
    if not is_local(out):
        return partial(check_store, out)
    mark, word = out.absolute() / PARTIAL / "mark", uuid.uuid4().hex
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(word)
    return partial(_is_shared, out, mark, word)


def _is_shared(out: Path, mark: Path, word: str) -> None:
    if not mark.is_file() or mark.read_text() != word:
        raise Problem(
            f"does not see the folder {out}: expected a disk that all machines share. Mount it there under the same "
            "path, or give --out a URL such as s3://bucket/folder. To publish, let workers send shards: --push-to."
        )


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


def _remote(path: Path) -> Any:
    return path
