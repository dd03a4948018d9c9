"""Bad pictures, lists, tars of tars, development kits and folders of classes."""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import loaders
from loaders import SourceProblem
from loaders.ilsvrc import layout, lists
from loaders.sources.folder import SourceFolder
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.refusals import in_time, refused, refused_rows, says


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


def with_png(folder: Path, file: bytes) -> Path:
    archives.downsampled(folder)
    members = [("valid_32x32/00001.png", archives.png(archives.pictures(1, 32, 1)[0])), ("valid_32x32/00002.png", file)]
    (folder / "valid_32x32.tar").write_bytes(writers.tar(members))
    return folder / "valid_32x32.tar"


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG that is nothing but its dimensions."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + end


@pytest.mark.keeps("S11")
@pytest.mark.parametrize(
    ("file", "cause"),
    [
        (archives.png(archives.pictures(1, 64, 0)[0]), "found: RGB 64x64"),
        (archives.png(archives.pictures(1, 8, 0)[0]), "found: RGB 8x8"),
        (archives.png(archives.pictures(1, 32, 0)[0][:, :, 0]), "found: L 32x32"),
        (writers.jpeg(archives.pictures(1, 32, 0)[0]), "no PNG"),
        (archives.png(archives.pictures(1, 32, 0)[0])[:-200], "found: "),
        (archives.png(archives.pictures(1, 32, 0)[0])[:20], "found: "),
        (png_header(60_000, 60_000), "found: "),
        (png_header(2**31 - 1, 2**31 - 1), "found: "),
        (png_header(32, 32), "found: "),
        (png_header(32, 32, 16), "found: "),
        (png_header(0, 0), "found: "),
        (b"", "no PNG"),
    ],
    ids=["64", "8", "grey", "jpeg", "cut", "stub", "bomb", "largest", "empty", "16 bits", "none", "nothing"],
)
def test_an_image_that_is_no_rgb_png_of_its_size(file: bytes, cause: str, tmp_path: Path) -> None:
    path = with_png(tmp_path, file)
    says(refused("downsampled_imagenet", "32x32", tmp_path), path, "RGB PNG of 32x32", cause)


@pytest.mark.keeps("S24")
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.95])
def test_a_png_with_a_damaged_byte(place: float, tmp_path: Path) -> None:
    """Also near its end, where the deflate stream goes on making sense and only checksums tell."""
    file = bytearray(archives.png(archives.pictures(1, 32, 0)[0]))
    file[int(place * len(file))] ^= 1
    path = with_png(tmp_path, bytes(file))
    says(refused("downsampled_imagenet", "32x32", tmp_path), path, "RGB PNG of 32x32")


@pytest.mark.keeps("S14")
@pytest.mark.parametrize("name", ["valid_32x32/readme.txt", "valid_32x32/1.jpg", "valid_32x32/one.png"])
def test_a_tar_of_pictures_with_another_member(name: str, tmp_path: Path) -> None:
    archives.downsampled(tmp_path)
    path = tmp_path / "valid_32x32.tar"
    path.write_bytes(writers.tar([(name, b"...")]))
    says(refused("downsampled_imagenet", "32x32", tmp_path), path, repr(name), "numbered PNG")


@pytest.mark.keeps("S15", "S21")
@pytest.mark.parametrize("other", ["./valid_32x32", "other/valid_32x32", "other", "."])
def test_a_tar_of_pictures_with_one_number_in_two_folders(other: str, tmp_path: Path) -> None:
    archives.downsampled(tmp_path)
    path, file = tmp_path / "valid_32x32.tar", archives.png(archives.pictures(1, 32, 1)[0])
    names = ["valid_32x32/00001.png", "valid_32x32/00002.png", f"{other}/00002.png", f"{other}/00003.png"]
    path.write_bytes(writers.tar((name, file) for name in names))
    says(refused("downsampled_imagenet", "32x32", tmp_path), path, names[1], names[2], "more than once")


def test_a_tar_of_pictures_in_several_folders(tmp_path: Path) -> None:
    laid = archives.downsampled(tmp_path)
    pictures = archives.pictures(archives.SPLITS["train"], 32, 0)
    members = [(f"./part{n % 3}/{n:07d}.png", archives.png(picture)) for n, picture in enumerate(pictures, 1)]
    (tmp_path / "train_32x32.tar").write_bytes(writers.tar(members))
    contract.every_image_and_label_is_what_was_laid_out(laid, "32x32", tmp_path)


@pytest.mark.keeps("S7")
@pytest.mark.parametrize(
    ("config", "name", "wrong"),
    [
        ("32x32", "train_32x32", "valid_32x32"),
        ("32x32", "valid_32x32", "train_32x32"),
        ("64x64", "valid_64x64", "valid_32x32"),
    ],
)
def test_a_tar_of_pictures_under_the_name_of_another(config: str, name: str, wrong: str, tmp_path: Path) -> None:
    archives.downsampled(tmp_path)
    path = tmp_path / f"{name}.tar"
    path.write_bytes((tmp_path / f"{wrong}.tar").read_bytes())
    says(refused("downsampled_imagenet", config, tmp_path), path, f"the folder {wrong}", f"{wrong}.tar")


