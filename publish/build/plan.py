"""What is to be built: every wanted split, its jobs, the files they make, and the words that name its content."""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

import loaders
from loaders import Archive, MissingSources, Problem, SplitPlan
from loaders.base import held, obtain
from loaders.files.places import is_place
from loaders.sources.source import Found
from publish.build.shard import FORMAT

Lists = Mapping[str, Path]
_NO_LISTS: Lists = MappingProxyType({})
_UNSPOKEN = ("dataset", "config", "seen", "state", "marks")  # of a job, and of what photographs lie in


@dataclass(frozen=True)
class SplitBuild:
    """A split to build. `folder` is where its shards lie in the repository; configs that share a folder share them."""

    dataset: str
    folder: str
    configs: tuple[str, ...]
    plan: SplitPlan

    @property
    def name(self) -> str:
        """How a person calls it."""
        split = self.plan.split.name  # one that configs share has a folder of its own, called like it
        return f"{self.dataset} {split}" if self.folder == split else f"{self.dataset}/{self.folder} {split}"

    @property
    def paths(self) -> list[str]:
        """The path of each shard in the repository. The total is pinned: shards of another total are never read."""
        total, split = len(self.plan.jobs), self.plan.split.name
        return [f"{self.folder}/{split}-{i:05d}-of-{total:05d}.parquet" for i in range(total)]

    def fingerprint(self, digests: Mapping[Archive, str | None]) -> str:
        """Return what names the content of the shards: equal for equal archives, wherever they lie."""
        sources = [(a.name, a.bytes, digests[a]) for a in self.plan.archives]
        return self._digest(sources)

    def local_key(self) -> str:
        """Return the same for this machine and run of archives, known before a byte of them is hashed."""
        return self._digest([(a.name, *a.identity) for a in self.plan.archives])[:16]

    def _digest(self, sources: list[Any]) -> str:
        digest = hashlib.sha256()
        for word in _words((FORMAT, self.dataset, self.folder, self.plan.split.name, sources, self.plan.jobs)):
            digest.update(len(word).to_bytes(8, "little") + word)
        return digest.hexdigest()


def _words(value: object) -> Iterator[bytes]:
    """Spell a plan out, folders of this machine, times of files and names of configs left out."""
    match value:
        case _ if is_place(value):
            yield value.name.encode()  # type: ignore[attr-defined]
        case np.ndarray():
            yield value.tobytes()
        case list() | tuple():
            for item in value:
                yield from _words(item)
        case _ if is_dataclass(value):
            for member in fields(value):
                if member.name not in _UNSPOKEN:
                    yield from _words(getattr(value, member.name))
        case _:
            yield repr(value).encode()


@dataclass(frozen=True)
class Plan:
    """All splits to build, the archives they come from, and the configs asked for, by dataset.

    `notes` tell of each split that is there in several forms which one is taken, `left_out` why configs that were asked
    for are not built: a download failed.
    """

    wanted: Mapping[str, list[str]]
    splits: list[SplitBuild] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: Mapping[str, Problem] = field(default_factory=dict)

    def archives(self) -> list[Archive]:
        """Return every archive, each once."""
        return list(dict.fromkeys(archive for split in self.splits for archive in split.plan.archives))

    def read_by_workers(self) -> list[Archive]:
        """Return those that jobs read; lists and ground truths are read here, and may lie where no worker sees them."""
        read = {seen for split in self.splits for job in split.plan.jobs for seen in job.seen}
        return [archive for archive in self.archives() if archive.files or read.intersection(archive.seen)]


def make(wanted: Mapping[str, list[str]], source: Path, partial: bool, lists: Lists = _NO_LISTS) -> Plan:
    """Find or fetch the archives of the wanted configs and cut their splits into jobs.

    `lists` are the files of people's own lists by name, for the configs that are called like them. A config whose
    download failed is left out. Raises MissingSources, naming every file to be fetched by hand, or when no config is
    left; SourceProblem.
    """
    left_out = obtain.fetch_missing(_pairs(wanted, lists), source)
    wanted = _without(wanted, left_out)
    if not wanted:
        raise MissingSources("\n".join(dict.fromkeys(map(str, left_out.values()))))
    pairs = _pairs(wanted, lists)
    builds: dict[tuple[str, str, str], SplitBuild] = {}
    notes: list[str] = []
    for (loader, config), found in zip(pairs, obtain.obtain(pairs, source, partial), strict=True):
        notes += _notes(f"{loader.DATASET.name}/{config.name}", found)
        for plan in held.plan(loader, config, found, partial):
            dataset, folder = loader.DATASET.name, plan.split.folder or config.name
            key = (dataset, folder, plan.split.name)
            shared = builds[key].configs if key in builds else ()
            builds[key] = SplitBuild(dataset, folder, (*shared, config.name), builds[key].plan if shared else plan)
    return Plan(wanted, list(builds.values()), notes, left_out)


def _without(wanted: Mapping[str, list[str]], left_out: Collection[str]) -> dict[str, list[str]]:
    kept = {name: [each for each in configs if f"{name}/{each}" not in left_out] for name, configs in wanted.items()}
    return {name: configs for name, configs in kept.items() if configs}


def _notes(config: str, found: Found) -> list[str]:
    return [
        f"{config} {split}: taken from {told(found.archives[split])}; also there, and not read: "
        + "; ".join(map(told, others))
        for split, others in found.others.items()
    ]


def told(archives: Sequence[Archive]) -> str:
    """Say which form archives are in, and where they lie."""
    more = f" and {len(archives) - 1} more" if len(archives) > 1 else ""
    return f"{archives[0].form} ({archives[0].path}{more})"


def check_by_hand(wanted: Mapping[str, list[str]], source: Path, lists: Lists = _NO_LISTS) -> None:
    """Raise MissingSources, naming all of them, when archives are missing that a person has to fetch."""
    obtain.check_by_hand(_pairs(wanted, lists), source)


def look(wanted: Mapping[str, list[str]], source: Path, lists: Lists = _NO_LISTS) -> dict[str, Found]:
    """Return what is there of each config, by its name; nothing is fetched."""
    pairs = _pairs(wanted, lists)
    names = [f"{loader.DATASET.name}/{config.name}" for loader, config in pairs]
    return dict(zip(names, obtain.find(pairs, source), strict=True))


def _pairs(wanted: Mapping[str, list[str]], lists: Lists) -> list[tuple[loaders.Loader, loaders.Config]]:
    return [
        (loaders.load(name), replace(loaders.load(name).config(config), names=lists.get(config)))
        for name, configs in wanted.items()
        for config in configs
    ]
