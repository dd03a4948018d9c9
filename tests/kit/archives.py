"""Tiny archives in the upstream formats, whole and broken, and the rows that each holds.

The formats are written by `publish.sample.archives`; here are the rows, and the other shapes that upstream has had.
"""

import io
import pickle
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from loaders import classes
from loaders.ilsvrc.layout import validation_labels
from publish.sample import archives
from publish.sample.drawing import U8, draw

Row = dict[str, Any]
Batch = dict[str, Any]
SPLITS = {"train": 60, "validation": 20}
SUBSET_LABELS = [*range(4), *range(7, 1000, 37)]
V2_LABELS = (*range(3, 90, 23), *range(90, 110), *range(113, 1000, 23))
V2_SHARDS = tuple(sorted({*range(90, 110), *range(3, 1000, 3)}))  # so many that a set has two shards


@dataclass(frozen=True)
class Laid:
    """Archives laid out in a folder, and the rows that they hold: {config: {split: rows}}.

    A row's image is the bytes of its pixels (RGB, row by row) where `pixels`, the bytes of its file otherwise.
    """

    dataset: str
    folder: Path
    rows: Mapping[str, Mapping[str, list[Row]]] = field(repr=False)
    pixels: bool = False


def pictures(count: int, size: int, variation: int) -> U8:
    """Draw pictures, uint8 [count, size, size, 3], no two alike."""
    return _pictures(count, size, variation).copy()


@cache
def _pictures(count: int, size: int, variation: int) -> U8:
    return archives.box(draw(np.arange(count) * 17 % classes.COUNT, variation, 64, 64), size)


# imagenet_resized


def labels(count: int) -> npt.NDArray[np.int64]:
    """Return labels from 1 to 1000, both of them among the first."""
    return np.array([1000, 1, *range(2, count)])[:count]


def resized_rows(size: int) -> dict[str, list[Row]]:
    return {
        split: [
            {"image": picture.tobytes(), "label": int(label) - 1}
            for picture, label in zip(pictures(count, size, place), labels(count), strict=True)
        ]
        for place, (split, count) in enumerate(SPLITS.items())
    }


def resized_batches(size: int) -> tuple[list[Batch], Batch]:
    """Return ten train batches and one validation batch."""
    train, validation = (archives.planar(pictures(n, size, place)) for place, n in enumerate(SPLITS.values()))
    batch = {"data": validation, "labels": labels(SPLITS["validation"])}
    return archives.train_batches(train, labels(SPLITS["train"])), batch


def resized(folder: Path, sizes: Iterable[int] = archives.SIZES, *, deflated: bool = False) -> Laid:
    """Lay out the npz zips; deflated ones have folder entries too."""
    for size in sizes:
        train, validation = resized_batches(size)
        archives.write_train_zips(folder, size, train, deflated=deflated)
        archives.write_validation_zip(folder, size, validation, deflated=deflated)
    return Laid("imagenet_resized", folder, {f"{size}x{size}": resized_rows(size) for size in sizes}, pixels=True)


def resized_pickles(
    folder: Path, sizes: Iterable[int] = archives.SIZES, *, protocol: int = 3, module: str = "numpy.core"
) -> Laid:
    """Lay out the CIFAR-style pickles: labels as a list, NumPy's old or new name for its core."""
    for size in sizes:
        train, validation = resized_batches(size)
        for name, batch in [(f"train/train_data_batch_{n}", b) for n, b in enumerate(train, 1)] + [
            ("val/val_data", validation)
        ]:
            path = folder / f"Imagenet{size}_{name}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(pickled({**batch, "labels": batch["labels"].tolist()}, protocol, module))
    return Laid("imagenet_resized", folder, {f"{size}x{size}": resized_rows(size) for size in sizes}, pixels=True)


def resized_loose(folder: Path, size: int) -> Laid:
    """Lay out npz batches in folders, as they are once the zips are unpacked."""
    train, validation = resized_batches(size)
    places = [f"train_part{1 + n // 5}/train_data_batch_{n + 1}" for n in range(10)]
    for place, batch in zip([*places, "val/val_data"], [*train, validation], strict=True):
        path = folder / f"Imagenet{size}_{place}.npz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(archives.npz(batch))
    return Laid("imagenet_resized", folder, {f"{size}x{size}": resized_rows(size)}, pixels=True)


