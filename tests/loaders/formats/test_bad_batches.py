"""Bad batches of imagenet_resized: labels, shapes, headers, members, and code that must not run."""

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from publish.sample import archives as writers
from publish.sample.sidecar import write_sidecar
from tests.kit import archives, contract
from tests.kit.refusals import flip, in_time, refused, says

TRAIN, VALIDATION = "Imagenet8_train_npz.zip", "Imagenet8_val_npz.zip"


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


def with_validation(folder: Path, **changed: Any) -> Path:
    """Lay out 8x8 with a validation batch that has other arrays; None takes one away."""
    archives.resized(folder, [8])
    _, batch = archives.resized_batches(8)
    arrays = {name: values for name, values in (batch | changed).items() if values is not None}
    writers.write_validation_zip(folder, 8, arrays)
    return folder / VALIDATION


@pytest.mark.keeps("S17", "S19")
@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ([0, *range(1, 20)], "from 1 to 1000, found 0"),
        ([*range(1, 20), 1001], "from 1 to 1000, found 1001"),
        ([-1, *range(1, 20)], "from 1 to 1000, found -1"),
        (np.array([2**64 - 1] * 20, np.uint64), "from 1 to 1000, found"),
        (np.arange(1.0, 21.0), "labels of integers [20], found float64"),
        (np.array([np.nan] * 20), "labels of integers [20], found float64"),
        (np.array(["1"] * 20), "labels of integers [20], found <U1"),
        (np.array([True] * 20), "labels of integers [20], found bool"),
        (range(1, 20), "labels of integers [20], found int64 [19]"),
        (range(1, 22), "labels of integers [20], found int64 [21]"),
        (np.ones((20, 1), np.int64), "found int64 [20, 1]"),
        (np.int64(1), "found int64 []"),
        (None, "has no labels"),
    ],
)
def test_labels_that_are_none(values: Any, cause: str, tmp_path: Path) -> None:
    path = with_validation(tmp_path, labels=values if values is None else np.array(values))
    says(refused("imagenet_resized", "8x8", tmp_path), path, "val_data.npz", cause)


@pytest.mark.keeps("S19")
@pytest.mark.parametrize(
    ("values", "cause"),
    [
        (np.zeros((20, 191), np.uint8), "found uint8 [20, 191]"),
        (np.zeros((20, 3, 8, 8), np.uint8), "found uint8 [20, 3, 8, 8]"),
        (np.zeros((20, 192), np.float32), "found float32 [20, 192]"),  # as from a copy with the mean taken off
        (np.zeros((20, 192), np.int8), "found int8 [20, 192]"),
        (np.zeros((0,), np.uint8), "found uint8 [0]"),
        (np.asfortranarray(np.zeros((20, 192), np.uint8)), "not what it holds"),
        (np.uint8(0), "found uint8 []"),
        (None, "has no data"),
    ],
)
def test_data_of_another_shape(values: Any, cause: str, tmp_path: Path) -> None:
    path = with_validation(tmp_path, data=values)
    says(refused("imagenet_resized", "8x8", tmp_path), path, "val_data.npz", cause)


@pytest.mark.keeps("S16")
def test_no_rows_at_all(tmp_path: Path) -> None:
    path = with_validation(tmp_path, data=np.zeros((0, 192), np.uint8), labels=np.zeros(0, np.int64))
    says(refused("imagenet_resized", "8x8", tmp_path), path, "found 0")


@pytest.mark.keeps("S9")
def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = with_validation(tmp_path)
    member = io.BytesIO()
    np.savez(member, data=np.zeros((20, 192), np.uint8), labels=np.array([Bomb(marker)] * 20, object))
    writers.write_zip(path, [("val_data.npz", member.getvalue())])
    says(refused("imagenet_resized", "8x8", tmp_path), path, "labels.npy", "Python objects", "not unpickled")
    assert not marker.exists()


