"""Every form that labs have ILSVRC in gives the rows of the registered tars: same order, names and bytes."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from loaders import classes
from loaders.ilsvrc.layout import validation_labels
from loaders.ilsvrc.photos import find
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.refusals import refused, says

DATASET = "imagenet2012_subset"
TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
ONE, OTHER = "n01440764", "n01443537"  # labels 0 and 1


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.subset(tmp_path_factory.mktemp("registered"), test=True)


@pytest.fixture(scope="module")
def wanted(laid: Laid) -> dict[str, dict[str, pa.Table]]:
    return {config: contract.expected(laid, config) for config in archives.LISTED}


def rows_of(folder: Path) -> dict[str, list[tuple[str, int, bytes]]]:
    """Return what a regeneration reads."""
    found = {}
    for split, held in find(folder).items():
        files = [file for _, file in held.photos.read()]
        names = [name.decode() for name in held.photos.names.tolist()]
        found[split] = list(zip(names, held.photos.labels.tolist(), files, strict=True))
    return found


def unpacked(folder: Path) -> None:
    archives.unpack(folder)


def class_tars(folder: Path) -> None:
    """The outer tar unpacked, and no more."""
    with tarfile.open(folder / TRAIN) as outer:
        outer.extractall(folder / "train", filter="data")
    (folder / TRAIN).unlink()


def class_tars_beside_folders(folder: Path) -> None:
    class_tars(folder)
    for path in sorted((folder / "train").iterdir())[::2]:
        with tarfile.open(path) as tar:
            tar.extractall(path.with_suffix(""), filter="data")


def packed_again(top: str) -> Callable[[Path], None]:
    def pack(folder: Path) -> None:
        test = (folder / archives.TEST_TAR).read_bytes()
        archives.unpack(folder)
        for name, split in ((TRAIN, "train"), (VALIDATION, "val")):
            with tarfile.open(folder / name, "w", format=tarfile.PAX_FORMAT) as tar:
                tar.add(folder / split, top.format(split=split))
            (folder / split).rename(folder / f"away-{split}")
        (folder / archives.TEST_TAR).write_bytes(test)

    return pack


def named_like_the_tars(folder: Path) -> None:
    archives.unpack(folder)
    (folder / "train").rename(folder / "ILSVRC2012_img_train")
    (folder / "val").rename(folder / "ILSVRC2012_img_val")
    (folder / "ILSVRC2012_img_test_v10102019").mkdir()
    (folder / "test").rename(folder / "ILSVRC2012_img_test_v10102019" / "test")


def renamed(change: Callable[[str, str], str], *, nested: bool = False) -> Callable[[Path], None]:
    """Return what calls each photograph as `change(stem, WordNet id)` does."""

    def rename(folder: Path) -> None:
        archives.unpack(folder, nested=nested)
        for path in [path for path in folder.rglob("*.JPEG") if path.is_file()]:
            path.rename(path.with_name(change(path.stem, wnid_of(path.stem))))

    return rename


def wnid_of(stem: str) -> str:
    if stem.startswith("n"):
        return stem.partition("_")[0]
    return "" if "_test_" in stem else classes.wnids("ilsvrc")[validation_labels()[int(stem[-8:]) - 1]]


def as_the_hub_names_them(stem: str, wnid: str) -> str:
    return f"{stem}_{wnid}.JPEG" if wnid else f"{stem}.JPEG"


FORMS: dict[str, Callable[[Path], None]] = {
    "folders": unpacked,
    "class tars": class_tars,
    "class tars beside folders": class_tars_beside_folders,
    "packed again": packed_again("."),
    "packed again below folders": packed_again("data/ILSVRC/{split}"),
    "folders named like the tars": named_like_the_tars,
    ".jpg": renamed(lambda stem, _: f"{stem}.jpg"),
    ".Jpeg in class folders": renamed(lambda stem, _: f"{stem}.Jpeg", nested=True),
    "as the Hub names them": renamed(as_the_hub_names_them),
    "as the Hub names them, in class folders": renamed(as_the_hub_names_them, nested=True),
}


@pytest.mark.keeps("S8")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_rows_of_the_registered_one(
    form: str, laid: Laid, wanted: dict[str, dict[str, pa.Table]], tmp_path: Path
) -> None:
    archives.subset(tmp_path, test=True)
    FORMS[form](tmp_path)
    for config, tables in wanted.items():
        found = contract.expected(Laid(DATASET, tmp_path, laid.rows), config)
        assert list(found) == list(tables)
        assert all(found[split].equals(table) for split, table in tables.items())
    assert rows_of(tmp_path) == rows_of(laid.folder)


# What is nearly such a form


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    archives.subset(tmp_path)
    return tmp_path


def test_a_class_tar_that_is_cut_short(folder: Path) -> None:
    class_tars(folder)
    path = folder / "train" / f"{ONE}.tar"
    path.write_bytes(path.read_bytes()[:1000])
    says(refused(DATASET, "1pct", folder), path, "cut short")
    path.write_bytes(b"")
    says(refused(DATASET, "1pct", folder), path, "ends at byte 0")


def test_a_class_tar_beside_half_of_its_folder(folder: Path) -> None:
    class_tars_beside_folders(folder)
    (folder / "train" / ONE / f"{ONE}_102.JPEG").unlink()
    text = refused(DATASET, "1pct", folder)
    says(text, f"{folder}/train: {ONE}.tar holds 3", f"the folder {ONE} beside it 2", "Move")


def test_a_class_tar_that_holds_another_class(folder: Path) -> None:
    class_tars(folder)
    (folder / "train" / f"{OTHER}.tar").write_bytes((folder / "train" / f"{ONE}.tar").read_bytes())
    says(refused(DATASET, "1pct", folder), folder / "train" / f"{OTHER}.tar", f"{ONE}_100.JPEG", f"like {OTHER}_1.JPEG")


@pytest.mark.parametrize("name", ["train/notes.txt", f"{OTHER}/{ONE}_1.JPEG", f"val/{ONE}_1.JPEG", "n00000001_1.JPEG"])
def test_a_tar_packed_again_with_what_is_no_photograph_of_train(name: str, folder: Path) -> None:
    archives.odd_tar(folder / TRAIN, (f"train/{ONE}/{ONE}_100.JPEG", b"x", {}), (name, b"x", {}))
    says(refused(DATASET, "1pct", folder), folder / TRAIN, repr(name), "n01440764.tar", "n01440764/n01440764_18.JPEG")


def test_a_photograph_that_is_there_under_two_names(folder: Path) -> None:
    archives.unpack(folder)
    path = folder / "train" / ONE / f"{ONE}_100.JPEG"
    path.with_suffix(".jpg").write_bytes(path.read_bytes())
    says(refused(DATASET, "1pct", folder), f"{folder}/train: holds '{ONE}_100.JPEG' more than once")


def test_a_name_that_says_another_class(folder: Path) -> None:
    archives.unpack(folder)
    path = next((folder / "val").iterdir())
    other = path.rename(path.with_name(f"{path.stem}_n15075141.JPEG"))
    says(refused(DATASET, "1pct", folder), f"{folder}/val: {path.name} is of {wnid_of(path.stem)}", other.name)