def pickled(value: object, protocol: int, module: str = "numpy._core") -> bytes:
    """Pickle as a NumPy would that calls its core `module`; without frames, whose lengths would be wrong then."""
    buffer = io.BytesIO()
    pickler = pickle._Pickler(buffer, protocol)
    pickler.framer.start_framing = lambda: None  # type: ignore[attr-defined]
    pickler.dump(value)
    new, old = b"numpy._core.multiarray", f"{module}.multiarray".encode()
    data = buffer.getvalue().replace(b"c" + new, b"c" + old)
    return data.replace(b"\x8c" + bytes([len(new)]) + new, b"\x8c" + bytes([len(old)]) + old)


# downsampled_imagenet


def downsampled(folder: Path) -> Laid:
    rows: dict[str, dict[str, list[Row]]] = {}
    for size in (32, 64):
        drawn = {split: pictures(count, size, place) for place, (split, count) in enumerate(SPLITS.items())}
        for split, images in drawn.items():
            archives.write_downsampled(folder, size, split, images)
        rows[f"{size}x{size}"] = {split: [{"image": p.tobytes()} for p in images] for split, images in drawn.items()}
    return Laid("downsampled_imagenet", folder, rows, pixels=True)


def png(picture: U8) -> bytes:
    return archives.encoded(Image.fromarray(picture), "PNG")


# imagenet2012_subset


def subset(folder: Path, *, test: bool = False) -> Laid:
    """Lay out ILSVRC's tars and both lists: two listed photographs a class, the first in the shorter list too."""
    train = _subset_train()
    archives.write_ilsvrc_train(folder, {wnid: [(r["file_name"], r["image"]) for r in train[wnid]] for wnid in train})
    listed = {config: [row for rows in train.values() for row in rows[:n]] for config, n in LISTED.items()}
    for config, rows in listed.items():
        archives.write_list(folder / list_name(config), (row["file_name"] for row in rows))
    numbers = archives.first_of_each_class()
    drawn = draw(np.array(SUBSET_LABELS), 6, 24, 20)
    photos = [(numbers[label], archives.jpeg(picture)) for label, picture in zip(SUBSET_LABELS, drawn, strict=True)]
    archives.write_ilsvrc_validation(folder, sorted(photos))
    validation = [
        {"image": photo, "label": label, "file_name": f"ILSVRC2012_val_{number:08d}.JPEG"}
        for label, (number, photo) in zip(SUBSET_LABELS, photos, strict=True)
    ]
    beside = {"validation": validation} | ({"test": _subset_test(folder)} if test else {})
    return Laid("imagenet2012_subset", folder, {c: {"train": rows, **beside} for c, rows in listed.items()})


TEST_TAR = "ILSVRC2012_img_test_v10102019.tar"


def _subset_test(folder: Path) -> list[Row]:
    """Lay out the test tar, its photographs in a folder of it, as it has been handed out since 2019."""
    names = [f"ILSVRC2012_test_{number:08d}.JPEG" for number in (*range(1, 30), 100_000)]
    files = [archives.jpeg(picture) for picture in pictures(len(names), 16, 9)]
    (folder / TEST_TAR).write_bytes(archives.tar((f"test/{n}", f) for n, f in zip(names, files, strict=True)))
    return [{"image": f, "label": -1, "file_name": n} for n, f in zip(names, files, strict=True)]


def unpack(folder: Path, top: str = "", *, nested: bool = False) -> None:
    """Put folders under `top` in the place of ILSVRC's tars: train/WNID/, val/, or val/WNID/ when nested, and test/."""
    place = folder / top
    with tarfile.open(folder / "ILSVRC2012_img_train.tar") as outer:
        for member in outer:
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                inner.extractall(place / "train" / member.name.removesuffix(".tar"), filter="data")
    for name, where in (("ILSVRC2012_img_val.tar", place / "val"), (TEST_TAR, place)):
        if (folder / name).exists():
            with tarfile.open(folder / name) as archive:
                archive.extractall(where, filter="data")
    if nested:
        labels = validation_labels()
        for path in sorted((place / "val").iterdir()):
            wnid = classes.wnids("ilsvrc")[labels[int(path.stem[-8:]) - 1]]
            (place / "val" / wnid).mkdir(exist_ok=True)
            path.rename(place / "val" / wnid / path.name)
    for path in folder.glob("*.tar"):
        path.unlink()


LAYOUTS: dict[str, dict[str, Any]] = {
    "flat": {},
    "nested": {"nested": True},
    "Kaggle": {"top": "ILSVRC/Data/CLS-LOC"},
}