@pytest.mark.keeps("S25", "S12")
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda names: [*names, names[3]], "more than once"),
        (lambda names: [*names, "n00000000.JPEG"], "1 is no name of a photograph of train: 'n00000000.JPEG'"),
        (lambda names: [*names, "../n01440764_1.JPEG"], "Expected names like"),
        (lambda names: [*names, "n01440764_é.JPEG"], "Expected names like"),
    ],
)
def test_a_list_that_is_none(change: Callable[[list[str]], list[str]], cause: str, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    path = tmp_path / "1percent.txt"
    path.write_text("\n".join(change(path.read_text().split())), encoding="utf-8")
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, cause)


@pytest.mark.keeps("S25")
def test_a_listed_photograph_that_is_not_there(tmp_path: Path) -> None:
    laid = archives.subset(tmp_path)
    with (tmp_path / "1percent.txt").open("a") as file:
        file.write("n01440764_999.JPEG\n")
    text = refused_rows("imagenet2012_subset", "1pct", tmp_path)
    says(text, tmp_path / "ILSVRC2012_img_train.tar", "1percent.txt", "n01440764_999.JPEG", "1 of the")
    train, _ = contract.plans("imagenet2012_subset", "1pct", tmp_path)
    assert dict(train.skipped) == {"listed in 1percent.txt, not in the archive": 1}
    contract.same(contract.read(train), laid, "1pct", "train")


@pytest.mark.keeps("S25")
def test_a_list_of_other_photographs_only(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    (tmp_path / "1percent.txt").write_text("n01440764_999.JPEG\n")
    says(
        refused("imagenet2012_subset", "1pct", tmp_path),
        tmp_path / "ILSVRC2012_img_train.tar",
        "1 of the 1 files",
        "Download it again.",
    )


PHOTO = ("n01440764_1.JPEG", b"\xff\xd8")


@pytest.mark.parametrize(
    ("outer", "cause"),
    [
        ([("n01440764.tar", writers.tar([("n01443537_1.JPEG", b"")]))], "n01443537_1.JPEG"),
        ([("n01440764.tar", writers.tar([("readme.txt", b"")]))], "readme.txt"),
        ([("n99999999.tar", writers.tar([PHOTO]))], "n99999999.tar"),
        ([("n01440764", writers.tar([PHOTO]))], "one tar a class"),
        ([("n01440764.tar", writers.tar([PHOTO])[:512])], "cut short"),
        ([("n01440764.tar", writers.tar([PHOTO])[:1024])], "end mark"),
        ([("n01440764.tar", b"not a tar" * 100)], "no tar header"),
        ([("n01440764.tar", writers.tar([PHOTO, PHOTO]))], "more than once"),
        ([("n01440764.tar", writers.tar([PHOTO]))] * 2, "more than once"),
        ([("n01440764.tar", writers.tar([PHOTO])), ("./n01440764.tar", writers.tar([PHOTO]))], "n01440764"),
    ],
    ids=["class", "extra", "unknown", "no tar", "cut", "boundary", "text", "twice", "tar twice", "spelt twice"],
)
def test_a_train_tar_that_is_none(outer: list[writers.Member], cause: str, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    path = tmp_path / "ILSVRC2012_img_train.tar"
    path.write_bytes(writers.tar(outer))
    (tmp_path / "1percent.txt").write_text("n01440764_1.JPEG\n")
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, cause)


@pytest.mark.keeps("S14")
def test_litter_in_the_train_tar_is_counted(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    inner = writers.tar([PHOTO, ("._n01440764_1.JPEG", b"..."), (".DS_Store", b"...")])
    tars = [("n01440764.tar", inner), ("._n01440764.tar", b"...")]
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(writers.tar(tars))
    (tmp_path / "1percent.txt").write_text("n01440764_1.JPEG\n")
    train, _ = contract.plans("imagenet2012_subset", "1pct", tmp_path)
    assert train.rows == 1
    assert dict(train.skipped) == {"macOS metadata": 3}


@pytest.mark.parametrize("number", [0, 50_001, 99_999_999])
def test_a_validation_photograph_of_no_number(number: int, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    writers.write_ilsvrc_validation(tmp_path, [(1, b""), (number, b"")])
    text = refused("imagenet2012_subset", "1pct", tmp_path)
    says(text, tmp_path / "ILSVRC2012_img_val.tar", f"ILSVRC2012_val_{number:08d}.JPEG", "00050000.JPEG")


@pytest.mark.keeps("S15", "S21")
@pytest.mark.parametrize("again", ["ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000001.JPEG"])
def test_a_validation_photograph_twice(again: str, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    path = tmp_path / "ILSVRC2012_img_val.tar"
    path.write_bytes(writers.tar([("ILSVRC2012_val_00000001.JPEG", b"1"), (again, b"2")]))
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, "ILSVRC2012_val_00000001.JPEG")


@pytest.mark.keeps("S17")
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda ids: [0, *ids[1:]], "class id 0"),
        (lambda ids: [*ids[:-1], 1001], "class id 1001"),
        (lambda ids: [-5, *ids[1:]], "class id -"),
        (lambda ids: ["n01440764", *ids[1:]], "class id"),
        (lambda ids: ids[:-1], "49,999 class ids, expected 50,000"),
        (lambda ids: [], "0 class ids"),
    ],
)
@pytest.mark.parametrize("shape", ["archive", "text"])
def test_a_development_kit_with_other_ids(
    change: Callable[[list[Any]], list[Any]], cause: str, shape: str, tmp_path: Path
) -> None:
    archives.subset(tmp_path)
    text = archives.truth_text(change(archives.truth_ids()))
    if shape == "text":
        path = tmp_path / archives.TRUTH
        path.write_bytes(text)
    else:
        archives.devkit(tmp_path, text)
        path = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, cause)


