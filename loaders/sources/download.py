"""Downloads: taken up where an earlier one broke off, verified, then put in place under their names."""

import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import filelock

from loaders._errors import SourceProblem
from loaders.files.places import is_local, state
from loaders.sources.digests import remember_sha256, sha256_of
from loaders.sources.folder import default_folder
from loaders.sources.source import Source


def fetch(source: Source, folder: Path) -> Path:
    """Download a source into the folder, taking up where an earlier download broke off, and verify it.

    It goes to the cache when the folder is elsewhere, or may not be written to, as labs' shared copies often may not.
    What is not whole yet is in the cache alone: nothing of a download that fails lies where a person keeps archives.

    Raises SourceProblem when the server does not answer or sends other bytes than were published.
    """
    cache = default_folder()
    if not is_local(folder) or (folder.is_dir() and not os.access(folder, os.W_OK)):
        folder = cache
    folder.mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    place, part = folder / source.name, cache / f"{source.name}.part"
    with _alone(place, part):
        if not place.is_file():
            _download(source, place, part)
    return place


@contextmanager
def _alone(place: Path, part: Path) -> Iterator[None]:
    """Wait until no other process downloads the file."""
    lock = Path(f"{part}.lock")
    with ExitStack() as held:
        try:
            held.enter_context(filelock.FileLock(lock, timeout=0))
        except filelock.Timeout:
            print(f"{place}: another process downloads it; waiting for that", file=sys.stderr)
            held.enter_context(filelock.FileLock(lock))
        held.callback(lock.unlink, missing_ok=True)
        yield


def _download(source: Source, place: Path, part: Path) -> None:
    if not _is_whole(part, source):
        _get(source, part, place.parent)
        _verify(source, part)
    _put(part, place)
    remember_sha256(place, source.sha256, [*state(place)])


def _put(part: Path, place: Path) -> None:
    """Give a whole download its name, on another disk than the cache's too."""
    try:
        part.replace(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(part, temporary)
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
        part.unlink()


def _get(source: Source, part: Path, folder: Path) -> None:
    """Ask for what of the source is not there yet."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get

    url = str(source.url).replace("https://huggingface.co", constants.ENDPOINT)
    try:
        part.touch()
        done = _usable(part, source)
        with _Part(part, source) as file:
            http_get(url, file, resume_size=done, displayed_filename=source.name)
    except SourceProblem:
        part.unlink()
        raise
    except Exception as error:  # the client's errors have no common base; each means: not downloaded
        raise SourceProblem(
            f"{source.name}: expected to download it from {url}, but {error}. Run again to go on where it stopped, "
            f"or put the file into {folder}/ yourself."
        ) from error


class _Part(io.BufferedWriter):
    """A download on its way to disk, which takes no more than was published, whatever the server sends."""

    def __init__(self, part: Path, source: Source) -> None:
        super().__init__(io.FileIO(part, "ab"))
        self._source = source

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self._source.bytes:
            raise SourceProblem(_other(self._source, "more was sent"))
        return super().write(data)


def _other(source: Source, found: str) -> str:
    return (
        f"{source.name}: expected {source.bytes:,} bytes with SHA-256 {source.sha256}, {found}. "
        f"The download was deleted; has {source.page} published another version?"
    )


def _is_whole(part: Path, source: Source) -> bool:
    """Say whether an earlier download came to its end, and was killed before it was verified."""
    return part.is_file() and part.stat().st_size == source.bytes and sha256_of(part) == source.sha256


def _usable(part: Path, source: Source) -> int:
    """Return the bytes of an earlier download that may be gone on from."""
    size = part.stat().st_size
    if size >= source.bytes:
        os.truncate(part, 0)
        return 0
    return size


def _verify(source: Source, part: Path) -> None:
    size, found = part.stat().st_size, sha256_of(part)
    if (size, found) != (source.bytes, source.sha256):
        part.unlink()
        raise SourceProblem(_other(source, f"downloaded {size:,} with {found}"))