LISTED = {"1pct": 1, "10pct": 2}


def list_name(config: str) -> str:
    return config.replace("pct", "percent.txt")


def _subset_train() -> dict[str, list[Row]]:
    wnids, drawn = classes.wnids("ilsvrc"), _subset_drawn()
    return {
        wnids[label]: [
            {"image": drawn[n][place], "label": label, "file_name": f"{wnids[label]}_{100 + n}.JPEG"} for n in range(3)
        ]
        for place, label in enumerate(SUBSET_LABELS)
    }


@cache
def _subset_drawn() -> list[list[bytes]]:
    """Return three photographs of each label."""
    wnids = [classes.wnids("ilsvrc")[label] for label in SUBSET_LABELS]
    drawn = enumerate(draw(np.array(SUBSET_LABELS), variation, 24, 20) for variation in (3, 4, 5))
    return [
        [archives.odd_photo(wnid, n, photo) for wnid, photo in zip(wnids, photos, strict=True)] for n, photos in drawn
    ]


TRUTH = "ILSVRC2012_validation_ground_truth.txt"


def truth_ids() -> list[int]:
    """Return the development kit's 50,000 ids, from 1, in the order of map_clsloc.txt."""
    order = np.argsort(classes.clsloc_to_ilsvrc()) + 1
    return [int(order[label]) for label in validation_labels()]


def truth_text(ids: Iterable[int]) -> bytes:
    return "".join(f"{number}\n" for number in ids).encode()


def devkit(folder: Path, text: bytes) -> None:
    """Write the development kit: a gzip tar."""
    with tarfile.open(folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        for name, data in (("readme.txt", b"..."), (f"data/{TRUTH}", text)):
            info = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


# imagenet_v2


def v2_photos(config: str, layout: str = "index", labels: tuple[int, ...] = V2_LABELS) -> list[tuple[str, str, bytes]]:
    """Return (folder, name, photograph), two a class, in the order of the tar: folders sorted as strings."""
    wnids = classes.wnids("ilsvrc")
    photos = zip(labels * 2, _v2_drawn(config, labels), strict=True)
    return sorted((wnids[label] if layout == "wnid" else str(label), *photo) for label, photo in photos)


@cache
def _v2_drawn(config: str, labels: tuple[int, ...]) -> list[tuple[str, bytes]]:
    """Return (name, photograph) of each label, and again of each."""
    first = 7 + 2 * list(archives.V2).index(config)
    return [
        (archives.v2_name(config, n, label), archives.jpeg(picture))
        for n in range(2)
        for label, picture in zip(labels, draw(np.array(labels), first + n, 12, 10), strict=True)
    ]


def v2(
    folder: Path,
    layout: str = "index",
    *,
    compressed: bool = False,
    littered: bool = False,
    labels: tuple[int, ...] = V2_LABELS,
) -> Laid:
    rows: dict[str, dict[str, list[Row]]] = {}
    for config in archives.V2:
        photos = v2_photos(config, layout, labels)
        archives.write_v2(folder, config, photos, compressed=compressed, littered=littered)
        rows[config] = {
            "test": [
                {"image": photo, "label": int(place), "file_name": f"{place}/{name}"}
                for place, name, photo in v2_photos(config, labels=labels)
            ]
        }
    return Laid("imagenet_v2", folder, rows)


def v2_resized(folder: Path) -> Laid:
    """Lay out the same, to be read as the pixels that Pillow makes of the photographs, labels in the authors' order."""
    photos, order = v2(folder).rows, [c.clsloc_label for c in classes.classes()]
    rows = {
        f"{size}x{size}": {
            name.replace("-", "_"): [
                row | {"image": _boxed(row["image"], size), "label": order[row["label"]]} for row in splits["test"]
            ]
            for name, splits in photos.items()
        }
        for size in archives.SIZES
    }
    return Laid("imagenet_v2_resized", folder, rows, pixels=True)


def _boxed(photo: bytes, size: int) -> bytes:
    with Image.open(io.BytesIO(photo)) as image:
        return image.convert("RGB").resize((size, size), Image.Resampling.BOX).tobytes()


# Tars that no honest upstream wrote


def odd_tar(path: Path, *members: tuple[str, bytes, dict[str, Any]], format: int = tarfile.GNU_FORMAT) -> None:
    """Write a tar of (name, data, other fields of the header): a type, a link's target, pax headers."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, data, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
