"""What every loader keeps, for every config: the same checks, handed other rows.

A dataset's own test lays out tiny archives (`tests.kit.archives`) and runs `CHECKS` over `configs(NAME)`.
"""

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import loaders
from loaders.base import held
from loaders.base.dataset import Batch, SplitPlan
from loaders.base.obtain import obtain
from tests.kit.archives import Laid, Row

Check = Callable[[Laid, str, Path], None]
PUBLISHED = {
    "imagenet_resized": {"train": 1_281_167, "validation": 50_000},
    "downsampled_imagenet": {"train": 1_281_149, "validation": 49_999},
    "imagenet2012_subset/1pct": {"train": 12_811, "validation": 50_000, "test": 100_000},
    "imagenet2012_subset/10pct": {"train": 128_116, "validation": 50_000, "test": 100_000},
    "imagenet_v2": {"test": 10_000},
    "imagenet_v2_resized": {"matched_frequency": 10_000, "threshold_0.7": 10_000, "topimages": 10_000},
}
SMALL = {"imagenet_v2_resized"}  # each split is one file, or as small as this


def plans(dataset: str, config: str, folder: Path, partial: bool = True) -> list[SplitPlan]:
    """Find the archives of a config, check their sizes and plan its splits."""
    loader = loaders.load(dataset)
    known = loader.config(config)
    (found,) = obtain([(loader, known)], folder, partial)
    return held.plan(loader, known, found, partial)


def read(plan: SplitPlan) -> pa.Table:
    """Return all rows of a split as the loader's batches give them."""
    return pa.Table.from_batches([batch.rows for batch in batches(plan)])


def batches(plan: SplitPlan) -> Iterator[Batch]:
    for job in plan.jobs:
        yield from held.batches(loaders.load(job.dataset), job)


def rows(table: pa.Table, pixels: bool) -> list[Row]:
    """Return the rows as `tests.kit.archives.Laid` has them."""
    found: list[Row] = [dict(row) for row in table.to_pylist()]
    for row in found:
        assert row["image"]["path"] is None  # a path there would be looked for in the working directory
        row["image"] = _pixels(row["image"]["bytes"]) if pixels else row["image"]["bytes"]
    return found


def _pixels(file: bytes) -> bytes:
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        assert image.mode == "RGB"
        return image.tobytes()


def by_name(found: list[Row]) -> list[Row]:
    """Sort rows that have names; pixels have none, and their order counts."""
    return sorted(found, key=lambda row: str(row.get("file_name", "")))


def same(found: pa.Table, laid: Laid, config: str, split: str) -> None:
    """Hold rows against what was laid out, whole."""
    assert by_name(rows(found, laid.pixels)) == by_name(laid.rows[config][split])


def builder(laid: Laid, config: str, cache: Path) -> Any:
    make = loaders.load(laid.dataset).Builder  # type: ignore[attr-defined]
    return make(config_name=config, data_dir=str(laid.folder), cache_dir=str(cache), allow_partial=True)


def expected(laid: Laid, config: str) -> dict[str, pa.Table]:
    return {plan.split.name: read(plan) for plan in plans(laid.dataset, config, laid.folder)}


def splits_have_their_rows(laid: Laid, config: str, _: Path) -> None:
    for plan in plans(laid.dataset, config, laid.folder):
        jobs = [job.rows for job in plan.jobs]
        assert plan.rows == sum(jobs) == len(laid.rows[config][plan.split.name])
        assert max(jobs) - min(jobs) <= 1
        assert [sum(b.rows.num_rows for b in loaders.load(laid.dataset).batches(job)) for job in plan.jobs] == jobs
    split_rows = {split.name: split.rows for split in loaders.load(laid.dataset).config(config).splits}
    assert split_rows == (PUBLISHED.get(laid.dataset) or PUBLISHED[f"{laid.dataset}/{config}"])


def every_image_and_label_is_what_was_laid_out(laid: Laid, config: str, _: Path) -> None:
    for split, table in expected(laid, config).items():
        same(table, laid, config, split)


def features_are_those_of_the_library(laid: Laid, config: str, cache: Path) -> None:
    dataset = loaders.load(laid.dataset).DATASET
    features = datasets.Features.from_dict(dataset.features)
    assert features.to_dict() == dataset.features
    assert dataset.schema.equals(features.arrow_schema, check_metadata=True)
    assert builder(laid, config, cache).info.features == features
    for plan in plans(laid.dataset, config, laid.folder):
        assert all(batch.rows.schema.equals(dataset.schema, check_metadata=True) for batch in batches(plan))


