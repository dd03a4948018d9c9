"""What is said of a folder in which something was not found, and how little of it is looked at."""

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from loaders import classes
from loaders.files import places
from loaders.formats import zips
from loaders.sources import listing, nearby
from loaders.sources.listing import Listing, plain_name
from publish.sample import archives as writers
from tests.kit import archives

WANTED = ["Imagenet32_train_npz.zip", "train_32x32.tar"]


def said(folder: Path) -> list[str]:
    return nearby.lines(Listing(folder), WANTED)


def lay(path: Path, data: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def batch(size: int, protocol: int = 3) -> bytes:
    return archives.pickled(archives.resized_batches(size)[1], protocol, "numpy.core")


def zipped(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the folders that are listed from now on."""
    asked: list[Path] = []

    def entries(folder: Path, most: int) -> dict[str, bool]:
        asked.append(folder)
        return places.entries(folder, most)

    monkeypatch.setattr(listing, "entries", entries)
    return asked


@pytest.mark.keeps("S34")
def test_each_kind_of_file_is_told_by_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "npz.zip", **{"a/train_data_batch_1.npz": writers.npz(archives.resized_batches(16)[1])})
    zipped(tmp_path / "other.zip", **{"readme.txt": b"hello"})
    lay(tmp_path / "val_data", batch(8))
    lay(tmp_path / "a.png", archives.png(archives.pictures(1, 8, 0)[0]))
    lay(tmp_path / "n01440764_18.jpg", b"\xff\xd8\xff\xe0")
    lay(tmp_path / "page.tar", b"<!DOCTYPE html><p>sign in")
    lay(tmp_path / "empty.tar", b"")
    lay(tmp_path / "cut.zip", b"PK\x03\x04")
    lay(tmp_path / "notes.md", b"hello")
    lay(tmp_path / "a.tar.crdownload", b"hello")
    zipped(tmp_path / "val.zip", **{"val/a.JPEG": b"-"})
    zipped(tmp_path / "all.zip", **{f"train/{n}.JPEG": b"" for n in range(100)})
    monkeypatch.setattr(zips, "_DIRECTORY_LIMIT", 1000)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "a.png", "valid_32x32/1.png")
    told = {entry.name: nearby.seems(Listing(tmp_path), entry) for entry in Listing(tmp_path).entries}
    assert told == {
        "npz.zip": "holds 1 npz batch of 16x16",
        "other.zip": "is a zip of 1 files, such as `readme.txt`",
        "val_data": "is a pickled batch of 8x8",
        "a.png": "is a PNG picture, named .png",
        "n01440764_18.jpg": "is a JPEG picture, named .jpg",
        "page.tar": "is a web page, not an archive, named .tar",
        "empty.tar": "is empty",
        "cut.zip": "is a zip that is cut short",
        "val.zip": "is a zip of 1 files, such as `val/a.JPEG`: unpack it, and name the folder",
        "all.zip": "is a zip of very many files, and begins with `train/0.JPEG`: unpack it, and name the folder",
        "a.tar.crdownload": "is a download that was not finished, named .crdownload",
        "notes.md": "is a file, named .md",
        "x.tar.gz": "is a tar that begins with `valid_32x32/1.png`",
    }


@pytest.mark.keeps("S34")
def test_each_kind_of_folder_is_told_by_what_lies_in_it(tmp_path: Path) -> None:
    for wnid in classes.wnids("ilsvrc")[:50]:
        lay(tmp_path / "tars" / f"{wnid}.tar")
        lay(tmp_path / "packed" / f"{wnid}.tar.gz")
        lay(tmp_path / "folders" / wnid / f"{wnid}_1.JPEG")
    lay(tmp_path / "index" / "7" / "a.jpeg")
    lay(tmp_path / "pickles" / "train_data_batch_1", batch(8))
    lay(tmp_path / "loose" / "n01440764_18.jpg")
    lay(tmp_path / "above" / "below" / "x")
    (tmp_path / "none").mkdir()
    shown = Listing(tmp_path)
    told = {entry.name: nearby.seems(shown, entry) for entry in shown.entries if entry.level == 1}
    assert told == {
        "tars": "holds 50 class tars",
        "packed": "holds 50 packed classes: unpack them",
        "folders": "holds 50 class folders",
        "index": "holds 1 folders named by number",
        "pickles": "holds 1 pickled batch of 8x8",
        "loose": "holds 1 files named .jpg, such as `n01440764_18.jpg`",
        "above": "holds folders: `below`",
        "none": "is empty, or was not looked into",
    }


def test_the_likeliest_names_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    for number in range(20):
        lay(tmp_path / f"{number:02d}.bin")
    lay(tmp_path / "train_32x32.tar.part")
    told = said(tmp_path)
    assert told[0] == "`train_32x32.tar.part` is a download that was not finished, named .part"
    assert told[-1] == "and 13 more files and folders"
    assert len(told) == 9


def test_an_empty_folder_has_nothing_to_tell(tmp_path: Path) -> None:
    assert said(tmp_path) == []


@pytest.mark.parametrize("name", ["A.ZIP", "a (1).zip", "A(12).zip", "a copy.zip", "a copy 2.zip", "a - Copy (2).zip"])
def test_spellings_of_one_name(name: str) -> None:
    assert plain_name(name) == "a.zip"


@pytest.mark.parametrize("name", ["b.zip", "a1.zip", "copy.zip", "a.zip.part"])
def test_other_names(name: str) -> None:
    assert plain_name(name) != "a.zip"


def test_links_in_a_circle_and_to_nothing_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "nowhere").symlink_to(tmp_path / "x")
    assert len(Listing(tmp_path).entries) < 12
    assert "`itself` cannot be read" in said(tmp_path)


def test_little_is_listed_of_wide_and_deep_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = watched(monkeypatch)
    monkeypatch.setattr(listing, "_MOST", 100)
    for number in range(300):
        (tmp_path / "wide" / f"{number}").mkdir(parents=True)
    (tmp_path / "1" / "2" / "3" / "4" / "5").mkdir(parents=True)
    assert len(Listing(tmp_path).entries) == 2 + 100 + 1 + 1 + 1
    assert len(asked) == 1 + 2 + 3 + 1


def test_few_folders_of_a_store_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = places.place("memory://nearby")
    for number in range(30):
        for inner in ("a", "b"):
            places.remote(store).fs.pipe_file(f"/nearby/{number}/{inner}/x.bin", b"x")
    asked = watched(monkeypatch)
    shown = Listing(store)
    assert len(asked) == 0
    assert len(shown.entries) > 30
    assert len(asked) == listing._REQUESTS
    assert nearby.lines(shown, WANTED)[-1].endswith("was not looked into")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert said(tmp_path)[-1] == "`closed/` was not looked into"
