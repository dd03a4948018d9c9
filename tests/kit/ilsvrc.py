"""ILSVRC's photographs in the other forms in which labs hold them: each takes the tars' place in a folder.

The folder is one that `tests.kit.archives.subset` laid out, with its test tar.
"""

import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from loaders import classes
from loaders.ilsvrc.layout import validation_labels
from publish.sample import archives as writers
from tests.kit import archives

TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def choose(folder: Path, wnids: Sequence[str]) -> None:
    """Leave these classes alone in the train tar."""
    kept = {name: data for name, data in _members(folder / TRAIN).items() if name.removesuffix(".tar") in wnids}
    (folder / TRAIN).write_bytes(writers.tar(kept.items()))


def _members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


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


def in_upper_case(folder: Path) -> None:
    """As a file system without small letters left them."""
    archives.unpack(folder, nested=True)
    for path in [*(folder / "train").iterdir(), *(folder / "val").iterdir()]:
        path.rename(path.with_name(path.name.upper()))


def below(train: str, validation: str) -> Callable[[Path], None]:
    """Return what puts the folders elsewhere, in which photographs are named .jpg."""

    def lay(folder: Path) -> None:
        renamed(lambda stem, _: f"{stem}.jpg")(folder)
        for name, place in (("train", train), ("val", validation)):
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).rename(folder / place)

    return lay


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
    "class folders in upper case": in_upper_case,
    "folders elsewhere": below("ssd/ImageNet/Train", "ssd/ImageNet/Validation"),
    "face-blurred": below("train_blurred", "val_blurred"),
    "face-blurred below": below("imagenet-blurred/train", "imagenet-blurred/val"),
    "Parquet": hub_parquet("data"),
    "Parquet below": hub_parquet("download/of/mine"),
    "Parquet beside each other, of one row group": hub_parquet(".", files=1, group=1000),
    "Parquet in the Hub's cache": in_the_hubs_cache,
}
