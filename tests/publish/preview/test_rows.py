"""Rows and classes of a split, read in a process of its own: the same as pyarrow reads, and of damage an error."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import Problem
from publish import manifest
from publish.preview import child, shard
from publish.preview.reader import Reader
from publish.preview.rows import Row, Split
from publish.repository.contents import FolderContents
from tests.kit import making

CONFIGS = [("imagenet_resized", "16x16"), ("downsampled_imagenet", "64x64"), ("imagenet_v2", "topimages")]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with closing(Reader()) as reader:
        yield reader


def split_of(reader: Reader, repository: Path, config: str, split: str) -> Split:
    found = manifest.read(repository)
    assert found
    return Split(FolderContents(repository), found.configs[config][split], reader)


def table_of(repository: Path, config: str, split: str) -> pa.Table:
    """Return a split as pyarrow reads it."""
    found = manifest.read(repository)
    assert found
    return pa.concat_tables(pq.read_table(repository / s.path) for s in found.configs[config][split].shards)


def expected(table: pa.Table) -> list[tuple[int, int | None, dict[str, str]]]:
    return [
        (number, row.get("label"), {k: row[k] for k in row if k == "file_name"})
        for number, row in enumerate(table.drop_columns("image").to_pylist() or [{}] * len(table))
    ]


def held(row: Row) -> tuple[int, int | None, dict[str, str]]:
    assert row.image
    assert row.why == ""
    return row.number, row.label, row.texts


def file_of(row: Row) -> bytes:
    assert row.image
    return base64.b64decode(row.image.source.partition(";base64,")[2])


@pytest.mark.parametrize(("dataset", "config"), CONFIGS)
def test_rows_are_those_of_the_shards(dataset: str, config: str, built: Path, reader: Reader) -> None:
    """One, a few in every shard, those at the borders of shards, and all."""
    name = "test" if dataset == "imagenet_v2" else "train"
    table, split = table_of(built / dataset, config, name), split_of(reader, built / dataset, config, name)
    rows, images = expected(table), table["image"].to_pylist()
    assert split.rows == len(rows)
    for wanted in ([0], [len(rows) - 1], range(0, len(rows), 37), range(950, 1050)):
        page = split.read(np.array(wanted))
        assert [held(row) for row in page.rows] == [rows[number] for number in wanted]
        assert page.notes == []
        if dataset != "imagenet_v2":  # whose photographs are sent smaller
            assert [file_of(row) for row in page.rows] == [images[number]["bytes"] for number in wanted]
    assert split.read(np.array([], np.int64)).rows == []


@pytest.mark.parametrize(("dataset", "config"), CONFIGS)
def test_every_class_has_its_rows(dataset: str, config: str, built: Path, reader: Reader) -> None:
    name = "test" if dataset == "imagenet_v2" else "train"
    split, table = split_of(reader, built / dataset, config, name), table_of(built / dataset, config, name)
    assert bool(split.classes) == (dataset != "downsampled_imagenet")
    for label in range(len(split.classes)):
        assert split.of_class(label).tolist() == np.flatnonzero(table["label"].to_numpy() == label).tolist()


def test_labels_are_read_for_their_bytes(built: Path, reader: Reader) -> None:
    """Of a shard that is far away nothing is fetched but the footer and the column."""
    contents = FolderContents(built / "imagenet_resized")
    fetched = []

    class Counted(FolderContents):
        def span(self, path: str, begin: int, end: int) -> bytes:
            fetched.append(end - begin)
            return super().span(path, begin, end)

        def local(self, path: str) -> Path:
            assert path.endswith("00000-of-00002.parquet")  # the names of the classes are in the first
            return super().local(path)

    found = manifest.read(built / "imagenet_resized")
    assert found
    entry = found.configs["64x64"]["train"]
    split = Split(Counted(built / "imagenet_resized"), entry, reader)
    assert split.of_class(5).tolist() == [60, 1198]
    assert sum(fetched) < sum(contents.sizes()[shard.path] for shard in entry.shards) / 10


def test_a_shard_of_other_rows_than_the_manifest_says_is_named(built: Path, tmp_path: Path, reader: Reader) -> None:
    repository = making.copied(built, tmp_path)
    path = making.shard_of(repository, "16x16")
    split = split_of(reader, repository, "16x16", "train")
    pq.write_table(pq.read_table(path).slice(1), path, write_page_index=True)
    with pytest.raises(Problem, match=r"train-00000-of-00002\.parquet: cannot be read"):
        split.read(np.array([5]))
    assert [row.number for row in split.read(np.array([1500])).rows] == [1500]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(places=st.lists(st.integers(0), min_size=1, max_size=20), bit=st.integers(0, 7))
def test_whatever_is_damaged_is_shown_or_named(
    places: list[int], bit: int, built: Path, tmp_path: Path, reader: Reader
) -> None:
    """Bits flipped anywhere in a shard: rows, or an error that the page shows; never another."""
    repository = tmp_path / "imagenet_resized"
    if not repository.exists():
        making.copied(built, tmp_path)
    path = making.shard_of(repository, "8x8", "validation")
    data = bytearray((built / path.relative_to(tmp_path)).read_bytes())
    for place in places:
        data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    split = split_of(reader, repository, "8x8", "validation")
    with suppress(Problem):
        split.read(np.arange(100))
    with suppress(Problem):
        for label in range(len(split.classes)):
            split.of_class(label)


# Data of other types than expected


def odd(tmp_path: Path, columns: dict[str, Any], features: object = None) -> dict[str, Any]:
    """Return the answer about the first rows of a shard that holds other things than ours do."""
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path = tmp_path / "odd.parquet"
    pq.write_table(table, path)
    request = {"path": str(path), "rows": len(table), "numbers": [0]}
    answers = child.Answers()
    return {**answers.of(request | {"what": "names"}, b"")[0], **answers.of(request | {"what": "rows"}, b"")[0]}


FILES = pa.array([{"bytes": b"no image", "path": None}], pa.struct({"bytes": pa.binary(), "path": pa.string()}))
ODD: dict[str, tuple[dict[str, Any], object, str]] = {
    "no image": ({"label": [1]}, None, "There is no column `image`."),
    "an image that is text": (
        {"image": ["a.png"]},
        None,
        "The column `image` is not of image files, but of the type string: it is not shown.",
    ),
    "an image of text bytes": (
        {"image": pa.array([{"bytes": "a"}])},
        None,
        "The column `image` is not of image files, but of the type struct<bytes: string>: it is not shown.",
    ),
    "an image of numbers": (
        {"image": [[1, 2]]},
        None,
        "The column `image` is not of image files, but of the type list<element: int64>: it is not shown.",
    ),
    "a label that is text": (
        {"image": FILES, "label": ["tench"]},
        None,
        "The column `label` is not of whole numbers, but of the type string: it is not shown.",
    ),
    "a label that is a fraction": (
        {"image": FILES, "label": [0.5]},
        None,
        "The column `label` is not of whole numbers, but of the type double: it is not shown.",
    ),
    "names that are numbers": (
        {"image": FILES, "label": [0]},
        {"info": {"features": {"label": {"names": [1, 2]}}}},
        "The names of the classes in its features are no list of texts: they are shown as they are.",
    ),
    "names that are none": (
        {"image": FILES, "label": [0]},
        {"info": {"features": {"label": {"names": 7}}}},
        "The names of the classes in its features are no list of texts: they are shown as they are.",
    ),
    "more columns": (
        {"image": FILES, **{f"c{i}": [i] for i in range(5000)}},
        None,
        "4,992 more columns not shown.",
    ),
    "columns of lists": ({"image": FILES, "boxes": [[1, 2]]}, None, "1 more column not shown."),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.keeps("V4")
def test_other_types_than_expected_are_told(kind: str, tmp_path: Path) -> None:
    columns, features, note = ODD[kind]
    found = odd(tmp_path, columns, features)
    assert note in found["notes"]
    assert len(found["rows"]) == 1


NO_FEATURES: tuple[object, ...] = (
    [],
    7,
    "x",
    {"info": 7},
    {"info": {"features": [1]}},
    {"info": {"features": {"label": 1}}},
)


@pytest.mark.parametrize("features", NO_FEATURES)
def test_features_that_are_none(features: object, tmp_path: Path) -> None:
    assert odd(tmp_path, {"image": FILES, "label": [3]}, features)["names"] == []


def test_values_that_are_missing_or_long(tmp_path: Path) -> None:
    empty = pa.array([None], FILES.type)
    found = odd(tmp_path, {"image": empty, "label": pa.array([None], pa.int64()), "text": ["x" * 5000]})
    (row,) = found["rows"]
    assert (row["label"], row["why"]) == (None, "this image cannot be decoded")
    assert row["texts"]["text"] == f"{'x' * 200}… (5,000 characters)"


def test_many_classes_have_a_bound(tmp_path: Path) -> None:
    names = {"info": {"features": {"label": {"names": [str(i) for i in range(50_000)]}}}}
    found = odd(tmp_path, {"image": FILES, "label": [0]}, names)
    assert len(found["names"]) == shard.MOST_CLASSES
    assert "Of 50,000 classes the first 10,000 have their names here." in found["notes"]
