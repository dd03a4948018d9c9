"""Repositories as folders `OUT/DATASET`, each put in force in one step."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import loaders
from loaders import Job, Problem
from loaders.sources.digests import known_sha256
from publish import manifest
from publish.build import staging
from publish.build.entry import Ready
from publish.build.staging import Done
from publish.card import render
from publish.card.merge import merged as merged_card
from publish.manifest import Manifest
from publish.repository import exchange
from publish.repository.compose import check_loadable, check_theirs, merged, small_files
from publish.results import check_places
from publish.work.shared import takes


class Folder:
    """Repositories as folders `OUT/DATASET`."""

    def __init__(self, out: Path, overwrite_card: bool = False) -> None:
        self._out, self._overwrite_card = out, overwrite_card

    def prepare(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """Raise Problem, before any work, where these configs could not be put in place, or not be loaded from."""
        check_loadable(self._out)
        for dataset, configs in wanted.items():
            final = self._out / dataset
            inside = {split.folder or name for name in configs for split in loaders.load(dataset).config(name).splits}
            check_places(self._out, [final, *(final / name for name in sorted(inside | {"pictures"}))])

    def check(self) -> Callable[[], object]:
        return takes(self._out)

    def room(self) -> Path | None:
        return self._out

    def at_once(self) -> int | None:
        return None

    def manifests(self, dataset: str) -> list[Manifest]:
        final = self._out / dataset
        exchange.restore(final)
        found = manifest.of_dataset(dataset, manifest.read(final), str(final))
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
        put_in_place(final, stage / "new", dataset, manifest.read(final), splits, self._overwrite_card)


def is_whole(path: Path, sha256: str) -> bool:
    """Say whether a file has that digest; what was hashed once, and has not changed since, is not hashed again."""
    return path.is_file() and known_sha256(path) == sha256


def put_in_place(
    final: Path, new: Path, dataset: str, old: Manifest | None, splits: Sequence[Ready], overwrite_card: bool = False
) -> bool:
    """Put the repository together in `new` and let it take the place of `final`; say whether anything changed.

    Configs of the old manifest that are not built now stay as they are, and so do files that no manifest lists. Raises
    Problem where one of those lies in the way, or a person edited a computed part of the card.
    """
    texts = small_files(dataset, splits)
    now = merged(dataset, old, splits, texts)
    links = {path: origin for split in splits for path, origin in split.files.items()}
    check_theirs(final, now, old, {path for path in {*links, *texts} if os.path.lexists(final / path)})
    links |= _kept(final, old, now, set(links) | set(texts))
    place = final / "README.md"
    theirs = place.read_bytes() if place.exists() else b""
    texts["README.md"] = merged_card(render.render(now), now, theirs, old, str(place), overwrite_card)
    texts[manifest.NAME] = now.dump().encode()
    if _is_there(final, links, texts):
        return False
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    exchange.place(new, links, texts)
    exchange.exchange(new, final)
    return True


def _kept(final: Path, old: Manifest | None, now: Manifest, here: set[str]) -> dict[str, Path]:
    """Return the files of configs that are not built now, and those that no manifest lists."""
    kept = {path: final / path for path in now.paths() - here}
    for entry in now.entries():
        for shard in entry.shards:
            at = kept.get(shard.path)
            if at and not (at.is_file() and at.stat().st_size == shard.bytes):
                config = shard.path.partition("/")[0]
                raise Problem(
                    f"{at}: expected {shard.bytes:,} bytes, as {final}/{manifest.NAME} says; it is not there or has "
                    f"another size. Build it, too: add --config {now.dataset}/{config}."
                )
    ours = (old.paths() if old else set()) | {manifest.NAME, "README.md"}
    there = (path.relative_to(final).as_posix() for path in final.rglob("*") if path.is_file() or path.is_symlink())
    return kept | {path: final / path for path in there if path not in ours and path not in here}


def _is_there(final: Path, links: Mapping[str, Path], texts: Mapping[str, bytes]) -> bool:
    there = {path.relative_to(final).as_posix() for path in final.rglob("*") if path.is_file() or path.is_symlink()}
    return (
        there == set(links) | set(texts)
        and all(final / path == origin for path, origin in links.items())
        and all((final / path).read_bytes() == content for path, content in texts.items())
    )