def pixels_beside_the_rows_are_theirs(laid: Laid, config: str, _: Path) -> None:
    for plan in plans(laid.dataset, config, laid.folder):
        beside = [batch.pixels for batch in batches(plan)]
        if not laid.pixels:
            assert beside == [None] * len(beside)
            continue
        pixels = np.concatenate([p for p in beside if p is not None])
        images = [row["image"] for row in rows(read(plan), laid.pixels)]
        assert [picture.tobytes() for picture in pixels.transpose(0, 2, 3, 1)] == images


def order_is_stable(laid: Laid, config: str, _: Path) -> None:
    first = plans(laid.dataset, config, laid.folder)
    again = plans(laid.dataset, config, laid.folder)
    assert [plan.split.name for plan in first] == list(laid.rows[config])
    for one, two in zip(first, again, strict=True):
        backwards = [[b.rows for b in loaders.load(laid.dataset).batches(job)] for job in reversed(two.jobs)]
        assert read(one).equals(pa.Table.from_batches(itertools.chain.from_iterable(reversed(backwards))))


def no_row_is_there_twice(laid: Laid, config: str, _: Path) -> None:
    for table in expected(laid, config).values():
        found = [tuple(sorted(row.items())) for row in rows(table, laid.pixels)]
        assert len(set(found)) == len(found)


def named_rows_are_not_sorted_by_class(laid: Laid, config: str, _: Path) -> None:
    for table in expected(laid, config).values():
        if "file_name" not in table.column_names:
            continue
        labels = table["label"].to_numpy()
        if set(labels) == {-1}:
            labels = np.argsort(np.argsort(table["file_name"].to_pylist()))  # by their numbers, then
        neighbours = np.count_nonzero(labels[1:] == labels[:-1])
        assert neighbours <= len(labels) * 0.1
        assert 0.4 < np.mean(labels[1:] > labels[:-1]) < 0.6 or len(labels) < 100


def examples_are_the_batches(laid: Laid, config: str, cache: Path) -> None:
    made = builder(laid, config, cache)
    for plan in plans(laid.dataset, config, laid.folder):
        keyed = list(made._generate_examples(jobs=list(plan.jobs)))
        assert len({str(key) for key, _ in keyed}) == len(keyed)
        assert [example for _, example in keyed] == read(plan).to_pylist()


def parquet_of_the_library_has_the_same_rows(laid: Laid, config: str, cache: Path) -> None:
    made = builder(laid, config, cache)
    made.download_and_prepare(str(cache / "out"), file_format="parquet")
    for split, table in expected(laid, config).items():
        files = sorted((cache / "out").glob(f"*-{split}*.parquet"))
        assert pa.concat_tables([pq.read_table(file) for file in files]).equals(table)


def arrow_of_the_library_has_the_same_rows(laid: Laid, config: str, cache: Path) -> None:
    made = builder(laid, config, cache)
    made.download_and_prepare()
    for split, table in expected(laid, config).items():
        assert made.as_dataset(split=split).data.table.equals(table)


def two_processes_give_the_rows_of_one(laid: Laid, config: str, cache: Path) -> None:
    made = builder(laid, config, cache)
    found = plans(laid.dataset, config, laid.folder)
    assert any(len(plan.jobs) > 1 for plan in found) or laid.dataset in SMALL
    made.download_and_prepare(num_proc=2)
    for split, table in expected(laid, config).items():
        assert made.as_dataset(split=split).data.table.equals(table)


def streaming_gives_the_rows_of_preparing(laid: Laid, config: str, cache: Path) -> None:
    made = builder(laid, config, cache)
    for split, table in expected(laid, config).items():
        stream = made.as_streaming_dataset(split=split)
        assert stream.features == made.info.features
        undecoded = stream.cast_column("image", datasets.Image(decode=False))
        assert list(undecoded) == table.to_pylist()


def the_sample_needs_no_leave(laid: Laid, config: str, sample: Path) -> None:
    dataset = loaders.load(laid.dataset).DATASET
    for plan in plans(laid.dataset, config, sample, partial=False):
        table = read(plan)
        assert table.num_rows == plan.rows
        assert {archive.origin for archive in plan.archives} == {"sample"}
        if dataset.label_order:
            assert set(table["label"].to_pylist()) == set(range(1000))


CHECKS: tuple[Check, ...] = (
    splits_have_their_rows,
    every_image_and_label_is_what_was_laid_out,
    features_are_those_of_the_library,
    pixels_beside_the_rows_are_theirs,
    order_is_stable,
    no_row_is_there_twice,
    named_rows_are_not_sorted_by_class,
    examples_are_the_batches,
    parquet_of_the_library_has_the_same_rows,
    arrow_of_the_library_has_the_same_rows,
    two_processes_give_the_rows_of_one,
    streaming_gives_the_rows_of_preparing,
)
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


def every_config(dataset: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("config", [config.name for config in loaders.load(dataset).DATASET.configs])
