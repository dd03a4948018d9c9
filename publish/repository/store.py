"""Repositories in an object store, by URL (`--out s3://bucket/hub`): workers send their shards there themselves.

A store has no folder that can be exchanged for another in one step. So a repository that changes loses its manifest and
card first and gets them back last: whoever finds a manifest finds everything that it lists.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loaders import Job, Problem
from loaders.files.places import files
from loaders.files.typed import dumped, parsed
from publish import manifest
from publish.build import staging
from publish.build.entry import Ready
from publish.build.staging import Done
from publish.card import merge, render
from publish.manifest import Manifest
from publish.repository import compose
from publish.results import copy
from publish.work.shared import takes

_LAST = {"README.md", manifest.NAME}  # written when all else is there


@dataclass(frozen=True)
class _Note:
    """A repository while it changes: its old manifest, the paths that are written, its new README."""

    old: str
    new: tuple[str, ...]
    readme: str = ""


class Store:
    """Repositories `URL/DATASET`, a `publish.build.destination.Destination`."""

    def __init__(self, out: Path, overwrite_card: bool = False) -> None:
        if str(out).startswith("hf:"):
            raise Problem(f"{out}: each file would be a commit of its own there. Publish with --push-to ORG instead.")
        self._out, self._overwrite_card = out, overwrite_card
        self._old: dict[str, Manifest | None] = {}
        self._broken: set[str] = set()

    def prepare(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Raise Problem, before any work, where these configs could not be loaded from."""
        compose.check_loadable(self._out)

    def check(self) -> Callable[[], object]:
        return takes(self._out)

    def room(self) -> Path | None:
        return None

    def at_once(self) -> int | None:
        return None

    def manifests(self, dataset: str) -> list[Manifest]:
        found, aside = manifest.read(self._out / dataset), self._aside(dataset)
        if found:
            aside.unlink(missing_ok=True)  # of a run that was killed after its last step
        elif old := self._interrupted(dataset).old:
            self._broken.add(dataset)
            found = manifest.load(old, str(aside))
        self._old[dataset] = manifest.of_dataset(dataset, found, str(self._out / dataset))
        return [found] if found else []

    def _interrupted(self, dataset: str) -> _Note:
        """Return what a run noted that was killed while it changed the repository."""
        place = self._aside(dataset)
        try:
            return parsed(place.read_bytes(), _Note) if place.exists() else _Note("", ())
        except ValueError as error:
            raise Problem(
                f"{place}: expected the note of a run that was stopped, but it cannot be read ({error}). Move it away; "
                f"if there is no {manifest.NAME} in {self._out / dataset}, move that away, too, to build it anew."
            ) from error

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
        texts = compose.small_files(dataset, splits)
        now = compose.merged(dataset, old, splits, texts)
        new = {path: origin for split in splits for path, origin in split.files.items()}
        there = set(files(final)) if final.exists() else set[str]()
        self._check(now, there | set(new))
        begun = self._interrupted(dataset)
        compose.check_theirs(final, now, old, (there & {*new, *texts}) - set(begun.new))
        text = self._readme(now, old, begun, there)
        texts |= {"README.md": text, manifest.NAME: now.dump().encode()}
        if not new and all(path in there and (final / path).read_bytes() == text for path, text in texts.items()):
            return
        note = _Note(old.dump() if old else "", (*sorted({*begun.new, *new, *texts} - _LAST),), text.decode())
        self._aside(dataset).write_bytes(dumped(note).encode())
        gone = ({*begun.new} | (old.paths() if old else set[str]())) - now.paths()
        for path in [path for path in (manifest.NAME, "README.md", *sorted(gone)) if path in there]:
            (final / path).unlink()
        for path, origin in new.items():
            copy(origin, final / path)
        for path, text in texts.items():  # card and manifest are the last of them
            (final / path).write_bytes(text)
        self._aside(dataset).unlink(missing_ok=True)

    def _readme(self, now: Manifest, old: Manifest | None, begun: _Note, there: set[str]) -> bytes:
        place = self._out / now.dataset / "README.md"
        theirs = begun.readme.encode() or (place.read_bytes() if "README.md" in there else b"")
        return merge.merged(render.render(now), now, theirs, old, str(place), self._overwrite_card)

    def _aside(self, dataset: str) -> Path:
        """Return where the old manifest lies while there is none: a run that is killed then must not forget it."""
        return self._out / staging.FOLDER / f"{dataset}.json"

    def _check(self, now: Manifest, there: set[str]) -> None:
        for path in sorted({shard.path for entry in now.entries() for shard in entry.shards} - there):
            config = path.partition("/")[0]
            raise Problem(f"{self._out / now.dataset}: {path} is missing. Add --config {now.dataset}/{config}.")
