"""The manifest of a dataset repository: which files are ours, what is in them and what they were made from.

It holds no time, path or machine: the same archives give the same manifest.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import loaders
from loaders import Problem

NAME = "manifest.json"
_PATH = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*", re.ASCII)  # no part starts with a dot, none is empty
_SHARD = re.compile(r"[\w-][\w.-]*/[a-z]+-\d{5}-of-\d{5}\.parquet", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GLANCE = re.compile(r"(?:[0-9a-f]{2})*")


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
    glance: str = ""  # its first photographs, tiny (`card.picture.glance`), to tell whether other configs have them

    @property
    def rows(self) -> int:
        """All rows of the split."""
        return sum(shard.rows for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """A repository: {config: {split: entry}}, the files beside the shards (path -> SHA-256), and who wrote it.

    `card` has the digest of each segment of the card as we published it (see `publish.card`).
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
    """Read a manifest; raises Problem when it is not one, or names a path that leads out of its repository."""
    try:
        content = json.loads(text)
        configs = {
            config: {split: _entry(entry) for split, entry in splits.items()}
            for config, splits in content["configs"].items()
        }
        beside = {key: dict(content[key]) for key in ("files", "written_with", "card")}
        return _checked(Manifest(content["dataset"], configs, **beside))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
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


def of_dataset(dataset: str, found: Manifest | None, where: str) -> Manifest | None:
    """Return a manifest that was found as it is; raises Problem when it is another dataset's."""
    if found and found.dataset != dataset:
        raise Problem(
            f"{where}/{NAME}: expected the manifest of {dataset}, found that of {found.dataset}. Move what is there "
            "away, or choose another place."
        )
    return found


def _entry(content: dict[str, Any]) -> SplitEntry:
    lists = {
        "mean": tuple(content["mean"]),
        "deviation": tuple(content["deviation"]),
        "labels": tuple(content["labels"]),
    }
    shards = tuple(ShardEntry(**shard) for shard in content["shards"])
    sources = tuple(SourceEntry(**source) for source in content["sources"])
    return SplitEntry(**content | lists | {"shards": shards, "sources": sources})


def _checked(made: Manifest) -> Manifest:
    """Return a manifest as it is; raises ValueError and KeyError for what is not of this project."""
    _need(made.dataset in loaders.names(), "dataset", made.dataset)
    _need(bool(made.configs), "configs", "none")
    for config, splits in made.configs.items():
        loaders.load(made.dataset).config(config)
        _need(bool(splits), config, "no splits")
        for name, entry in splits.items():
            _check_split(f"{config}/{name}", entry)
    for path, sha256 in made.files.items():
        _need(_is(_PATH, path) and path not in (NAME, "README.md") and _is(_SHA256, sha256), "files", path)
    for word in [*made.written_with.values(), *made.card.values()]:
        _need(isinstance(word, str), "written_with and card", word)
    return made


def _check_split(where: str, entry: SplitEntry) -> None:
    _need(bool(entry.shards), where, "no shards")
    for shard in entry.shards:
        _need(_is(_SHARD, shard.path) and _is(_SHA256, shard.sha256), where, shard)
        _need(all(map(_is_count, (shard.rows, shard.bytes, shard.nbytes))), where, shard)
    for source in entry.sources:
        _need(all(isinstance(word, str) for word in (source.name, source.origin, source.verified)), where, source)
        _need(_is_count(source.bytes) and (source.sha256 is None or _is(_SHA256, source.sha256)), where, source)
    for path, sha256 in entry.pictures.items():
        _need(_is(_PATH, path) and _is(_SHA256, sha256), where, path)
    _need(_is(_GLANCE, entry.glance) and isinstance(entry.fingerprint, str), where, entry.fingerprint)
    counts = (entry.duplicates, *entry.labels, *entry.oddities.values(), *entry.skipped.values())
    _need(all(map(_is_count, counts)), where, "a count that is none")
    for triple in (entry.mean, entry.deviation):
        numbers = [value for value in triple if isinstance(value, int | float) and math.isfinite(value)]
        _need(len(numbers) == len(triple) == 3, where, triple)


def _is(pattern: re.Pattern[str], word: object) -> bool:
    return isinstance(word, str) and pattern.fullmatch(word) is not None


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 1 << 63


def _need(holds: bool, where: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{where}: {str(found)[:200]!r}")
