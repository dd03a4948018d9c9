"""Rows and classes of a split, read by page: the same as pyarrow reads, and of what is damaged an error for people."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import Problem
from publish import manifest
from publish.preview.rows import Row, Split
from publish.repository import contents
from tests.kit import making

CONFIGS = [("imagenet_resized", "16x16"), ("downsampled_imagenet", "64x64"), ("imagenet_v2", "topimages")]


def split_of(repository: Path, config: str, split: str) -> Split:
    found = manifest.read(repository)
    assert found
    return Split(contents.FolderContents(repository), found.configs[config][split])


def expected(repository: Path, config: str, split: str) -> list[Row]:
    """Return all rows of a split as pyarrow reads them."""
    found = manifest.read(repository)
    assert found
    table = pa.concat_tables(pq.read_table(repository / s.path) for s in found.configs[config][split].shards)
    return [
        Row(number, row["image"]["bytes"], row.get("label"), {k: row[k] for k in row if k == "file_name"})
        for number, row in enumerate(table.to_pylist())
    ]


@pytest.mark.parametrize(("dataset", "config"), CONFIGS)
def test_rows_are_those_of_the_shards(dataset: str, config: str, built: Path) -> None:
    """One, a few in every shard, those at the borders of shards, and all."""
    name = "test" if dataset == "imagenet_v2" else "train"
    rows, split = expected(built / dataset, config, name), split_of(built / dataset, config, name)
    assert split.rows == len(rows)
    for wanted in ([0], [len(rows) - 1], range(0, len(rows), 37), range(950, 1050), range(len(rows))):
        assert split.read(np.array(wanted)) == [rows[number] for number in wanted]
    assert split.read(np.array([], np.int64)) == []


@pytest.mark.parametrize(("dataset", "config"), CONFIGS)
def test_every_class_has_its_rows(dataset: str, config: str, built: Path) -> None:
    name = "test" if dataset == "imagenet_v2" else "train"
    rows, split = expected(built / dataset, config, name), split_of(built / dataset, config, name)
    labels = np.array([-1 if row.label is None else row.label for row in rows])
    assert bool(split.classes) == (dataset != "downsampled_imagenet")
    for label in range(len(split.classes)):
        assert split.of_class(label).tolist() == np.flatnonzero(labels == label).tolist()


def test_a_shard_of_other_rows_than_the_manifest_says_is_named(built: Path, tmp_path: Path) -> None:
    repository = making.copied(built, tmp_path)
    path = making.shard_of(repository, "16x16")
    split = split_of(repository, "16x16", "train")
    pq.write_table(pq.read_table(path).slice(1), path, write_page_index=True)
    with pytest.raises(Problem, match=r"train-00000-of-00002\.parquet: cannot be read"):
        split.read(np.array([5]))
    assert [row.number for row in split.read(np.array([1500]))] == [1500]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(places=st.lists(st.integers(0), min_size=1, max_size=20), bit=st.integers(0, 7))
def test_whatever_is_damaged_is_shown_or_named(places: list[int], bit: int, built: Path, tmp_path: Path) -> None:
    """Bits flipped anywhere in a shard: rows, or an error that the page shows; never another."""
    repository = tmp_path / "imagenet_resized"
    if not repository.exists():
        making.copied(built, tmp_path)
    path = making.shard_of(repository, "8x8", "validation")
    data = bytearray((built / path.relative_to(tmp_path)).read_bytes())
    for place in places:
        data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    split = split_of(repository, "8x8", "validation")
    with suppress(Problem):
        split.read(np.arange(100))
    with suppress(Problem):
        for label in range(len(split.classes)):
            split.of_class(label)
