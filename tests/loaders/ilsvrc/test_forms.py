"""Every form that labs have ILSVRC in gives the rows of the registered tars: same order, names and bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders import SourceProblem
from loaders.files import places
from loaders.ilsvrc.layout import validation_labels
from loaders.ilsvrc.photos import numbered
from publish.regenerate.originals import find
from tests.kit import archives, building, contract, ilsvrc
from tests.kit.archives import Laid
from tests.kit.ilsvrc import TRAIN, VALIDATION
from tests.kit.refusals import refused, says

DATASET = "imagenet2012_subset"

ONE, OTHER = "n01440764", "n01443537"  # labels 0 and 1


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.subset(tmp_path_factory.mktemp("registered"), test=True)


@pytest.fixture(scope="module")
def wanted(laid: Laid) -> dict[str, dict[str, pa.Table]]:
    return {config: contract.expected(laid, config) for config in archives.LISTED}


def rows_of(folder: Path) -> dict[str, list[tuple[str, int, bytes]]]:
    """Return what a regeneration reads, by name."""
    found = {}
    for split, held in find(folder).held.items():
        files = [file for _, file in held.photos.read()]
        names = [name.decode() for name in held.photos.names.tolist()]
        found[split] = sorted(zip(names, held.photos.labels.tolist(), files, strict=True))
    return found


@pytest.mark.keeps("S8")
@pytest.mark.parametrize("form", ilsvrc.FORMS)
def test_every_form_gives_the_rows_of_the_registered_one(
    form: str, laid: Laid, wanted: dict[str, dict[str, pa.Table]], tmp_path: Path
) -> None:
    archives.subset(tmp_path, test=True)
    ilsvrc.FORMS[form](tmp_path)
    for config, tables in wanted.items():
        found = contract.expected(Laid(DATASET, tmp_path, laid.rows), config)
        assert list(found) == list(tables)
        assert all(found[split].equals(table) for split, table in tables.items())
    assert rows_of(tmp_path) == rows_of(laid.folder)


@pytest.mark.parametrize("form", ["face-blurred", "face-blurred below", "folders"])
def test_what_is_called_so_is_told_as_that(form: str, tmp_path: Path) -> None:
    archives.subset(building.make(tmp_path / "x"))
    ilsvrc.FORMS[form](tmp_path / "x")
    forms = {plan.archives[0].form for plan in contract.plans(DATASET, "1pct", tmp_path / "x")}
    assert forms == {"unpacked folders" if form == "folders" else "face-blurred folders"}


def test_several_folders_elsewhere_are_not_chosen_from(folder: Path) -> None:
    archives.unpack(folder)
    for name in ("one", "two"):
        shutil.copytree(folder / "train", folder / name / "Train")
    shutil.rmtree(folder / "train")
    says(refused(DATASET, "1pct", folder), "several folders of train", "one/Train", "two/Train", "--source")


def test_a_class_under_two_spellings(folder: Path) -> None:
    archives.unpack(folder)
    (folder / "train" / ONE.upper()).mkdir()
    says(refused(DATASET, "1pct", folder), f"{folder}/train: holds both", ONE, ONE.upper())


# What is nearly such a form


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    archives.subset(tmp_path)
    return tmp_path


def test_a_class_tar_that_is_cut_short(folder: Path) -> None:
    ilsvrc.class_tars(folder)
    path = folder / "train" / f"{ONE}.tar"
    path.write_bytes(path.read_bytes()[:1000])
    says(refused(DATASET, "1pct", folder), path, "cut short")
    path.write_bytes(b"")
    says(refused(DATASET, "1pct", folder), path, "ends at byte 0")


@pytest.mark.parametrize("ending", [".tar.gz", ".TGZ", ".zip", ".tar.part", ".tar.crdownload"])
def test_a_class_that_is_packed_or_not_whole(ending: str, folder: Path) -> None:
    ilsvrc.class_tars(folder)
    (folder / "train" / f"{ONE}.tar").rename(folder / "train" / f"{ONE}{ending}")
    says(
        refused(DATASET, "1pct", folder),
        f"{folder}/train: holds '{ONE}{ending}', which is packed or not whole",
        "Unpack",
    )


def test_a_class_tar_beside_half_of_its_folder(folder: Path) -> None:
    ilsvrc.class_tars_beside_folders(folder)
    (folder / "train" / ONE / f"{ONE}_102.JPEG").unlink()
    text = refused(DATASET, "1pct", folder)
    says(text, f"{folder}/train: {ONE}.tar holds 3", f"the folder {ONE} beside it 2", "Move")


def test_a_class_tar_that_holds_another_class(folder: Path) -> None:
    ilsvrc.class_tars(folder)
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
    says(refused(DATASET, "1pct", folder), f"{folder}/val: {path.name} is of {ilsvrc.wnid_of(path.stem)}", other.name)


# Parquet


@pytest.fixture
def snapshot(folder: Path) -> Path:
    """Parquet of two files a split."""
    archives.subset(folder)
    (folder / "test").mkdir(exist_ok=True)
    ilsvrc.hub_parquet("data", files=2)(folder)
    return folder / "data"


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = pq.read_table(path).to_pylist()
    change(rows)
    ilsvrc.write_parquet(path, rows)


@pytest.mark.keeps("S20")
@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda rows: rows[3].update(label=(rows[3]["label"] + 1) % 1000), ["row 3", "is labelled"]),
        (lambda rows: rows[3]["image"].update(path=None), ["no path", "image.path", "written anew"]),
        (lambda rows: rows[3]["image"].update(path="cat.jpg"), ["'cat.jpg'", "n01440764_18_n01440764.JPEG"]),
        (lambda rows: rows.append(rows[0]), ["more than once"]),
        (lambda rows: rows[3]["image"].update(path="n01440764_18_n01443537.JPEG"), ["n01440764_18_n01443537.JPEG"]),
    ],
    ids=["label", "no path", "no name of ILSVRC", "twice", "two classes"],
)  # fmt: skip
def test_parquet_that_says_otherwise(change: Callable[[Any], object], parts: list[str], snapshot: Path) -> None:
    rewritten(snapshot / "train-00001-of-00002.parquet", change)
    says(refused(DATASET, "1pct", snapshot.parent), snapshot, *parts)


def test_a_photograph_of_train_is_none_of_validation_without_leave(snapshot: Path) -> None:
    rows = pq.read_table(snapshot / "train-00000-of-00002.parquet").to_pylist()[:2]
    for number in range(2):
        ilsvrc.write_parquet(snapshot / f"validation-{number:05d}-of-00002.parquet", rows[number : number + 1])
    with pytest.raises(SourceProblem, match=r"validation-0000\d-of-00002.parquet: holds 'n\d{8}_"):
        numbered(snapshot, "validation", validation_labels(), strict=True)
    held = numbered(snapshot, "validation", validation_labels())
    assert dict(held.skipped) == {"named like a photograph of train, and taken": 2}


def test_parquet_of_which_a_file_is_not_there(snapshot: Path) -> None:
    (snapshot / "train-00001-of-00002.parquet").unlink()
    says(refused(DATASET, "1pct", snapshot.parent), f"{snapshot}: 1 of the 2 train files", "train-00001-of-00002")
    (snapshot / "train-00001-of-00003.parquet").touch()
    says(refused(DATASET, "1pct", snapshot.parent), f"{snapshot}: holds train files of several revisions")


def write_hole(path: Path) -> None:
    """Leave the footer alone, which tells where everything is."""
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    path.write_bytes(b"PAR1" + bytes(len(data) - footer - 4) + data[-footer:])


@pytest.mark.parametrize(
    ("harm", "parts"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), ["ends without the mark of Parquet"]),
        (lambda path: path.write_bytes(b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"), ["claims 2,147,483,647"]),
        (lambda path: write_hole(path), ["cannot be read"]),
        (lambda path: pq.write_table(pa.table({"label": [1], "image": ["a"]}), path), ["expected image {bytes, path}"]),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), ["a link to what is not there"]),
        (lambda path: pq.write_table(pq.read_table(path), path, compression="zstd"), ["packed by ZSTD", "SNAPPY"]),
        (lambda path: ilsvrc.write_long_names(path), ["a path of 1,048,576 bytes"]),
    ],
    ids=["cut short", "a footer of gigabytes", "a hole", "other columns", "a link", "a codec", "20 GB of names"],
)  # fmt: skip
def test_parquet_that_is_damaged(harm: Callable[[Path], object], parts: list[str], snapshot: Path) -> None:
    path = snapshot / "train-00000-of-00002.parquet"
    harm(path)
    with pytest.raises(SourceProblem) as caught:
        contract.expected(Laid(DATASET, snapshot.parent, {}), "10pct")
    says(str(caught.value), path, *parts)


def test_parquet_by_url(laid: Laid, wanted: dict[str, dict[str, pa.Table]], tmp_path: Path) -> None:
    archives.subset(tmp_path, test=True)
    ilsvrc.hub_parquet("data")(tmp_path)
    url = places.place("memory://hub")
    for name in places.files(tmp_path):
        (url / name).parent.mkdir(parents=True, exist_ok=True)
        (url / name).write_bytes((tmp_path / name).read_bytes())
    found = contract.expected(Laid(DATASET, url, laid.rows), "10pct")
    assert all(found[split].equals(table) for split, table in wanted["10pct"].items())
    assert rows_of(url) == rows_of(laid.folder)


# Several forms at once


def test_two_forms_of_which_one_has_fewer(folder: Path) -> None:
    tars = {name: (folder / name).read_bytes() for name in (TRAIN, VALIDATION)}
    archives.unpack(folder)
    for name, content in tars.items():
        (folder / name).write_bytes(content)
    assert [plan.archives[0].path.name for plan in contract.plans(DATASET, "1pct", folder)] == [TRAIN, VALIDATION]
    next((folder / "val").iterdir()).unlink()
    text = refused(DATASET, "1pct", folder)
    says(
        text,
        f"{folder / VALIDATION} (ILSVRC's tars) has 31",
        f"{folder}/val (unpacked folders) has 30",
        "move the other",
    )
    (folder / VALIDATION).unlink()
    shutil.rmtree(folder / "train" / ONE)
    says(refused(DATASET, "1pct", folder), f"{folder / TRAIN} (ILSVRC's tars) has 31 classes", "has 30")


def test_two_revisions_in_the_hubs_cache(snapshot: Path) -> None:
    cache = snapshot.parent / "datasets--ILSVRC--imagenet-1k" / "snapshots"
    for revision in ("a", "b"):
        shutil.copytree(snapshot, cache / revision / "data")
    shutil.rmtree(snapshot)
    says(refused(DATASET, "1pct", snapshot.parent), f"{cache}: holds 2 revisions", "--source")
