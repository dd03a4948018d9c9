"""The pictures' part of a card: each with words of its own, in a fold; side by side stands only what is alike."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import loaders
from publish import manifest
from publish.card import gallery, picture
from publish.manifest import Manifest
from publish.sample import archives as writers
from tests.kit import archives
from tests.kit.building import RESIZED, build, make, tree

DATASETS = loaders.names()
every_dataset = pytest.mark.parametrize("dataset", DATASETS)
_IMAGE = re.compile(r'<img src="(?P<path>[^"]+)" alt="(?P<text>[^"]+)" title="(?P=text)">')


def manifest_of(folder: Path) -> Manifest:
    read = manifest.read(folder)
    assert read is not None
    return read


def side_by_side(text: str) -> list[str]:
    """Return the configs that are set side by side."""
    table = re.search(r"\*\*The same images in \d sizes\*\*.*\n\n\| (?P<heads>.*) \|\n", text)
    return table["heads"].replace("`", "").split(" | ") if table else []


@every_dataset
def test_every_picture_is_shown_once_with_words_of_its_own(dataset: str, built: Path) -> None:
    read = manifest_of(built / dataset)
    shown = [match.groups() for match in _IMAGE.finditer(gallery.markdown(read))]
    assert len({text for _, text in shown}) == len(shown)
    assert sorted(path for path, _ in shown) == sorted({path for entry in read.entries() for path in entry.pictures})


@every_dataset
def test_the_fold_says_who_can_see_them_where_not_all_can(dataset: str, built: Path) -> None:
    gated = loaders.load(dataset).DATASET.gated
    text = gallery.markdown(manifest_of(built / dataset))
    assert ("only those who were let in see them" in text) == gated
    assert text.startswith("<details>" if gated else "<details open>")
    assert text.endswith("</details>")


def test_rows_by_class_are_those_of_the_configs_that_are_named(built: Path) -> None:
    """1pct and 10pct have one row and two a class: their bars are as tall."""
    text = gallery.markdown(manifest_of(built / "imagenet2012_subset"))
    assert re.findall(r"\*\*Rows by class\*\*, (.*), by label 0 to 999:", text) == [
        "train of `1pct`: 1,000 of 1,000 classes, 1 row each",
        "validation of `1pct`, `10pct`: 1,000 of 1,000 classes, 1 row each",
        "train of `10pct`: 1,000 of 1,000 classes, 2 rows each",
    ]


@every_dataset
def test_every_config_has_a_sheet_and_every_labelled_split_its_classes(dataset: str, built: Path) -> None:
    read = manifest_of(built / dataset)
    for config, splits in read.configs.items():
        kinds = {split: [picture.kind(path) for path in entry.pictures] for split, entry in splits.items()}
        assert sum(found.count(picture.SHEET) for found in kinds.values()) == 1, config
        assert all((picture.CLASSES in kinds[split]) == bool(entry.labels) for split, entry in splits.items())


@pytest.mark.parametrize(
    ("dataset", "sizes"),
    [
        ("imagenet_resized", (8, 16, 32, 64)),
        ("downsampled_imagenet", (32, 64)),
        ("imagenet_v2_resized", (8, 16, 32, 64)),
    ],
)
def test_the_sample_s_sizes_stand_side_by_side(dataset: str, sizes: Sequence[int], built: Path) -> None:
    text = gallery.markdown(manifest_of(built / dataset))
    assert side_by_side(text) == [f"{size}x{size}" for size in sizes]
    assert f"in {len(sizes)} sizes" in text


@pytest.mark.parametrize("dataset", ["imagenet2012_subset", "imagenet_v2"])
def test_photographs_as_they_came_have_no_sizes(dataset: str, built: Path) -> None:
    assert side_by_side(gallery.markdown(manifest_of(built / dataset))) == []


def validation_of(folder: Path, size: int, variation: int) -> None:
    """Lay out other validation images of a size."""
    rows = archives.SPLITS["validation"]
    pixels = writers.planar(archives.pictures(rows, size, variation))
    writers.write_validation_zip(folder, size, {"data": pixels, "labels": archives.labels(rows)})


@pytest.mark.parametrize(
    ("others", "shown"),
    [
        ({}, ["8x8", "16x16", "32x32"]),
        ({32: 5}, ["8x8", "16x16"]),
        ({8: 5}, ["16x16", "32x32"]),
        ({8: 5, 32: 5}, ["8x8", "32x32"]),
        ({8: 4, 32: 5}, []),
    ],
    ids=str,
)
def test_only_the_same_photographs_stand_side_by_side(others: dict[int, int], shown: list[str], tmp_path: Path) -> None:
    laid = archives.resized(make(tmp_path / "archives"), [8, 16, 32])
    for size, variation in others.items():
        validation_of(laid.folder, size, variation)
    configs = [word for config in laid.rows for word in ("--config", f"{RESIZED}/{config}")]
    build(laid, tmp_path / "out", *configs)
    assert side_by_side((tmp_path / "out" / RESIZED / "README.md").read_text()) == shown


def test_sizes_that_are_built_one_by_one_come_together(tmp_path: Path) -> None:
    laid = archives.resized(make(tmp_path / "archives"), [8, 16])
    out = tmp_path / "out"
    build(laid, out, "--config", f"{RESIZED}/16x16")
    assert side_by_side((out / RESIZED / "README.md").read_text()) == []
    alone = {path: sha256 for path, sha256 in tree(out).items() if "/pictures/" in path}
    build(laid, out, "--config", f"{RESIZED}/8x8")
    assert side_by_side((out / RESIZED / "README.md").read_text()) == ["8x8", "16x16"]
    assert alone.items() <= tree(out).items()


def test_a_manifest_of_a_time_with_mean_images_alone(built: Path) -> None:
    read = manifest_of(built / RESIZED)
    means = {picture.path(picture.MEAN, "8x8", split): "" for split in ("train", "validation")}
    splits = {
        split: replace(entry, glance="", pictures={path: "" for path in means if split in path})
        for split, entry in read.configs["8x8"].items()
    }
    text = gallery.markdown(replace(read, configs={"8x8": splits}))
    assert [match["path"] for match in _IMAGE.finditer(text)] == list(means)
