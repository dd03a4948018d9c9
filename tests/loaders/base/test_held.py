"""A job is held to the files that were planned, in every dataset and through both doors."""

import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

import loaders
from loaders import SourceProblem
from loaders.base import held
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.building import make

LAYOUTS: list[tuple[Callable[[Path], Laid], str, str]] = [
    (lambda folder: archives.resized(folder, [8]), "8x8", "Imagenet8_train_npz.zip"),
    (lambda folder: archives.resized_loose(folder, 8), "8x8", "Imagenet8_train_part1/train_data_batch_1.npz"),
    (archives.downsampled, "32x32", "train_32x32.tar"),
    (archives.subset, "1pct", "ILSVRC2012_img_train.tar"),
    (archives.v2, "topimages", "imagenetv2-top-images.tar.gz"),
]


def replace(path: Path) -> None:
    """Put a copy in its place, with its time: its rows are right, and nobody can know that."""
    shutil.copy2(path, path.with_name("new"))
    path.with_name("new").replace(path)


@pytest.mark.keeps("S27")
@pytest.mark.parametrize(("lay_out", "config", "name"), LAYOUTS)
@pytest.mark.parametrize("read", [0, 1])
def test_an_archive_that_is_replaced(
    read: int, lay_out: Callable[[Path], Laid], config: str, name: str, tmp_path: Path
) -> None:
    """Before its job and, with one batch read, in the middle of it."""
    laid, path = lay_out(tmp_path), tmp_path / name
    plan, *_ = contract.plans(laid.dataset, config, laid.folder)
    batches = held.batches(loaders.load(laid.dataset), plan.jobs[0])
    for _ in range(read):
        next(batches)
    replace(path)
    with pytest.raises(SourceProblem, match=f"{path.name}: was replaced or written to"):
        list(batches)


@pytest.mark.keeps("S27")
def test_a_job_is_held_to_what_it_reads_alone(tmp_path: Path) -> None:
    """Of half an archive no job of the other half is kept from its work; lists are read by nobody but the plan."""
    laid = archives.resized(make(tmp_path / "resized"), [64])
    train, *_ = contract.plans(laid.dataset, "64x64", laid.folder)
    assert [[seen.path.name for seen in job.seen] for job in train.jobs] == [
        [f"Imagenet64_train_part{n}_npz.zip"] for n in (1, 2)
    ]
    laid = archives.subset(make(tmp_path / "subset"))
    train, *_ = contract.plans(laid.dataset, "1pct", laid.folder)
    assert {seen.path.name for job in train.jobs for seen in job.seen} == {"ILSVRC2012_img_train.tar"}


def prepared(folder: Path, cache: Path, change: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Prepare 8x8 with something done between the plan and the rows."""
    plan = held.plan

    def planned(*arguments: object) -> object:
        found = plan(*arguments)  # type: ignore[arg-type]
        change()
        return found

    monkeypatch.setattr(held, "plan", planned)
    made = loaders.load("imagenet_resized").Builder(  # type: ignore[attr-defined]
        config_name="8x8", data_dir=folder, cache_dir=str(cache), allow_partial=True
    )
    made.download_and_prepare()
    return list(made.as_dataset(split="train")["label"])


@pytest.mark.keeps("S27")
def test_the_library_prepares_nothing_of_an_archive_that_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laid = archives.resized(make(tmp_path / "in"), [8])
    archive = laid.folder / "Imagenet8_train_npz.zip"
    with pytest.raises(datasets.exceptions.DatasetGenerationError) as caught:
        prepared(laid.folder, tmp_path / "cache", lambda: replace(archive), monkeypatch)
    assert "was replaced or written to" in str(caught.value.__cause__)
    monkeypatch.undo()
    assert len(prepared(laid.folder, tmp_path / "cache", lambda: None, monkeypatch)) == archives.SPLITS["train"]


@pytest.mark.keeps("S27")
def test_the_library_prepares_no_other_archive_than_the_one_it_named(tmp_path: Path) -> None:
    laid = archives.resized(make(tmp_path / "in"), [8])
    made = loaders.load("imagenet_resized").Builder(  # type: ignore[attr-defined]
        config_name="8x8", data_dir=laid.folder, cache_dir=str(tmp_path / "cache"), allow_partial=True
    )
    replace(laid.folder / "Imagenet8_val_npz.zip")
    with pytest.raises(SourceProblem, match=r"Imagenet8_val_npz.zip: was replaced or written to"):
        made.download_and_prepare()