class Bomb:
    """What would create a file if anything unpickled it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def npy(header: str, data: bytes) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def with_member(folder: Path, header: str, data: bytes = b"", claimed: int | None = None) -> Path:
    """Lay out 8x8 with a validation batch whose data has a header of its own, and whose zip claims a size for it."""
    archives.resized(folder, [8])
    member = io.BytesIO()
    count = 20 if claimed is None else claimed // 192
    labels = npy(f"{{'descr':'|u1','fortran_order':False,'shape':({count},)}}", b"\1" * 20)
    with zipfile.ZipFile(member, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("data.npy", npy(header, data)), ("labels.npy", labels)):
            archive.writestr(zipfile.ZipInfo(name), content)
        if claimed is not None:
            archive.filelist[0].file_size = len(npy(header, b"")) + claimed
            archive.filelist[1].file_size = len(labels) - 20 + count
    writers.write_zip(folder / VALIDATION, [("val_data.npz", member.getvalue())])
    return folder / VALIDATION


HUGE = "{'descr':'|u1','fortran_order':False,'shape':(100000000,192)}"


@pytest.mark.keeps("S10")
@pytest.mark.parametrize("claimed", [None, 192 * 10**8])
def test_a_header_that_claims_gigabytes(claimed: int | None, tmp_path: Path) -> None:
    path = with_member(tmp_path, HUGE, bytes(192), claimed)
    tracemalloc.start()
    try:
        says(refused("imagenet_resized", "8x8", tmp_path), path, "val_data.npz")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.keeps("S10")
@pytest.mark.parametrize(
    "header",
    [
        "{'descr':'|u1','fortran_order':False,'shape':(20,192)",
        "{'descr':'|u1','fortran_order':False,'shape':((((((((",
        "{'descr':'|u1','fortran_order':False,'shape':('a',192)}",
        "{'descr':'|u1','fortran_order':False,'shape':(-20,-192)}",
        "{'descr':'nothing','fortran_order':False,'shape':(20,192)}",
        "{'descr':[('a','O')],'fortran_order':False,'shape':(20,192)}",
        "{'descr':'f8,(','fortran_order':False,'shape':(20,192)}",
        "{'descr':'|O','fortran_order':False,'shape':(20,192)}",
        "{'descr':'(1 2,)u1','fortran_order':False,'shape':(20,192)}",
        "{'descr':[('a','u1')],'fortran_order':False,'shape':(20,192)}",
        "{'descr':'|u1','fortran_order':False,'shape':(0x" + "f" * 9000 + ",)}",
        "{'descr':'|u1','fortran_order':False,'shape':(" + "9" * 900 + ",192)}",
        "{'descr':'|u1','fortran_order':False,'shape':(" + "1," * 400 + ")}",
        "{'descr':'|u1','descr':'|u1','shape':(20,192)}",
        "{'shape':(20,192)}",
        "__import__('os').getcwd()",
        "\0\0\0",
        " " * 20_000,
        "",
    ],
)
def test_a_header_that_is_none(header: str, tmp_path: Path) -> None:
    path = with_member(tmp_path, header, bytes(20 * 192))
    says(refused("imagenet_resized", "8x8", tmp_path), path, "val_data.npz", "data")


@pytest.mark.keeps("S16")
@pytest.mark.parametrize(
    ("numbers", "cause"),
    [
        ([n for n in range(1, 11) if n != 9], "found train_data_batch_1, "),
        (range(1, 12), "train_data_batch_11"),
        ([*range(1, 11), 0], "found val_data"),
        ([], "found none"),
    ],
)
def test_a_batch_too_few_or_too_many(numbers: Any, cause: str, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    (batch, *_), _ = archives.resized_batches(8)
    writers.write_zip(tmp_path / TRAIN, [(f"train_data_batch_{n}.npz", writers.npz(batch)) for n in numbers])
    says(refused("imagenet_resized", "8x8", tmp_path), tmp_path / TRAIN, "expected train_data_batch_1, ", cause)


@pytest.mark.keeps("S15")
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", ["train_data_batch_3.npz", "folder/train_data_batch_3.npz", "train_data_batch_03.npz"])
def test_a_batch_that_is_there_twice(name: str, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    with zipfile.ZipFile(tmp_path / TRAIN, "a") as archive:
        archive.writestr(name, archive.read("train_data_batch_2.npz"))
    says(refused("imagenet_resized", "8x8", tmp_path), tmp_path / TRAIN, "more than once")


@pytest.mark.keeps("S15")
@pytest.mark.parametrize("layout", ["zip", "pickles"])
def test_one_batch_under_two_names(layout: str, tmp_path: Path) -> None:
    batches, _ = archives.resized_batches(8)
    if layout == "zip":
        archives.resized(tmp_path, [8])
        writers.write_train_zips(tmp_path, 8, [*batches[:6], batches[2], *batches[7:]])
        names = [f"{tmp_path / TRAIN}:train_data_batch_{n}.npz" for n in (3, 7)]
    else:
        archives.resized_pickles(tmp_path, [8])
        names = [str(tmp_path / "Imagenet8_train" / f"train_data_batch_{n}") for n in (3, 7)]
        Path(names[1]).write_bytes(Path(names[0]).read_bytes())
    says(refused("imagenet_resized", "8x8", tmp_path), f"{names[1]}: is {names[0]} under another name")


@pytest.mark.keeps("S16")
@pytest.mark.parametrize("more", [-1, 1])
def test_a_row_too_few_or_too_many(more: int, tmp_path: Path) -> None:
    """All batches are there, and one of them is of another length."""
    rows = archives.SPLITS["train"]
    archives.resized(tmp_path, [8])
    write_sidecar(tmp_path, "regenerated", {"imagenet_resized/8x8": {"train": rows + more, "validation": 20}})
    text = refused("imagenet_resized", "8x8", tmp_path, False)
    says(text, tmp_path / TRAIN, f"has {rows + more} train rows, found {rows}")


@pytest.mark.keeps("S12", "S14")
@pytest.mark.parametrize(
    "name",
    ["readme.txt", "../train_data_batch_3.npz", "/train_data_batch_3.npz", "C:\\val_data.npz", "a/b/val.npz"],
)
def test_a_zip_with_another_member(name: str, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    with zipfile.ZipFile(tmp_path / TRAIN, "a") as archive:
        archive.writestr(name, b"...")
    says(refused("imagenet_resized", "8x8", tmp_path), tmp_path / TRAIN, repr(name), "expected only members named")


@pytest.mark.keeps("S14")
def test_litter_in_a_zip_is_skipped_and_counted(tmp_path: Path) -> None:
    laid = archives.resized(tmp_path, [8])
    with zipfile.ZipFile(tmp_path / TRAIN, "a") as archive:
        for name in ("__MACOSX/._train_data_batch_1.npz", ".DS_Store", "Thumbs.db"):
            archive.writestr(name, b"...")
    train, validation = contract.plans("imagenet_resized", "8x8", tmp_path)
    assert dict(train.skipped) == {"macOS metadata": 2, "Windows metadata": 1}
    assert not validation.skipped
    contract.every_image_and_label_is_what_was_laid_out(laid, "8x8", tmp_path)


@pytest.mark.parametrize("where", ["outer", "inner"])
def test_an_encrypted_member(where: str, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    _, batch = archives.resized_batches(8)
    inner = writers.npz(batch)
    path = tmp_path / VALIDATION
    writers.write_zip(path, [("val_data.npz", encrypted(inner) if where == "inner" else inner)], deflated=True)
    if where == "outer":
        path.write_bytes(encrypted(path.read_bytes()))
    says(refused("imagenet_resized", "8x8", tmp_path), path, "encrypted")


def encrypted(data: bytes) -> bytes:
    """Return a zip whose members say that they are encrypted."""
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        parts = data.split(signature)
        data = signature.join([parts[0], *(p[: place - 4] + b"\1" + p[place - 3 :] for p in parts[1:])])
    return data


@pytest.mark.keeps("S10")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("where", ["outer", "inner"])
def test_another_compression(method: int, where: str, tmp_path: Path) -> None:
    """Of which a small file may ask for any memory."""
    archives.resized(tmp_path, [8])
    member, outer = io.BytesIO(), tmp_path / VALIDATION
    with zipfile.ZipFile(member, "w", method) as archive:
        archive.writestr("data.npy" if where == "inner" else "val_data.npz", bytes(1000))
    if where == "outer":
        outer.write_bytes(member.getvalue())
    else:
        writers.write_zip(outer, [("val_data.npz", member.getvalue())])
    says(refused("imagenet_resized", "8x8", tmp_path), outer, "stored or deflated")


@pytest.mark.keeps("S1", "S2")
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("deflated", [False, True])
def test_a_damaged_byte_is_found_without_a_digest(place: float, deflated: bool, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8], deflated=deflated)
    path = tmp_path / VALIDATION
    with zipfile.ZipFile(path) as archive:
        (member,) = [info for info in archive.infolist() if not info.is_dir()]
    flip(path, member.header_offset + 100 + int(place * (member.compress_size - 400)))
    says(refused("imagenet_resized", "8x8", tmp_path), path)


@pytest.mark.keeps("S2")
def test_a_damaged_byte_at_the_start_of_a_deflated_member(tmp_path: Path) -> None:
    """It is met before a batch is known to be one."""
    archives.resized(tmp_path, [8], deflated=True)
    path = tmp_path / VALIDATION
    data = bytearray(path.read_bytes())
    data[data.index(b"val_data.npz") + len(b"val_data.npz")] = 0xFF
    path.write_bytes(data)
    says(refused("imagenet_resized", "8x8", tmp_path), path, "damaged")


@pytest.mark.keeps("S16")
def test_loose_batches_that_are_not_all_there(tmp_path: Path) -> None:
    archives.resized_pickles(tmp_path, [8])
    (tmp_path / "Imagenet8_train/train_data_batch_4").unlink()
    says(refused("imagenet_resized", "8x8", tmp_path), tmp_path / "Imagenet8_train/train_data_batch_5", "batch_4,")
