"""imagenet_v2_resized: the contract, Pillow's BOX to the pixel, and one dataset with imagenet_resized in one line."""

from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import loaders
from loaders import classes, imagenet_v2_resized
from publish.build.shard import write_shard
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.contract import every_check, every_config
from tests.kit.refusals import says

NAME = "imagenet_v2_resized"
SPLITS = ["matched_frequency", "threshold_0.7", "topimages"]


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.v2_resized(tmp_path_factory.mktemp("v2_resized"))


@every_config(NAME)
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


def test_the_sample(laid: Laid, sample: Path) -> None:
    contract.the_sample_needs_no_leave(laid, "8x8", sample)


def test_gzip_and_litter_change_no_row(laid: Laid, tmp_path: Path) -> None:
    archives.v2(tmp_path, "wnid", compressed=True, littered=True)
    other = Laid(NAME, tmp_path, laid.rows, pixels=True)
    wanted, found = contract.expected(laid, "8x8"), contract.expected(other, "8x8")
    assert list(found) == SPLITS
    assert all(found[split].equals(wanted[split]) for split in SPLITS)


def test_rows_are_those_of_imagenet_v2_in_their_order(laid: Laid) -> None:
    for split, table in contract.expected(laid, "16x16").items():
        (plan,) = contract.plans("imagenet_v2", split.replace("_f", "-f").replace("_0", "-0"), laid.folder)
        assert table["file_name"].equals(contract.read(plan)["file_name"])


def test_features_are_those_of_imagenet_resized_and_a_name() -> None:
    ours, theirs = (loaders.load(name).DATASET.features for name in (NAME, "imagenet_resized"))
    assert ours == {**theirs, "file_name": {"dtype": "string", "_type": "Value"}}


@pytest.mark.parametrize("put_together", [datasets.concatenate_datasets, datasets.interleave_datasets])
def test_one_line_puts_it_together_with_imagenet_resized(put_together, laid: Laid, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "resized").mkdir()
    other = archives.resized(tmp_path / "resized", [8])
    parts = []
    for each, split in ((other, "validation"), (laid, "threshold_0.7")):
        made = contract.builder(each, "8x8", tmp_path / "cache")
        made.download_and_prepare()
        parts.append(made.as_dataset(split=split))
    both = put_together(parts)
    assert both.features == parts[1].features
    assert both[0]["file_name"] is None
    last = both[-1]
    label = int(last["file_name"].partition("/")[0])
    assert last["label"] == classes.classes()[label].clsloc_label


def v2_of(folder: Path, odd: bytes) -> Laid:
    """Lay out a set in which one photograph is another, and return where it lies."""
    photos = archives.v2_photos("topimages")
    photos[5] = (*photos[5][:2], odd)
    for name in writers.V2:
        writers.write_v2(folder, name, photos)
    return Laid(NAME, folder, {})


def test_a_photograph_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    laid = v2_of(tmp_path, archives.v2_photos("topimages")[5][2][:200])
    (plan, *_) = contract.plans(NAME, "8x8", laid.folder)
    with pytest.raises(loaders.SourceProblem) as caught:
        contract.read(plan)
    says(str(caught.value), "imagenetv2-matched-frequency.tar.gz", archives.v2_photos("topimages")[5][1], "decoded")


def test_a_photograph_that_libjpeg_warns_about_is_counted(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (48, 48, 3), np.uint8)
    whole = writers.encoded(Image.fromarray(picture), "JPEG", quality=88)
    laid = v2_of(tmp_path, whole[: len(whole) // 2] + b"\xff\xd9")
    (plan, *_) = contract.plans(NAME, "32x32", laid.folder)
    place, name, _ = archives.v2_photos("topimages")[5]
    (job,) = plan.jobs
    damaged = write_shard(job, tmp_path / "shard").statistics.damaged
    assert list(damaged) == [f"{place}/{name}"]
    assert damaged[f"{place}/{name}"].lacking > 0.1


def test_what_is_odd_is_counted_as_in_imagenet_v2(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (48, 48, 3), np.uint8)
    laid = v2_of(tmp_path, writers.odd_photo(classes.wnids("ilsvrc")[0], 0, picture))
    plans = [*contract.plans("imagenet_v2", "topimages", laid.folder), *contract.plans(NAME, "8x8", laid.folder)]
    found = [[write_shard(job, tmp_path / "shard").statistics.oddities for job in plan.jobs] for plan in plans]
    assert [sum(kinds, Counter()) for kinds in found] == [{"CMYK": 1}] * 4


def test_every_batch_of_a_shard_has_its_own_pixels(laid: Laid) -> None:
    """64x64 is cut into several batches a shard: each has its own rows, and all of them are there."""
    (plan, *_) = contract.plans(NAME, "64x64", laid.folder)
    found = list(contract.batches(plan))
    assert len(found) > 1
    assert [len(batch.pixels) for batch in found if batch.pixels is not None] == [b.rows.num_rows for b in found]
    assert pa.Table.from_batches([b.rows for b in found]).num_rows == plan.rows


def test_the_default_is_8x8() -> None:
    assert imagenet_v2_resized.Builder.DEFAULT_CONFIG_NAME == "8x8"
