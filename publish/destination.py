"""Where finished repositories go: a folder here, or the Hub (`publish.hub`). Both are a `Destination`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from loaders import Archive, Job
from loaders._places import takes
from publish import manifest as manifests
from publish import repository, staging
from publish.manifest import Manifest
from publish.repository import Ready
from publish.staging import Done


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


class Folder:
    """Repositories as folders `OUT/DATASET`."""

    def __init__(self, out: Path, overwrite_card: bool = False) -> None:
        self._out, self._overwrite_card = out, overwrite_card

    def check(self) -> Callable[[], object]:
        return takes(self._out)

    def room(self) -> Path | None:
        return self._out

    def at_once(self) -> int | None:
        return None

    def manifests(self, dataset: str) -> list[Manifest]:
        final = self._out / dataset
        staging.restore(final)
        found = manifests.of_dataset(dataset, manifests.read(final), str(final))
        return [found] if found else []

    def has(self, dataset: str, path: str, sha256: str) -> bool:
        return is_whole(self._out / dataset / path, sha256)

    def copy(self, dataset: str, path: str, sha256: str) -> Path | None:
        return None

    def work(self, dataset: str, path: str, job: Job, staged: Path) -> Callable[[], Done]:
        return partial(staging.build, job, staged)

    def send(self, dataset: str, path: str, sha256: str, copy: Path) -> Callable[[], Done]:
        raise NotImplementedError("a folder has no copies elsewhere")

    def finish(self, dataset: str, splits: Sequence[Ready], stage: Path) -> None:
        final = self._out / dataset
        repository.put_in_place(final, stage / "new", dataset, manifests.read(final), splits, self._overwrite_card)


def is_whole(path: Path, sha256: str) -> bool:
    """Say whether a file has that digest; what was hashed once, and has not changed since, is not hashed again."""
    return path.is_file() and Archive(path, None).sha256() == sha256
