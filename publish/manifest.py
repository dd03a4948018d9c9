"""The manifest of a dataset repository: which files are ours, what is in them and what they were made from.

It holds no time, path or machine: the same archives give the same manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

import loaders
from loaders import Dataset, Problem
from loaders.base.dataset import Named
from loaders.files.typed import Count, Sha256, dumped, parsed
from loaders.images.jpeg import Damage

NAME = "manifest.json"
MOST_BYTES = 16 << 20  # ours have up to 100 kB
_MOST_SHARDS = 4096  # of a split; ours have up to 96
# No part of a path starts with a dot, none is empty.
_PATH = Annotated[str, Meta(pattern=r"(?a)\A(?:[\w-][\w.-]*/)*[\w-][\w.-]*\Z")]
_SHARD = Annotated[str, Meta(pattern=r"(?a)\A[\w-][\w.-]*/[a-z]\w*(?:\.\w+)*-\d{5}-of-\d{5}\.parquet\Z")]
_GLANCE = Annotated[str, Meta(pattern=r"\A(?:[0-9a-f]{2})*\Z")]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ShardEntry:
    """A Parquet file: its path in the repository, rows, bytes, SHA-256, and the bytes of its rows in Arrow."""

    path: _SHARD
    rows: Count
    bytes: Count
    nbytes: Count
    sha256: Sha256


@dataclass(frozen=True)
class SourceEntry:
    """An archive that rows came from, or the files of a folder. `verified` says what was checked.

    That is "sha256", "size, index and images", "names and images of 400 files", "rows", or "nothing". `form` is what
    the dataset's table of forms calls it; a list of names has none.
    """

    name: str
    bytes: Count
    sha256: Sha256 | None
    origin: str
    verified: str
    form: str = ""


@dataclass(frozen=True)
class SplitEntry:
    """A split: what it was made from, its shards, and what was measured of its rows (means, deviations: 0 to 1).

    `damaged` has the photographs that libjpeg warns about, by name; `named` says how those of its rows are known.
    """

    fingerprint: str
    shards: Annotated[tuple[ShardEntry, ...], Meta(min_length=1, max_length=_MOST_SHARDS)]
    sources: tuple[SourceEntry, ...]
    mean: Triple
    deviation: Triple
    duplicates: Count
    labels: tuple[Count, ...] = ()
    oddities: Mapping[str, Count] = field(default_factory=dict)
    skipped: Mapping[str, Count] = field(default_factory=dict)
    pictures: Mapping[_PATH, Sha256] = field(default_factory=dict)
    damaged: Mapping[str, Damage] = field(default_factory=dict)
    glance: _GLANCE = ""  # its first photographs, tiny (`card.picture.glance`), to tell whether other configs have them
    named: Named = ""

    @property
    def rows(self) -> int:
        """All rows of the split."""
        return sum(shard.rows for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """A repository: {config: {split: entry}}, the files beside the shards (path -> SHA-256), and who wrote it.

    `card` is what a release kept here whose cards had no seals of their own (`publish.card.before`): never written.
    """

    dataset: str
    configs: Annotated[Mapping[str, Annotated[Mapping[str, SplitEntry], Meta(min_length=1)]], Meta(min_length=1)]
    files: Mapping[_PATH, Sha256]
    written_with: Mapping[str, str]
    card: Mapping[str, str] = field(default_factory=dict)

    def paths(self) -> set[str]:
        """Return every path that is ours, the manifest's own and the README's left out."""
        return set(self.digests())

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every path that is ours."""
        shards = {shard.path: shard.sha256 for entry in self.entries() for shard in entry.shards}
        pictures = {path: sha256 for entry in self.entries() for path, sha256 in entry.pictures.items()}
        return shards | pictures | dict(self.files)

    def entries(self) -> list[SplitEntry]:
        """Return the entries of all splits of all configs."""
        return [entry for splits in self.configs.values() for entry in splits.values()]

    def dataset_of(self, config: str) -> Dataset:
        """Return the dataset as a config of it has it: with a column of file names, or without."""
        dataset = loaders.load(self.dataset).DATASET
        return dataset.named if any(e.named == "column" for e in self.configs[config].values()) else dataset

    def of(self, folder: str, split: str) -> list[SplitEntry]:
        """Return the entry of the split whose shards lie in that folder, once for each config that has it."""
        found = [splits[split] for splits in self.configs.values() if split in splits]
        return [entry for entry in found if entry.shards[0].path.rpartition("/")[0] == folder]

    def dump(self) -> str:
        """Return it as JSON, keys in a fixed order."""
        return dumped(self, without="card")


def load(text: bytes | str, where: str) -> Manifest:
    """Read a manifest; raises Problem when it is not one, or names a path that leads out of its repository."""
    try:
        if len(text) > MOST_BYTES:
            raise ValueError(f"{len(text):,} bytes")
        return _checked(parsed(text, Manifest))
    except (ValueError, KeyError) as error:
        raise Problem(
            f"{where}: expected a manifest of this project, but it cannot be read ({type(error).__name__}: {error}). "
            "Move it away to build everything anew."
        ) from error


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a dataset folder, or None when it has none; raises Problem for a damaged one."""
    path = folder / NAME
    try:
        return load(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None


def of_dataset(dataset: str, found: Manifest | None, where: str) -> Manifest | None:
    """Return a manifest that was found as it is; raises Problem when it is another dataset's."""
    if found and found.dataset != dataset:
        raise Problem(
            f"{where}/{NAME}: expected the manifest of {dataset}, found that of {found.dataset}. Move what is there "
            "away, or choose another place."
        )
    return found


def _checked(made: Manifest) -> Manifest:
    """Return a manifest as it is; raises ValueError and KeyError for what is not of this project."""
    if made.dataset not in loaders.names():
        raise ValueError(f"the dataset {made.dataset[:200]!r}")
    for config in made.configs:
        loaders.load(made.dataset).config(config)
    if own := made.files.keys() & {NAME, "README.md"}:
        raise ValueError(f"{min(own)} among the files")
    return made