def test_a_development_kit_without_labels(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    path = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    path.write_bytes(writers.tar([("ILSVRC2012_devkit_t12/readme.txt", b"")]))
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, archives.TRUTH)


def with_v2(folder: Path, photos: list[tuple[str, str, bytes]]) -> Path:
    writers.write_v2(folder, "topimages", photos)
    return folder / "imagenetv2-top-images.tar.gz"


def whole(count: int, per_class: int = 10) -> list[tuple[str, str, bytes]]:
    return [(str(label), f"{n:x}.jpeg", b"") for label in range(count) for n in range(per_class)]


@pytest.mark.keeps("S20", "S18")
def test_a_v2_archive_with_999_classes(tmp_path: Path) -> None:
    path = with_v2(tmp_path, [photo for photo in whole(1000) if photo[0] != "100"])
    says(refused_rows("imagenet_v2", "topimages", tmp_path), path, "999 classes", "class 100 has 0", "1000 classes")


@pytest.mark.keeps("S20", "S18")
def test_a_v2_archive_with_all_rows_but_not_ten_a_class(tmp_path: Path) -> None:
    photos = [photo for photo in whole(1000) if photo[:2] != ("7", "3.jpeg")]
    path = with_v2(tmp_path, [*photos, ("8", "extra.jpeg", b"")])
    says(refused_rows("imagenet_v2", "topimages", tmp_path), path, "10 photographs in each", "class 7 has 9")


def test_a_v2_archive_of_ten_a_class_is_taken(tmp_path: Path) -> None:
    with_v2(tmp_path, whole(1000))
    loader = loaders.load("imagenet_v2")
    known = loader.config("topimages")
    (plan,) = loader.plan(known, loader.find(known, SourceFolder(tmp_path)), False)
    assert (plan.rows, len(plan.jobs)) == (10_000, 16)


@pytest.mark.parametrize(
    ("photo", "cause"),
    [
        (("1000", "a.jpeg", b""), "1000/a.jpeg"),
        (("-1", "a.jpeg", b""), "-1/a.jpeg"),
        (("n00000000", "a.jpeg", b""), "'n00000000' is none of the 1000 classes"),
        (("999", "a.png", b""), "999/a.png"),
        (("999", "b/a.jpeg", b""), "999/b/a.jpeg"),
        (("1", "a.jpeg", b""), "1/a.jpeg' more than once"),
        (("01", "a.jpeg", b""), "1/a.jpeg"),
        (("n01443537", "a.jpeg", b""), "1/a.jpeg"),  # the same class in the other layout
    ],
)
def test_a_v2_archive_with_another_member(photo: tuple[str, str, bytes], cause: str, tmp_path: Path) -> None:
    path = with_v2(tmp_path, [("1", "a.jpeg", b""), ("2", "b.jpeg", b""), photo])
    says(refused("imagenet_v2", "topimages", tmp_path), path, cause)


@pytest.mark.keeps("S30")
@pytest.mark.parametrize(
    ("text", "cause"),
    [(b"9" * 100_000, "the class id"), (b"9" * 4000, "the class id"), (b"1 " * (1 << 20), "at most 1,048,576")],
)
def test_a_ground_truth_of_huge_numbers_or_of_megabytes(text: bytes, cause: str, tmp_path: Path) -> None:
    (tmp_path / layout.TRUTH).write_bytes(text)
    with pytest.raises(SourceProblem, match=cause) as caught:
        layout.truth_labels(tmp_path / layout.TRUTH)
    assert len(str(caught.value)) < 400


@pytest.mark.keeps("S30")
def test_a_list_of_megabytes_and_one_with_huge_numbers(tmp_path: Path) -> None:
    path = tmp_path / "1percent.txt"
    path.write_bytes(b"n01440764_" + b"1" * 100_000 + b".JPEG")
    for change in (lambda: None, lambda: path.write_bytes(b"\n" * 2_600_000), lambda: os.truncate(path, (1 << 26) + 1)):
        change()
        with pytest.raises(SourceProblem) as caught:
            lists.read(path)
        assert len(str(caught.value)) < 400
