"""What a build has to know of where finished repositories go: a folder, a store or the Hub."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from loaders import Job
from publish.build.entry import Ready
from publish.build.staging import Done
from publish.manifest import Manifest


class Destination(Protocol):
    """What a build has to know of where its repositories go."""

    def check(self) -> Callable[[], object]:
        """Return what whoever builds must be able to do; it raises Problem where it cannot be done."""

    def room(self) -> Path | None:
        """Return the folder whose disk must hold all that is built; None when shards lie elsewhere."""

    def at_once(self) -> int | None:
        """Return how many shards lie there at a time; None when all of them stay."""

    def manifests(self, dataset: str) -> list[Manifest]:
        """Return the manifest that is in force there, if any, then those of copies that shards may be taken from."""

    def has(self, dataset: str, path: str, sha256: str) -> bool:
        """Say whether the file is there already, whole."""

    def copy(self, dataset: str, path: str, sha256: str) -> Path | None:
        """Return a whole copy of the file on this machine, from which it need only be sent."""

    def work(self, dataset: str, path: str, job: Job, staged: Path) -> Callable[[], Done]:
        """Return what a worker has to do for a shard."""

    def send(self, dataset: str, path: str, sha256: str, copy: Path) -> Callable[[], Done]:
        """Return what a worker has to do for a shard that need only be sent, unless it lost its digest by then."""

    def finish(self, dataset: str, splits: Sequence[Ready], stage: Path) -> None:
        """Put the repository in force, old files and new ones, in one step."""
