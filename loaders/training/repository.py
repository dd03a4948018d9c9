"""A published repository, in a folder or on the Hub: which files a split's rows are in, and what those should be."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loaders._errors import Problem
from loaders.files.places import identity, is_remote_error
from loaders.training import manifest
from loaders.training.manifest import Shard

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class Rows:
    """The rows of a split: their shards, and the folder that those are in, or come into from the Hub.

    `version` changes with the rows: the commit on the Hub; of a folder, a digest of its manifest, or of its files'
    sizes and times.
    """

    repository: str
    config: str
    split: str
    version: str
    folder: Path
    shards: tuple[Shard, ...]
    commit: str | None = None
    token: str | bool | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """What a person calls them."""
        return f"{self.repository}, {self.config}, {self.split}"

    @property
    def paths(self) -> list[Path]:
        """Where the shards lie, once they were fetched."""
        return [self.folder / shard.path for shard in self.shards]

    def fetch(self) -> None:
        """Bring the shards that are not here from the Hub into its own cache; raises Problem when that fails."""
        missing = [shard.path for shard, path in zip(self.shards, self.paths, strict=True) if not path.is_file()]
        if missing and self.commit:
            _download(self, missing)
            missing = [path for path in missing if not (self.folder / path).is_file()]
        if missing:
            raise Problem(f"{self.title}: expected {missing[0]} in {self.folder}, and it is not there.")

    def check(self) -> None:
        """Raise Problem when files without digests have changed since they were found."""
        if self.commit is None and self.shards[0].sha256 is None and stamp(self) != self.version:
            raise Problem(f"{self.title}: files in {self.folder} changed while they were read. Load them again.")


def find(repository: str, config: str, split: str, revision: str | None, token: str | bool | None) -> Rows:
    """Find a split's shards without fetching any; raises Problem for what is not there, and for the Hub's errors."""
    if Path(repository).is_dir():
        return _in_folder(Path(repository).resolve(), config, split)
    if not _HUB_NAME.fullmatch(repository):
        raise Problem(f"{repository}: there is no such folder, and no repository on the Hub has such a name.")
    try:
        return _on_hub(repository, config, split, revision, token)
    except Exception as error:
        raise _explained(repository, error) from error


def _in_folder(folder: Path, config: str, split: str) -> Rows:
    path = folder / manifest.NAME
    described = manifest.read(path)
    if described is None:
        found = _by_card(str(folder), config, split, None, None)
        names = [str(Path(name).relative_to(folder)) for name in found]
        rows = Rows(str(folder), config, split, "", folder, tuple(map(Shard, names)))
        return replace(rows, version=stamp(rows))
    version = hashlib.sha256(path.read_bytes()).hexdigest()
    return Rows(str(folder), config, split, version, folder, described.split(config, split, str(folder)))


def stamp(rows: Rows) -> str:
    """Return what changes when one of the files of a folder does, by sizes and times."""
    facts = json.dumps([[str(path), *identity(path)] for path in rows.paths])
    return hashlib.sha256(facts.encode()).hexdigest()


def _on_hub(repository: str, config: str, split: str, revision: str | None, token: str | bool | None) -> Rows:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        where: dict[str, Any] = {"repo_type": "dataset", "revision": revision, "token": token}
        path = Path(hf_hub_download(repository, manifest.NAME, **where))
        described = manifest.read(path)
    except RemoteEntryNotFoundError:
        described = None
    if described is None:
        return _on_hub_by_card(repository, config, split, revision, token)
    shards = described.split(config, split, repository)
    return Rows(repository, config, split, path.parent.name, path.parent, shards, path.parent.name, token)


def _on_hub_by_card(repository: str, config: str, split: str, revision: str | None, token: str | bool | None) -> Rows:
    from huggingface_hub import HfApi, hf_hub_download

    commit = HfApi(token=token).dataset_info(repository, revision=revision).sha
    start = f"hf://datasets/{repository}@{commit}/"
    shards = tuple(Shard(name.removeprefix(start)) for name in _by_card(repository, config, split, commit, token))
    first = hf_hub_download(repository, shards[0].path, repo_type="dataset", revision=commit, token=token)
    folder = Path(first.removesuffix(shards[0].path))
    return Rows(repository, config, split, str(commit), folder, shards, commit, token)


def _by_card(repository: str, config: str, split: str, revision: str | None, token: str | bool | None) -> Sequence[str]:
    """Return the Parquet files of a split as `datasets` finds them: by the card, or else by their names."""
    import datasets

    try:
        builder = datasets.load_dataset_builder(repository, config, revision=revision, token=token)
    except (OSError, ValueError) as error:
        raise Problem(f"{repository}: {error}") from error
    found: dict[str, list[str]] = {str(name): [*files] for name, files in (builder.config.data_files or {}).items()}
    for name in split.split("+"):
        if name not in found:
            raise Problem(f"{repository}, {config}, has no split {name!r}: there are {', '.join(found)}.")
    files = [file for name in split.split("+") for file in found[name]]
    if other := [file for file in files if not file.endswith(".parquet")]:
        raise Problem(f"{repository}: expected Parquet files, found {other[0]}. Use datasets.load_dataset for these.")
    return files


def _download(rows: Rows, paths: Sequence[str]) -> None:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            rows.repository,
            repo_type="dataset",
            revision=rows.commit,
            token=rows.token,
            allow_patterns=[re.sub(r"([*?[])", r"[\1]", path) for path in paths],
        )
    except Exception as error:
        raise _explained(rows.repository, error) from error


def _explained(repository: str, error: Exception) -> Exception:
    """Return what to raise instead of an error of the Hub's client; of another, itself."""
    if isinstance(error, Problem) or not (is_remote_error(error) or isinstance(error, OSError)):
        return error
    return Problem(
        f"{repository}: the Hub, or a folder of that name, was expected to have it, but {type(error).__name__}: {error}"
    )
