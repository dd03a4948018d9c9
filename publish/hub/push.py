"""The Hub as a destination: a private, gated repository; every shard sent when it is built; then one commit.

A reader sees the old revision or the new one. Whatever goes wrong, the next run computes what is left to do from the
head of the branch, so that nothing is sent or committed twice.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import loaders
from loaders import Job, Problem
from publish import manifest
from publish.build import staging
from publish.build.entry import Ready
from publish.build.staging import Done
from publish.hub import access, readback
from publish.hub.branch import Outcome
from publish.hub.client import Head, Repository
from publish.hub.commit import Commit, read_manifest
from publish.manifest import Manifest
from publish.repository.folder import is_whole


@dataclass(frozen=True)
class Settings:
    """What is asked for: whose repositories, on which branch, and what happens beside the commit."""

    organisation: str
    revision: str = "main"
    create_pr: bool = False
    tag: str | None = None
    public: bool = False
    overwrite_card: bool = False
    remove_local: bool = False
    workers: int = 1  # processes, each with a shard on this disk
    away: bool = False  # workers may be on other machines, each with a disk of its own
    suffix: str = ""  # "_sample" for a sample, so that the name says it

    def repository(self, dataset: str) -> Repository:
        """Return the repository of a dataset."""
        return Repository(f"{self.organisation}/{dataset}{self.suffix}", self.revision)


class Hub:
    """Repositories `ORGANISATION/DATASET` on the Hub, a `publish.build.destination.Destination`."""

    def __init__(self, settings: Settings, out: Path) -> None:
        self._settings, self._out = settings, out
        self._heads: dict[str, Head | None] = {}
        self._old: dict[str, Manifest | None] = {}
        self._local: dict[str, Manifest | None] = {}
        self.outcomes: dict[str, Outcome] = {}

    def prepare(self, datasets: Sequence[str]) -> None:
        """Prove that we may write, and create the repositories, private and gated, that are not there yet.

        Raises Problem, in one line, before anything is built or sent.
        """
        access.check_login(self._settings.organisation)
        for dataset in datasets:
            place = self._settings.repository(dataset)
            access.open_repository(place, loaders.load(dataset).DATASET.gated, self._settings.create_pr)
            self._heads[dataset] = place.head()
            found, local = read_manifest(place, self._heads[dataset]), self._out / dataset
            self._old[dataset] = manifest.of_dataset(dataset, found, place.name)
            self._local[dataset] = manifest.of_dataset(dataset, manifest.read(local), str(local))

    def check(self) -> Callable[[], object]:
        return partial(access.check_login, self._settings.organisation)

    def room(self) -> Path | None:
        return None if self._settings.away else self._out

    def at_once(self) -> int | None:
        return self._settings.workers if self._settings.remove_local else None

    def manifests(self, dataset: str) -> list[Manifest]:
        return [found for found in (self._old[dataset], self._local[dataset]) if found]

    def has(self, dataset: str, path: str, sha256: str) -> bool:
        head, old = self._heads[dataset], self._old[dataset]
        if head is None or old is None or path not in head.files or old.digests().get(path) != sha256:
            return False
        return head.files[path].sha256 in (None, sha256)

    def copy(self, dataset: str, path: str, sha256: str) -> Path | None:
        place = self._out / dataset / path
        if self._settings.away and path.endswith(".parquet"):
            return None  # on this disk, which whoever would send it does not see
        return place if is_whole(place, sha256) else None

    def work(self, dataset: str, path: str, job: Job, staged: Path) -> Callable[[], Done]:
        if self._settings.away:
            return partial(_build_away, self._settings, dataset, path, job)
        return partial(_build_and_send, self._settings, dataset, path, job, staged)

    def send(self, dataset: str, path: str, sha256: str, copy: Path) -> Callable[[], Done]:
        return partial(_send, self._settings, dataset, path, sha256, copy)

    def finish(self, dataset: str, splits: Sequence[Ready], stage: Path) -> None:
        """Commit, verify the new revision, tag it, and open the repository if that was asked for."""
        place = self._settings.repository(dataset)
        asked = self._settings
        commit = Commit(place, dataset, splits, asked.create_pr, asked.overwrite_card, asked.tag, self._heads[dataset])
        outcome = commit.run()
        read_back = outcome.is_new or self._leads_readers(place, outcome)
        self.outcomes[dataset] = replace(outcome, was_read_back=read_back)
        if faults := (readback.remote if read_back else readback.listed)(place, outcome.commit):
            raise Problem(
                f"{place.name}: the revision {outcome.commit[:8]} is not what was sent:\n" + "\n".join(faults)
            )
        if self._settings.tag:
            access.tag(place, self._settings.tag, outcome.commit)
        if self._opens():
            access.make_public(place, loaders.load(dataset).DATASET.gated)

    def _opens(self) -> bool:
        return self._settings.public and not self._settings.create_pr

    def _leads_readers(self, place: Repository, outcome: Outcome) -> bool:
        """Say whether this run will tag the revision or open it: the run that made it may not have read it back."""
        tag = self._settings.tag
        tags = tag is not None and not access.is_tagged(place, tag, outcome.commit)
        return tags or (self._opens() and access.is_private(place))


def _build_away(settings: Settings, dataset: str, path: str, job: Job) -> Done:
    """Do it in a folder of this machine's own that nothing is left of."""
    with tempfile.TemporaryDirectory(prefix="imagenet-variants-") as folder:
        return _build_and_send(settings, dataset, path, job, Path(folder) / Path(path).name)


def _build_and_send(settings: Settings, dataset: str, path: str, job: Job, staged: Path) -> Done:
    done = staging.build(job, staged)
    assert done.receipt
    upload = settings.repository(dataset).upload(path, staged, done.receipt.sha256, settings.create_pr)
    was_sent = upload.path_or_fileobj == b""  # the client lets go of what it has sent
    if was_sent and settings.remove_local:
        staged.unlink()
    return Done(done.built, upload, done.seconds, done.receipt if settings.away else None)


def _send(settings: Settings, dataset: str, path: str, sha256: str, copy: Path) -> Done:
    return Done(upload=settings.repository(dataset).upload(path, copy, sha256, settings.create_pr))
