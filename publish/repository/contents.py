"""The files of a repository, wherever it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from loaders.sources.digests import sha256_of


class Contents(Protocol):
    """The files of a repository."""

    name: str
    commit: str | None  # which revision, where there are several

    def is_passing(self, error: BaseException) -> bool:
        """Say whether an error is of the way to the place, and may be gone later; the files are not at fault then."""

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of every file, by path."""

    def sha256(self, path: str) -> str:
        """Return the digest of a file, from its bytes."""

    def listed_sha256(self, path: str) -> str | None:
        """Return the digest that the place itself gives for a file, where it does without reading it."""

    def open(self, path: str) -> Any:
        """Open a file for reading by ranges."""

    def span(self, path: str, begin: int, end: int) -> bytes:
        """Return the bytes of a file from `begin` to before `end`, and read no others."""

    def local(self, path: str) -> Path:
        """Return a file of this machine with the content of a file."""


class FolderContents:
    """A folder."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder
        self.commit: str | None = None

    def is_passing(self, error: BaseException) -> bool:
        return False

    def sizes(self) -> Mapping[str, int]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {path.relative_to(self._folder).as_posix(): path.stat().st_size for path in files}

    def sha256(self, path: str) -> str:
        return sha256_of(self._folder / path)

    def listed_sha256(self, path: str) -> str | None:
        return None

    def open(self, path: str) -> IO[bytes]:
        return (self._folder / path).open("rb")

    def span(self, path: str, begin: int, end: int) -> bytes:
        with self.open(path) as file:
            file.seek(begin)
            return file.read(end - begin)

    def local(self, path: str) -> Path:
        return self._folder / path
