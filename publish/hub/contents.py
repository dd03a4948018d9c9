"""The files of a repository on the Hub."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loaders import Problem
from publish.hub import client
from publish.hub.client import Repository


class HubContents:
    """A repository on the Hub at one commit."""

    def __init__(self, place: Repository, commit: str) -> None:
        self.name, self._place, self._at = place.name, place, commit
        self.commit: str | None = commit
        head = place.head(commit)
        self._files = head.files if head else {}

    def is_passing(self, error: BaseException) -> bool:
        return client.is_passing(error)

    def sizes(self) -> Mapping[str, int]:
        return {path: file.size for path, file in self._files.items()}

    def sha256(self, path: str) -> str:
        return hashlib.sha256(self._place.content(path, self._at)).hexdigest()

    def listed_sha256(self, path: str) -> str | None:
        return self._files[path].sha256

    def open(self, path: str) -> Any:
        return self._place.open(path, self._at)

    def span(self, path: str, begin: int, end: int) -> bytes:
        return self._place.span(path, self._at, begin, end)

    def local(self, path: str) -> Path:
        return self._place.download(path, self._at)


def on_hub(name: str, revision: str) -> HubContents:
    """Return ORG/NAME at a branch, tag or commit as it is now; raises Problem when there is no such revision."""
    place = Repository(name)
    if (head := place.head(revision)) is None:
        raise Problem(f"{name}: has no revision {revision}.")
    return HubContents(place, head.commit)
