"""Bad folders: what people unpack halfway, move by hand, or leave lying about is told by name, as bad archives are."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import loaders
from loaders import SourceProblem
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.refusals import in_time, refused, refused_rows, says

DATASET = "imagenet2012_subset"
ONE, OTHER = "n01440764", "n01443537"  # labels 0 and 1
TEST_PHOTO = "test/ILSVRC2012_test_00000001.JPEG"


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


def lay(folder: Path, *, nested: bool = False) -> archives.Laid:
    laid = archives.subset(folder, test=True)
    archives.unpack(folder, nested=nested)
    return laid


def moved(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    old.rename(new)


def validation(label: int) -> str:
    return f"ILSVRC2012_val_{writers.first_of_each_class()[label]:08d}.JPEG"


# Train


@pytest.mark.keeps("S25")
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: moved(path, path.parents[1] / OTHER / path.name),
        lambda path: moved(path, path.parents[1] / path.name),
        lambda path: (path.unlink(), path.symlink_to("nowhere")),
        lambda path: moved(path.parent, path.parents[1] / "tench"),
    ],
    ids=["gone", "in another class", "in no class", "a link to nowhere", "in a folder of another name"],
)
def test_a_listed_photograph_that_is_not_in_its_folder(harm: Callable[[Path], object], tmp_path: Path) -> None:
    laid = lay(tmp_path)
    name = f"{ONE}_100.JPEG"
    harm(tmp_path / "train" / ONE / name)
    rows = [row for row in laid.rows["1pct"]["train"] if row["file_name"] != name]
    text = refused_rows(DATASET, "1pct", tmp_path)
    says(
        text, f"{tmp_path}/train: 1 of the {len(rows) + 1} files that 1percent.txt lists", f"not in it: {name}. Unpack"
    )
    says(text, "--allow-partial")
    train, *_ = contract.plans(DATASET, "1pct", tmp_path)
    assert dict(train.skipped) == {"listed in 1percent.txt, not in the folder": 1}
    assert contract.by_name(contract.rows(contract.read(train), laid.pixels)) == contract.by_name(rows)


# Validation and test


@pytest.mark.keeps("S14")
@pytest.mark.parametrize("name", ["valprep.sh", "ILSVRC2012_val_00000001.xml", "ILSVRC2012_val_1.JPEG"])
@pytest.mark.parametrize("place", ["val", f"val/{ONE}", "test"])
def test_a_stray_file(name: str, place: str, tmp_path: Path) -> None:
    lay(tmp_path, nested="/" in place)
    (tmp_path / place / name).write_text("...")
    known = "test_00000001.JPEG to ...00100000" if place == "test" else "val_00000001.JPEG to ...00050000"
    says(refused(DATASET, "1pct", tmp_path), tmp_path / place.partition("/")[0], f"{name}'", f"ILSVRC2012_{known}.JPEG")


@pytest.mark.parametrize(
    ("name", "place"),
    [("ILSVRC2012_val_00050001.JPEG", "val"), ("ILSVRC2012_val_00000000.JPEG", "val"),
     ("ILSVRC2012_test_00100001.JPEG", "test"), ("ILSVRC2012_val_00000001.JPEG", "test")],
)  # fmt: skip
def test_a_photograph_of_no_number(name: str, place: str, tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / place / name).write_bytes(b"...")
    says(refused(DATASET, "1pct", tmp_path), tmp_path / place, name)


def test_a_photograph_in_the_folder_of_another_class(tmp_path: Path) -> None:
    lay(tmp_path, nested=True)
    moved(tmp_path / "val" / ONE / validation(0), tmp_path / "val" / OTHER / validation(0))
    says(refused(DATASET, "1pct", tmp_path), f"{tmp_path}/val: {validation(0)} is of {ONE}", f"in the folder {OTHER}")


@pytest.mark.keeps("S15", "S21")
def test_a_photograph_in_two_folders(tmp_path: Path) -> None:
    lay(tmp_path, nested=True)
    os.link(tmp_path / "val" / ONE / validation(0), tmp_path / "val" / OTHER / validation(0))
    says(refused(DATASET, "1pct", tmp_path), f"{tmp_path}/val: {validation(0)} is of {ONE}", f"in the folder {OTHER}")


def test_a_photograph_both_flat_and_in_a_folder(tmp_path: Path) -> None:
    lay(tmp_path, nested=True)
    os.link(tmp_path / "val" / ONE / validation(0), tmp_path / "val" / validation(0))
    says(refused(DATASET, "1pct", tmp_path), f"{tmp_path}/val: holds '{validation(0)}', expected one folder a class")


@pytest.mark.parametrize("name", [ONE, "new folder"])
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_folder_among_photographs(name: str, split: str, tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / split / name).mkdir()
    says(refused(DATASET, "1pct", tmp_path), f"{tmp_path}/{split}: holds the folder '{name}', expected", "Move it away")


@pytest.mark.parametrize("name", ["cats", "n99999999"])
def test_a_folder_of_no_class(name: str, tmp_path: Path) -> None:
    lay(tmp_path, nested=True)
    (tmp_path / "val" / name).mkdir()
    says(refused(DATASET, "1pct", tmp_path), f"{tmp_path}/val: holds '{name}', expected one folder a class")


def test_a_folder_named_like_a_photograph(tmp_path: Path) -> None:
    lay(tmp_path, nested=True)
    path = tmp_path / "val" / ONE / validation(0)
    path.unlink()
    path.mkdir()
    says(refused(DATASET, "1pct", tmp_path), path, "expected a file")


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    lay(tmp_path)
    path = tmp_path / "test" / "ILSVRC2012_test_00000002.JPEG"
    path.unlink()
    path.symlink_to(tmp_path / "removed")
    says(refused(DATASET, "1pct", tmp_path), path, "a link to what is not there")


@pytest.mark.keeps("S10")
@pytest.mark.parametrize("place", [f"train/{ONE}/{ONE}_100.JPEG", f"val/{validation(0)}", TEST_PHOTO])
def test_a_photograph_of_gigabytes(place: str, tmp_path: Path) -> None:
    lay(tmp_path)
    os.truncate(tmp_path / place, 2300 << 20)
    with not_larger_than(50e6):
        text = refused(DATASET, "1pct", tmp_path)
    says(text, tmp_path / place, "has 2,411,724,800 bytes", "expected at most 67,108,864")


@pytest.mark.keeps("S10")
def test_large_photographs_that_come_to_gigabytes(tmp_path: Path) -> None:
    """More than a batch of Arrow's can hold."""
    lay(tmp_path)
    for path in (tmp_path / "val").iterdir():
        os.truncate(path, 60 << 20)
    _, validation, _ = contract.plans(DATASET, "1pct", tmp_path)
    with not_larger_than(50e6), pytest.raises(SourceProblem) as caught:
        contract.read(validation)
    count = len(archives.SUBSET_LABELS)
    says(str(caught.value), f"{tmp_path}/val: {count} photographs", f"{count * (60 << 20):,} bytes together")


