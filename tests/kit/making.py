"""Repositories that a person may have, made from one that was built: other rows, other names, another card, damage."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from publish import manifest
from publish.manifest import Manifest, SplitEntry

CONFIG, SPLIT = "8x8", "validation"


def copied(built: Path, folder: Path, dataset: str = "imagenet_resized") -> Path:
    """Return a copy of a repository of which a test may make what it likes."""
    return Path(shutil.copytree(built / dataset, folder / dataset))


def part(built: Path, folder: Path) -> Path:
    """Return a small repository, one config of `imagenet_resized`, of which a test may make what it likes."""
    repository = built / "imagenet_resized"
    alone = replace(_manifest(repository), configs={CONFIG: _manifest(repository).configs[CONFIG]})
    shutil.copytree(repository / CONFIG, folder / CONFIG)
    shutil.copy(repository / "README.md", folder)
    (folder / manifest.NAME).write_text(alone.dump())
    return folder


def with_rows(repository: Path, images: Sequence[bytes], labels: Sequence[int], names: Sequence[str]) -> None:
    """Let one split have these rows, and its labels these names, in a shard as the builder lays it out."""
    entry = _manifest(repository).configs[CONFIG][SPLIT]
    path = repository / entry.shards[0].path
    keys = {b"huggingface": json.dumps({"info": {"features": _features(names)}}).encode()}
    files = pa.StructArray.from_arrays(
        [pa.array(images, pa.binary()), pa.nulls(len(images), pa.string())], ["bytes", "path"]
    )
    table = pa.table({"image": files, "label": pa.array(labels, pa.int64())}).replace_schema_metadata(keys)
    pq.write_table(table, path, write_page_index=True, row_group_size=len(table), compression="zstd")
    counts = tuple(list(labels).count(number) for number in range(len(names)))
    shard = replace(entry.shards[0], rows=len(table), bytes=path.stat().st_size)
    _enter(repository, replace(entry, shards=(shard,), labels=counts))


def shard_of(repository: Path, config: str = CONFIG, split: str = "train", number: int = 0) -> Path:
    """Return the path of a shard."""
    return repository / _manifest(repository).configs[config][split].shards[number].path


def _features(names: Sequence[str]) -> dict[str, object]:
    return {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}


def _manifest(repository: Path) -> Manifest:
    found = manifest.read(repository)
    assert found
    return found


def _enter(repository: Path, entry: SplitEntry) -> None:
    content = asdict(_manifest(repository))
    content["configs"][CONFIG][SPLIT] = asdict(entry)
    (repository / manifest.NAME).write_text(json.dumps(content))
