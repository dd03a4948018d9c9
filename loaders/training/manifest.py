"""What a repository's `manifest.json` says of its shards: paths, rows, sizes and digests, and no more of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from loaders._errors import Problem

T = TypeVar("T")
NAME = "manifest.json"
_LARGEST = 64 << 20  # bytes; ours have some hundred KB
_PATH = r"^(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*\.parquet$"  # never leads out of its folder
_Count = Annotated[int, Meta(ge=0, lt=1 << 62)]


@dataclass(frozen=True)
class Shard:
    """A Parquet file: its path in the repository and, where somebody says, its rows, bytes and SHA-256."""

    path: Annotated[str, Meta(pattern=_PATH)]
    rows: _Count | None = None
    bytes: _Count | None = None
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None


@dataclass(frozen=True)
class Split:
    """A split: its shards, in the order of their rows."""

    shards: Annotated[tuple[Shard, ...], Meta(min_length=1)]


@dataclass(frozen=True)
class Manifest:
    """A repository: {config: {split: its shards}}."""

    dataset: str
    configs: dict[str, dict[str, Split]]

    def split(self, config: str, split: str, where: str) -> tuple[Shard, ...]:
        """Return the shards of a split, or several ("train+validation"); raises Problem for one that is not there."""
        splits = _of(self.configs, config, f"{where} has no config")
        chosen = [_of(splits, name, f"{where}, {config}, has no split") for name in split.split("+")]
        return tuple(shard for entry in chosen for shard in entry.shards)


def read(path: Path) -> Manifest | None:
    """Read a manifest; None when there is none, or another project's. Raises Problem for a damaged one."""
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > _LARGEST:
            raise msgspec.ValidationError(f"it has {path.stat().st_size:,} bytes")
        content = msgspec.json.decode(path.read_bytes())
        is_ours = isinstance(content, dict) and {"dataset", "configs"} <= content.keys()
        return msgspec.convert(content, Manifest) if is_ours else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(
            f"{path}: expected a manifest of imagenet-variants, but it cannot be read ({error}). Fetch it "
            "anew, or move it away to go by the card alone, without sizes and digests."
        ) from error


def _of(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise Problem(f"{what} {name!r}: there are {', '.join(table)}.")
    return table[name]
