"""Small archives in the upstream formats, drawn by code: every dataset can be built without an account or a download.

`write` draws the whole sample. The writers under it take their rows as arguments, one writer a format, so that tests
lay out other rows, and broken ones, in the very same formats: Chrabaszcz et al.'s npz zips, van den Oord et al.'s tars
of PNG files, ILSVRC 2012's tars, SimCLR's lists, and ImageNetV2's tars.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from loaders import classes
from loaders.ilsvrc import layout
from publish.sample.drawing import U8, draw
from publish.sample.sidecar import write_sidecar

Member = tuple[str, bytes]  # a name that ends in "/" is a folder

Labels = npt.NDArray[np.int64]

SIZES = (8, 16, 32, 64)
V2 = {"matched-frequency": "matched-frequency", "threshold-0.7": "threshold0.7", "topimages": "top-images"}
APPLE_DOUBLE = b"\0\5\x16\7" + bytes(28)  # the start of what macOS leaves beside a file as "._NAME"

# Which variations of the drawings go where, so that no two splits share a picture.
_SPLITS = {"train": (0, 1), "validation": (2,)}

_SUBSET, _SUBSET_VALIDATION, _V2 = (3, 4, 5), 6, 7

_CMYK, _GREY, _ROTATED, _PNG = 0, 1, 2, 3  # ILSVRC labels whose first photograph is an odd one

_SEED = 2012


def write(folder: Path) -> None:
    """Draw small archives of all five datasets into the folder, and the sidecar that vouches for them."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.arange(classes.COUNT)
    drawn = {split: np.concatenate([draw(labels, v, 64, 64) for v in kinds]) for split, kinds in _SPLITS.items()}
    rows: dict[str, dict[str, int]] = {}
    for write_dataset in (_write_resized, _write_downsampled):
        rows |= write_dataset(folder, drawn)
    rows |= _write_subset(folder)
    rows |= _write_v2(folder)
    write_sidecar(folder, "sample", rows)


def _write_resized(folder: Path, drawn: Mapping[str, U8]) -> dict[str, dict[str, int]]:
    clsloc = np.argsort(classes.clsloc_to_ilsvrc())  # ILSVRC label -> the authors' label
    order = {split: np.random.PCG64(_SEED).random_raw(len(pictures)).argsort() for split, pictures in drawn.items()}
    labels = {split: np.tile(clsloc + 1, len(kinds))[order[split]] for split, kinds in _SPLITS.items()}
    for size in SIZES:
        pixels = {split: planar(box(pictures[order[split]], size)) for split, pictures in drawn.items()}
        write_train_zips(folder, size, train_batches(pixels["train"], labels["train"]))
        write_validation_zip(folder, size, {"data": pixels["validation"], "labels": labels["validation"]})
    return {f"imagenet_resized/{size}x{size}": {split: len(d) for split, d in drawn.items()} for size in SIZES}


def _write_downsampled(folder: Path, drawn: Mapping[str, U8]) -> dict[str, dict[str, int]]:
    for size in (32, 64):
        for split, pictures in drawn.items():
            write_downsampled(folder, size, split, box(pictures, size))
    return {f"downsampled_imagenet/{s}x{s}": {split: len(d) for split, d in drawn.items()} for s in (32, 64)}


def _write_subset(folder: Path) -> dict[str, dict[str, int]]:
    """Write three photographs a class: one in both lists, one in the longer list, one in neither."""
    labels = np.arange(classes.COUNT)
    shapes = ((96, 80), (80, 96), (108, 81))
    drawn = [draw(labels, kind, *shape) for kind, shape in zip(_SUBSET, shapes, strict=True)]
    photos = {
        wnid: [(f"{wnid}_{n + 1}.JPEG", odd_photo(wnid, n, photo[label])) for n, photo in enumerate(drawn)]
        for label, wnid in enumerate(classes.wnids("ilsvrc"))
    }
    write_ilsvrc_train(folder, photos)
    for name, count in (("1percent.txt", 1), ("10percent.txt", 2)):
        write_list(folder / name, (file for files in photos.values() for file, _ in files[:count]))
    validation = draw(labels, _SUBSET_VALIDATION, 96, 80)
    write_ilsvrc_validation(folder, zip(first_of_each_class(), map(jpeg, validation), strict=True))
    counts = {"1pct": len(photos), "10pct": 2 * len(photos)}
    return {f"imagenet2012_subset/{c}": {"train": n, "validation": len(labels)} for c, n in counts.items()}


