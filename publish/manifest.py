"""The manifest of a dataset repository: which files are ours, what is in them and what they were made from.

It holds no time, path or machine: the same archives give the same manifest.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loaders import Problem

NAME = "manifest.json"


@dataclass(frozen=True)
class ShardEntry:
    """A Parquet file: its path in the repository, rows, bytes, SHA-256, and the bytes of its rows in Arrow."""

    path: str
    rows: int
    bytes: int
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class SourceEntry:
    """An archive that rows came from, or the files of a folder. `verified` says what was checked.

    That is "sha256", "size, index and images", "names and images of 400 files", "rows", or "nothing".
    """

    name: str
    bytes: int
    sha256: str | None
    origin: str
    verified: str


@dataclass(frozen=True)
class SplitEntry:
    """A split: what it was made from, its shards, and what was measured of its rows (means, deviations: 0 to 1)."""

    fingerprint: str
    shards: tuple[ShardEntry, ...]
    sources: tuple[SourceEntry, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    duplicates: int
    labels: tuple[int, ...] = ()
    oddities: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)  # path -> sha256
    glance: str = ""  # its first photographs, tiny (`publish.picture.glance`), to tell whether other configs have them

    @property
    def rows(self) -> int:
        """All rows of the split."""
        return sum(shard.rows for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """A repository: {config: {split: entry}}, the files beside the shards (path -> SHA-256), and who wrote it.

    `card` has the digest of each segment of the card as we published it (see `publish.merge`); empty in a folder.
    """

    dataset: str
    configs: Mapping[str, Mapping[str, SplitEntry]]
    files: Mapping[str, str]
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

    def of(self, folder: str, split: str) -> list[SplitEntry]:
        """Return the entry of the split whose shards lie in that folder, once for each config that has it."""
        found = [splits[split] for splits in self.configs.values() if split in splits]
        return [entry for entry in found if entry.shards[0].path.rpartition("/")[0] == folder]

    def dump(self) -> str:
        """Return it as JSON, keys in a fixed order."""
        return json.dumps(asdict(self), indent=1) + "\n"


def load(text: str, where: str) -> Manifest:
    """Read a manifest; raises Problem when it is not one."""
    try:
        content = json.loads(text)
        configs = {
            config: {split: _entry(entry) for split, entry in splits.items()}
            for config, splits in content["configs"].items()
        }
        beside = {key: dict(content[key]) for key in ("files", "written_with", "card")}
        return Manifest(content["dataset"], configs, **beside)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Problem(
            f"{where}: expected a manifest of this project, but it cannot be read ({type(error).__name__}: {error}). "
            "Move it away to build everything anew."
        ) from error


def read(folder: Path) -> Manifest | None:
    """Return the manifest of a dataset folder, or None when it has none; raises Problem for a damaged one."""
    path = folder / NAME
    try:
        return load(path.read_bytes().decode(errors="replace"), str(path))
    except FileNotFoundError:
        return None


def _entry(content: dict[str, Any]) -> SplitEntry:
    lists = {
        "mean": tuple(content["mean"]),
        "deviation": tuple(content["deviation"]),
        "labels": tuple(content["labels"]),
    }
    shards = tuple(ShardEntry(**shard) for shard in content["shards"])
    sources = tuple(SourceEntry(**source) for source in content["sources"])
    return SplitEntry(**content | lists | {"shards": shards, "sources": sources})
