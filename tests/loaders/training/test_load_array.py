"""Published repositories as arrays: the rows that `datasets` gives, or an error that says what is wrong."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders import Problem
from loaders.training import load_array, repository, shards
from loaders.training.data import in_memory
from tests.loaders.training.conftest import same

Copied = Callable[..., Path]


def by_datasets(folder: str, config: str, split: str) -> tuple[Any, Any, Any]:
    rows = datasets.load_dataset(folder, config, split=split)
    labels = rows["label"][:] if "label" in rows.features else None
    return np.stack([np.asarray(image) for image in rows["image"]]), labels, rows.features.get("label")


def damage(path: Path, at: int) -> None:
    """Let one bit of a file be another."""
    data = bytearray(path.read_bytes())
    data[at] ^= 16
    path.write_bytes(data)


@pytest.mark.parametrize(("config", "split"), [("8x8", "train"), ("16x16", "validation")])
def test_the_rows_are_those_that_datasets_gives(config: str, split: str, repository: str) -> None:
    images, labels, feature = by_datasets(repository, config, split)
    data = load_array(repository, config, split)
    assert data.labels is not None
    assert (data.images.dtype.name, data.labels.dtype.name) == ("uint8", "int64")
    assert np.array_equal(data.images, images)
    assert np.array_equal(data.labels, labels)
    assert data.names == tuple(feature.names)
    assert len(data) == len(images)


def test_several_splits_are_one_behind_the_other(repository: str) -> None:
    both = load_array(repository, "8x8", "train+validation")
    parts = [load_array(repository, "8x8", split) for split in ("train", "validation")]
    assert np.array_equal(both.images, np.concatenate([part.images for part in parts]))
    assert np.array_equal(both.labels, np.concatenate([part.labels for part in parts]))  # type: ignore[arg-type]


def test_a_dataset_without_labels_has_none(built: Path) -> None:
    data = load_array(str(built / "downsampled_imagenet"), "32x32", "validation")
    assert data.images.shape[1:] == (32, 32, 3)
    assert (data.labels, data.names) == (None, None)


@pytest.mark.parametrize("other", [None, "[]", '{"name": "a web app"}'])
def test_without_a_manifest_of_ours_the_card_says_where_rows_are(other: str | None, copied: Copied) -> None:
    folder = copied()
    expected = load_array(str(folder), "8x8", "train")
    (folder / "manifest.json").unlink()
    if other:
        (folder / "manifest.json").write_text(other)
    found = load_array(str(folder), "8x8", "train")
    same(found, expected)
    with pytest.raises(Problem, match="no split 'trian': there are train, validation"):
        load_array(str(folder), "8x8", "trian")
    with pytest.raises(Problem, match="9x9"):
        load_array(str(folder), "9x9", "train")


@pytest.mark.keeps("R4")
def test_files_that_change_while_they_are_read_are_told_without_digests(copied: Copied) -> None:
    folder = copied()
    (folder / "manifest.json").unlink()
    rows = repository_of(folder)
    rows.paths[1].touch()
    with pytest.raises(Problem, match="changed while they were read"):
        shards.read(rows, in_memory(""))


def repository_of(folder: Path) -> repository.Rows:
    return repository.find(str(folder), "8x8", "train", None, None)


@pytest.mark.parametrize("memmap", [False, True])
def test_a_split_without_rows(memmap: bool, tmp_path: Path) -> None:
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(
        pa.table({"image": pa.array([], kind), "label": pa.array([], pa.int64())}), tmp_path / "train.parquet"
    )
    for _ in ("made", "opened again"):
        data = load_array(str(tmp_path), "default", "train", memmap=memmap)
        assert (len(data), data.labels is not None and len(data.labels), data.names) == (0, 0, None)


# What is not there


@pytest.mark.parametrize(
    ("config", "split", "said"),
    [
        ("7x7", "train", "no config '7x7': there are 8x8, 16x16, 32x32, 64x64"),
        ("8x8", "test", "no split 'test': there are train, validation"),
        ("8x8", "train+test", "no split 'test'"),
    ],
)
def test_a_config_or_split_that_is_not_there(config: str, split: str, said: str, repository: str) -> None:
    with pytest.raises(Problem, match=said):
        load_array(repository, config, split)


@pytest.mark.parametrize("name", ["no/such/folder", "./nowhere", "s3://bucket/data"])
def test_neither_a_folder_nor_a_name_on_the_hub(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match="no such folder, and no repository"):
        load_array(name, "8x8", "train")


def test_a_shard_that_is_not_there(copied: Copied) -> None:
    folder = copied()
    repository_of(folder).paths[1].unlink()
    with pytest.raises(Problem, match=r"expected 8x8/train-00001-of-00002\.parquet in"):
        load_array(str(folder), "8x8", "train")


@pytest.mark.keeps("R6")
def test_images_of_different_sizes(built: Path) -> None:
    with pytest.raises(Problem, match="different sizes and do not fit one array"):
        load_array(str(built / "imagenet_v2"), "topimages", "test")


@pytest.mark.keeps("R6")
def test_more_than_the_machine_has_memory_for() -> None:
    with pytest.raises(Problem, match=r"1,000,000,000 images of 64x64 pixels are 12,288\.0 GB.*memmap=True"):
        in_memory("a dataset")((10**9, 64, 64, 3))


# Damage


@pytest.mark.keeps("R5")
def test_a_shard_that_rots_is_named_with_its_digests(copied: Copied) -> None:
    folder = copied()
    path = repository_of(folder).paths[1]
    damage(path, 3000)
    others = threading.enumerate()
    with pytest.raises(
        Problem, match=rf"{path}: expected SHA-256 [0-9a-f]{{64}} \(the manifest's\), found [0-9a-f]{{64}}"
    ):
        load_array(str(folder), "8x8", "train")
    assert [thread for thread in threading.enumerate() if "ThreadPool" in thread.name and thread not in others] == []


def test_a_shard_that_was_cut_is_named_with_its_sizes(copied: Copied) -> None:
    folder = copied()
    path = repository_of(folder).paths[0]
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(Problem, match=rf"{path}: expected [\d,]+ bytes, found [\d,]+\. The shard is damaged"):
        load_array(str(folder), "8x8", "train")


@pytest.mark.parametrize("what", ["cut", "no Parquet", "other columns"])
def test_damage_without_a_manifest(what: str, copied: Copied) -> None:
    folder = copied()
    (folder / "manifest.json").unlink()
    path = repository_of(folder).paths[1]
    if what == "other columns":
        pq.write_table(pa.table({"image": [{"bytes": b"", "path": ""}]}), path)
    else:
        path.write_bytes(path.read_bytes()[:-7] if what == "cut" else b"<html>not here</html>")
    with pytest.raises(Problem, match=str(path)):
        load_array(str(folder), "8x8", "train")


@pytest.mark.parametrize(
    ("field", "value"),
    [("path", "../other.parquet"), ("path", "/etc/x.parquet"), ("sha256", "00"), ("rows", -1), ("bytes", 1.5)],
)
def test_a_manifest_that_says_what_cannot_be(field: str, value: object, copied: Copied) -> None:
    folder = copied()
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["configs"]["8x8"]["train"]["shards"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(Problem, match=rf"{path}: expected a manifest of imagenet-variants"):
        load_array(str(folder), "8x8", "train")


def test_a_manifest_that_was_cut(copied: Copied) -> None:
    path = copied() / "manifest.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Problem, match="cannot be read"):
        load_array(str(path.parent), "8x8", "train")


def test_a_manifest_with_other_rows_than_the_shard(copied: Copied) -> None:
    folder = copied()
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    content["configs"]["8x8"]["train"]["shards"][0]["rows"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(Problem, match=r"train-00000-of-00002.parquet: expected [\d,]+ rows, found"):
        load_array(str(folder), "8x8", "train")