def odd_photo(wnid: str, number: int, picture: U8) -> bytes:
    """Return a JPEG, except for four first photographs that are as odd as ILSVRC has them: CMYK, PNG, grey, rotated."""
    image = Image.fromarray(picture)
    odd = classes.label_of_wnid("ilsvrc")[wnid] if number == 0 else -1
    if odd == _CMYK:
        return encoded(image.convert("CMYK"), "JPEG", quality=90)
    if odd == _PNG:
        return encoded(image, "PNG")
    if odd == _GREY:
        return encoded(image.convert("L"), "JPEG", quality=90)
    if odd == _ROTATED:
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to show
        return encoded(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=90, exif=exif)
    return jpeg(picture)


def _write_v2(folder: Path) -> dict[str, dict[str, int]]:
    labels = np.arange(classes.COUNT)
    for place, config in enumerate(V2):
        shapes = ((96, 80), (80, 96))
        photos = [
            (str(label), v2_name(config, n, label), jpeg(picture))
            for n, shape in enumerate(shapes)
            for label, picture in enumerate(draw(labels, _V2 + 2 * place + n, *shape))
        ]
        write_v2(folder, config, sorted(photos), compressed=config == "topimages", littered=config == "threshold-0.7")
    rows = {f"imagenet_v2/{config}": {"test": 2 * len(labels)} for config in V2}
    resized = {config.replace("-", "_"): 2 * len(labels) for config in V2}
    return rows | {f"imagenet_v2_resized/{size}x{size}": resized for size in SIZES}


def v2_name(config: str, number: int, label: int) -> str:
    """Return a file name of 40 bits in hex, as V2's are, that is never the same twice."""
    return f"{(list(V2).index(config) * 10_000 + number * 1000 + label + 1) * 2654435761 % 2**40:010x}.jpeg"


# Pixels


def box(pictures: U8, size: int) -> U8:
    """Resize uint8 [N, S, S, 3] to [N, size, size, 3] with Pillow's BOX filter, as Chrabaszcz et al. did.

    All at once, one above the other: `size` divides S, so that no pixel takes from the next picture.
    """
    count, side, _, _ = pictures.shape
    column = Image.fromarray(np.ascontiguousarray(pictures).reshape(count * side, side, 3))
    resized = column.resize((size, count * size), Image.Resampling.BOX)
    return np.asarray(resized).reshape(count, size, size, 3)


def planar(pictures: U8) -> U8:
    """Return uint8 [N, 3 S S], all red, then green, then blue, of uint8 [N, S, S, 3]."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).reshape(len(pictures), -1)


def jpeg(picture: U8) -> bytes:
    """Return a picture, uint8 [H, W, 3], as JPEG."""
    return encoded(Image.fromarray(picture), "JPEG", quality=88)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Containers, without a clock: the same members are the same bytes


def write_zip(path: Path, members: Iterable[Member], *, deflated: bool = False) -> None:
    """Write a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if deflated and data else zipfile.ZIP_STORED
            archive.writestr(info, data)


