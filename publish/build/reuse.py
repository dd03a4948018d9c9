"""Which entry of an earlier build may stand for a split: one of the very same archives."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from loaders.files import cache
from loaders.files.cache import cache_folder
from publish.build.destination import Destination
from publish.build.digests import Digests
from publish.build.plan import SplitBuild
from publish.manifest import Manifest, SplitEntry


def entry(
    build: SplitBuild, manifests: Iterable[Manifest], digests: Digests, destination: Destination
) -> SplitEntry | None:
    """Return that entry, if there is one; waits until the archives are verified."""
    found = [entry for manifest in manifests for entry in manifest.of(build.folder, build.plan.split.name)]
    same = (each for each in found if _is_of(build, each, digests, destination))
    return next((replace(each, named=build.plan.named) for each in same), None)


def _is_of(build: SplitBuild, old: SplitEntry, digests: Digests, destination: Destination) -> bool:
    """Say whether it was made of the archives of the build, and its pictures can still be had.

    An archive that is not hashed now is believed to be the one that was if this machine remembers that this file, of
    this mtime, gave these shards; the entry stays verified then. The other way round nobody knows of what content of
    the archive the shards were made.
    """
    now = digests.wait(build.plan.archives)
    known = {(source.name, source.bytes): source.sha256 for source in old.sources}
    of_same = {archive: sha256 or known.get((archive.name, archive.bytes)) for archive, sha256 in now.items()}
    return (
        old.fingerprint == build.fingerprint(of_same)
        and (None not in now.values() or _remembered(build) == _content(old))
        and all(
            destination.has(build.dataset, path, sha256) or destination.copy(build.dataset, path, sha256)
            for path, sha256 in old.pictures.items()
        )
    )


def remember(build: SplitBuild, made: SplitEntry) -> None:
    """Keep which shards came of archives that are not hashed each time."""
    if any(archive.expected and not archive.expected.hashed for archive in build.plan.archives):
        cache.save(_note(build), lambda file: file.write(json.dumps(_content(made)).encode()))


def _remembered(build: SplitBuild) -> str | None:
    return cache.load_json(_note(build), str)


def _note(build: SplitBuild) -> Path:
    return cache_folder() / "made" / f"{build.local_key()}.json"


def _content(entry: SplitEntry) -> str:
    return hashlib.sha256("".join(shard.sha256 for shard in entry.shards).encode()).hexdigest()