@contextmanager
def not_larger_than(most: float) -> Iterator[None]:
    """Hold what Python allocates meanwhile against a limit, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


# While it is read


def another_of_its_size(path: Path) -> None:
    """Put other bytes in place, with the time of the first, as `rsync -t` does."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.keeps("S27")
@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "it has 100 bytes now"),
        (lambda path: path.write_bytes(path.read_bytes() + b"..."), "was replaced or written to"),
        (lambda path: another_of_its_size(path), "was replaced or written to"),
        (lambda path: os.truncate(path, 2300 << 20), "it has 2,411,724,800 bytes now"),
    ],
)
def test_a_file_that_changes_after_it_was_planned(harm: Callable[[Path], object], cause: str, tmp_path: Path) -> None:
    lay(tmp_path)
    train, *_ = contract.plans(DATASET, "1pct", tmp_path)
    path = tmp_path / "train" / ONE / f"{ONE}_100.JPEG"
    harm(path)
    with pytest.raises(SourceProblem) as caught:
        contract.read(train)
    says(str(caught.value), path, cause)


# The test tar


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        ([("ILSVRC2012_test_00000001.JPEG", b"1"), ("test/ILSVRC2012_test_00000001.JPEG", b"2")], "more than once"),
        ([("test/ILSVRC2012_test_00000001.JPEG", b"1")] * 2, "more than once"),
        ([("val/ILSVRC2012_test_00000001.JPEG", b"1")], "val/ILSVRC2012_test_00000001.JPEG"),
        ([("ILSVRC2012_test_00100001.JPEG", b"1")], "...00100000.JPEG"),
        ([(f"{ONE}/ILSVRC2012_test_00000001.JPEG", b"1")], f"in the folder {ONE}"),
        ([], "found 0"),
    ],
)
def test_a_test_tar_that_is_none(members: list[writers.Member], cause: str, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    (tmp_path / archives.TEST_TAR).write_bytes(writers.tar(members))
    says(refused(DATASET, "1pct", tmp_path), tmp_path / archives.TEST_TAR, cause)


@pytest.mark.keeps("S8")
def test_missing_originals_say_that_folders_do_as_well(tmp_path: Path) -> None:
    with pytest.raises(loaders.MissingSources) as caught:
        contract.plans(DATASET, "1pct", tmp_path)
    says(str(caught.value), "ILSVRC2012_img_train.tar", "train/WNID/", "ILSVRC/Data/CLS-LOC")
    assert archives.TEST_TAR not in str(caught.value).partition("These files are missing")[2]