def tar(members: Iterable[Member]) -> bytes:
    """Return a plain tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return a compressed npz."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, file.getvalue(), compresslevel=1)
    return buffer.getvalue()


# Upstream's archives


def train_batches(pixels: U8, labels: Labels) -> list[dict[str, npt.NDArray[Any]]]:
    """Return ten batches of data (uint8 [N, 3 S S]), labels (1-based) and the mean of all of data."""
    mean = pixels.mean(axis=0)
    parts = zip(np.array_split(pixels, 10), np.array_split(labels, 10), strict=True)
    return [{"data": data, "labels": numbers, "mean": mean} for data, numbers in parts]


def write_train_zips(
    folder: Path, size: int, batches: Iterable[Mapping[str, npt.NDArray[Any]]], *, deflated: bool = False
) -> None:
    """Write train batches as upstream does: one zip, two of five batches each at 64x64."""
    members = [(f"train_data_batch_{n}.npz", npz(batch)) for n, batch in enumerate(batches, 1)]
    half = (len(members) + 1) // 2
    parts = {"_part1": members[:half], "_part2": members[half:]} if size == 64 else {"": members}
    for part, held in parts.items():
        stem = f"Imagenet{size}_train{part}_npz"
        write_zip(folder / f"{stem}.zip", [(f"{stem}/", b""), *held] if deflated else held, deflated=deflated)


def write_validation_zip(
    folder: Path, size: int, batch: Mapping[str, npt.NDArray[Any]], *, deflated: bool = False
) -> None:
    """Write the validation batch."""
    write_zip(folder / f"Imagenet{size}_val_npz.zip", [("val_data.npz", npz(batch))], deflated=deflated)


def write_downsampled(folder: Path, size: int, split: str, pictures: U8) -> None:
    """Write uint8 [N, size, size, 3] as numbered PNG files in a folder in a tar."""
    stem, digits = ("train", 7) if split == "train" else ("valid", 5)
    top = f"{stem}_{size}x{size}"
    files = (encoded(Image.fromarray(picture), "PNG", compress_level=1) for picture in pictures)
    members = ((f"{top}/{n:0{digits}d}.png", file) for n, file in enumerate(files, 1))
    (folder / f"{top}.tar").write_bytes(tar([(f"{top}/", b""), *members]))


def write_ilsvrc_train(folder: Path, photos: Mapping[str, Iterable[Member]]) -> None:
    """Write {wnid: its photographs} as a tar of one tar a class."""
    tars = ((f"{wnid}.tar", tar(members)) for wnid, members in photos.items())
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar(tars))


def write_ilsvrc_validation(folder: Path, photos: Iterable[tuple[int, bytes]]) -> None:
    """Write (number from 1 to 50,000, photograph) as a flat tar."""
    members = ((f"ILSVRC2012_val_{number:08d}.JPEG", photo) for number, photo in photos)
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(members))


def first_of_each_class() -> list[int]:
    """Return 1000 numbers of validation photographs, the first of each class, by ILSVRC label."""
    _, first = np.unique(layout.validation_labels(), return_index=True)
    return [int(number) + 1 for number in first]


def write_list(path: Path, names: Iterable[str]) -> None:
    """Write a list of SimCLR's: a name a line."""
    path.write_text("".join(f"{name}\n" for name in names), encoding="ascii")


def write_v2(
    folder: Path,
    config: str,
    photos: Iterable[tuple[str, str, bytes]],
    *,
    compressed: bool = False,
    littered: bool = False,
) -> None:
    """Write (class folder, name, photograph) as V2's tar, gzip or plain, with or without litter of macOS."""
    top = f"imagenetv2-{V2[config]}-format-val"
    members = list(_v2_members(top, photos, littered))
    data = tar(members)
    packed = gzip.compress(data, compresslevel=1, mtime=0) if compressed else data
    (folder / f"imagenetv2-{V2[config]}.tar.gz").write_bytes(packed)


def _v2_members(top: str, photos: Iterable[tuple[str, str, bytes]], littered: bool) -> Iterator[Member]:
    yield f"{top}/", b""
    if littered:
        yield f"{top}/._.DS_Store", APPLE_DOUBLE
    for number, (place, name, photo) in enumerate(photos):
        if littered and number % 500 == 0:
            yield f"{top}/{place}/._{name}", APPLE_DOUBLE
        yield f"{top}/{place}/{name}", photo
