"""Every form that labs have ILSVRC in gives the rows of the registered tars: same order, names and bytes."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loaders import SourceProblem, classes
from loaders.files import places
from loaders.ilsvrc.layout import validation_labels
from loaders.ilsvrc.photos import numbered
from publish.regenerate.originals import find
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
    """Return what a regeneration reads, by name."""
    found = {}
    for split, held in find(folder).held.items():
        files = [file for _, file in held.photos.read()]
        names = [name.decode() for name in held.photos.names.tolist()]
        found[split] = sorted(zip(names, held.photos.labels.tolist(), files, strict=True))
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


def hub_parquet(place: str, *, files: int = 3, group: int = 7) -> Callable[[Path], None]:
    """Return what lays out Parquet as `datasets` writes it, rows in no order, and takes the tars away."""

    def lay(folder: Path) -> None:
        archives.unpack(folder)
        for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
            photographs = sorted((folder / name).rglob("*.JPEG"), key=lambda path: path.name[::-1])
            for number in range(files):
                path = folder / place / f"{split}-{number:05d}-of-{files:05d}.parquet"
                write_parquet(path, [row_of(photograph) for photograph in photographs[number::files]], group)
            shutil.rmtree(folder / name)

    return lay


def row_of(path: Path) -> dict[str, Any]:
    wnid = wnid_of(path.stem)
    label = classes.label_of_wnid("ilsvrc")[wnid] if wnid else -1
    return {"image": {"bytes": path.read_bytes(), "path": as_the_hub_names_them(path.stem, wnid)}, "label": label}


def write_long_names(path: Path) -> None:
    """Write 50 kB that come to 20 GB: one name of a megabyte, which each of 20,000 rows says."""
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * (1 << 20)]))
    image = pa.StructArray.from_arrays([pa.array([b""] * 20_000), names], ["bytes", "path"])
    pq.write_table(pa.table({"image": image, "label": pa.array([0] * 20_000)}), path)


def write_parquet(path: Path, rows: list[dict[str, Any]], group: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, pa.schema({"image": image, "label": pa.int64()})), path, group)


def in_the_hubs_cache(folder: Path) -> None:
    """As the Hub's library keeps a download: links to blobs, and which revision is the newest."""
    cache = folder / "datasets--ILSVRC--imagenet-1k"
    hub_parquet("datasets--ILSVRC--imagenet-1k/snapshots/abc/data")(folder)
    (cache / "blobs").mkdir()
    for number, path in enumerate(sorted((cache / "snapshots/abc/data").iterdir())):
        path.rename(cache / "blobs" / str(number))
        path.symlink_to(f"../../../blobs/{number}")
    (cache / "snapshots/old").mkdir()
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("abc")


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
    "Parquet": hub_parquet("data"),
    "Parquet beside each other, of one row group": hub_parquet(".", files=1, group=1000),
    "Parquet in the Hub's cache": in_the_hubs_cache,
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


# Parquet


@pytest.fixture
def snapshot(folder: Path) -> Path:
    """Parquet of two files a split."""
    archives.subset(folder)
    (folder / "test").mkdir(exist_ok=True)
    hub_parquet("data", files=2)(folder)
    return folder / "data"


def rewritten(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = pq.read_table(path).to_pylist()
    change(rows)
    write_parquet(path, rows)


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
        write_parquet(snapshot / f"validation-{number:05d}-of-00002.parquet", rows[number : number + 1])
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
        (lambda path: write_long_names(path), ["a path of 1,048,576 bytes"]),
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
    hub_parquet("data")(tmp_path)
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
