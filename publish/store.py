"""Repositories in an object store, by URL (`--out s3://bucket/hub`): workers send their shards there themselves.

A store has no folder that can be exchanged for another in one step. So a repository that changes loses its manifest and
card first and gets them back last: whoever finds a manifest finds everything that it lists.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from loaders import Job, Problem
from loaders._places import copy, files, takes
from publish import card, manifest, repository, staging
from publish.manifest import Manifest
from publish.repository import Ready
from publish.staging import Done


class Store:
    """Repositories `URL/DATASET`, a `publish.destination.Destination`."""

    def __init__(self, out: Path) -> None:
        if str(out).startswith("hf:"):
            raise Problem(f"{out}: each file would be a commit of its own there. Publish with --push-to ORG instead.")
        self._out = out
        self._old: dict[str, Manifest | None] = {}
        self._broken: set[str] = set()

    def check(self) -> Callable[[], object]:
        return takes(self._out)

    def room(self) -> Path | None:
        return None

    def manifests(self, dataset: str) -> list[Manifest]:
        found, aside = manifest.read(self._out / dataset), self._aside(dataset)
        if found:
            aside.unlink(missing_ok=True)  # of a run that was killed after its last step
        elif old := self._interrupted(dataset)["old"]:
            self._broken.add(dataset)
            found = manifest.load(str(old), str(aside))
        self._old[dataset] = found
        return [found] if found else []

    def _interrupted(self, dataset: str) -> dict[str, Any]:
        """Return the manifest and the new files of a run that was killed while it changed the repository."""
        place = self._aside(dataset)
        content: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {"old": "", "new": []}
        return content

    def has(self, dataset: str, path: str, sha256: str) -> bool:
        """A store has a file whole or not at all: its length is enough to tell, but behind a run that was killed."""
        old = self._old[dataset]
        sizes = {s.path: s.bytes for e in old.entries() for s in e.shards if s.sha256 == sha256} if old else {}
        place = self._out / dataset / path
        if dataset in self._broken or old is None or old.digests().get(path) != sha256 or not place.is_file():
            return False
        return path not in sizes or place.stat().st_size == sizes[path]

    def copy(self, dataset: str, path: str, sha256: str) -> Path | None:
        return None

    def work(self, dataset: str, path: str, job: Job, staged: Path) -> Callable[[], Done]:
        return partial(staging.build, job, staged)

    def send(self, dataset: str, path: str, sha256: str, copy: Path) -> Callable[[], Done]:
        raise NotImplementedError("a store has no copies elsewhere")

    def finish(self, dataset: str, splits: Sequence[Ready], stage: Path) -> None:
        final, old = self._out / dataset, self._old[dataset]
        texts = repository.small_files(dataset, splits)
        now = repository.merged(dataset, old, splits, texts)
        texts |= {"README.md": card.render(now, dataset, str(final)).encode(), manifest.NAME: now.dump().encode()}
        new = {path: origin for split in splits for path, origin in split.files.items()}
        there = set(files(final)) if final.exists() else set[str]()
        self._check(now, there | set(new))
        if not new and all(path in there and (final / path).read_bytes() == text for path, text in texts.items()):
            return
        begun = {str(path) for path in self._interrupted(dataset)["new"]}
        note = {"old": old.dump() if old else "", "new": sorted(begun | set(new))}
        self._aside(dataset).write_bytes(json.dumps(note).encode())
        gone = (begun | (old.paths() if old else set[str]())) - now.paths()
        for path in [path for path in (manifest.NAME, "README.md", *sorted(gone)) if path in there]:
            (final / path).unlink()
        for path, origin in new.items():
            copy(origin, final / path)
        for path, text in texts.items():  # card and manifest are the last of them
            (final / path).write_bytes(text)
        self._aside(dataset).unlink(missing_ok=True)

    def _aside(self, dataset: str) -> Path:
        """Return where the old manifest lies while there is none: a run that is killed then must not forget it."""
        return self._out / staging.FOLDER / f"{dataset}.json"

    def _check(self, now: Manifest, there: set[str]) -> None:
        for path in sorted({shard.path for entry in now.entries() for shard in entry.shards} - there):
            config = path.partition("/")[0]
            raise Problem(f"{self._out / now.dataset}: {path} is missing. Add --config {now.dataset}/{config}.")
