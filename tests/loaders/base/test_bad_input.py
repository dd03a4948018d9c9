"""Files that are damaged, cut short, missing or others, and configs that do not exist."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import loaders
from loaders import SourceProblem, downsampled_imagenet
from loaders.base.dataset import check_rows
from loaders.base.obtain import missing, missing_message, obtain
from loaders.formats import tars
from loaders.sources.folder import SourceFolder
from loaders.sources.sidecar import SIDECAR
from loaders.sources.variant import parsed
from publish.sample.archives import tar
from publish.sample.sidecar import write_sidecar
from tests.kit import archives, contract
from tests.kit.refusals import cut, flip, in_time, refused, refused_rows, says

TRAIN, VALIDATION = "Imagenet8_train_npz.zip", "Imagenet8_val_npz.zip"


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    with in_time():
        yield


@pytest.mark.keeps("S1")
@pytest.mark.parametrize("name", [TRAIN, VALIDATION])
def test_one_flipped_byte_is_found_by_its_digest(name: str, tmp_path: Path) -> None:
    laid = archives.resized(tmp_path, [8])
    write_sidecar(tmp_path, "regenerated", {"imagenet_resized/8x8": archives.SPLITS})
    flip(tmp_path / name, -100)
    make = loaders.load(laid.dataset).Builder  # type: ignore[attr-defined]
    with pytest.raises(SourceProblem) as caught:
        make(config_name="8x8", data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache")).download_and_prepare()
    says(str(caught.value), tmp_path / name, "expected SHA-256", "found")


@pytest.mark.keeps("S1")
def test_another_size_is_found_first(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    write_sidecar(tmp_path, "sample", {"imagenet_resized/8x8": archives.SPLITS})
    with (tmp_path / TRAIN).open("ab") as file:
        file.write(b"\0")
    size = (tmp_path / TRAIN).stat().st_size
    says(refused("imagenet_resized", "8x8", tmp_path, False), tmp_path / TRAIN, f"expected {size - 1:,}", f"{size:,}")


@pytest.mark.keeps("S1", "S16")
def test_archives_nobody_vouches_for_need_leave(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    says(refused("imagenet_resized", "8x8", tmp_path, False), tmp_path / TRAIN, "239,296,243 bytes", "--allow-partial")


@pytest.mark.keeps("S7")
@pytest.mark.parametrize(("config", "name"), [("8x8", TRAIN), ("64x64", "Imagenet64_train_part2_npz.zip")])
def test_another_file_of_upstream_is_known_by_its_size(config: str, name: str, tmp_path: Path) -> None:
    size = int(config.partition("x")[0])
    archives.resized(tmp_path, [size])
    for source in loaders.load("imagenet_resized").SOURCES.values():
        if source.name.startswith(f"Imagenet{size}_"):
            sparse(tmp_path / source.name, source.bytes)
    sparse(tmp_path / name, 931837742)
    says(refused("imagenet_resized", config, tmp_path, False), tmp_path / name, "Imagenet16_train_npz.zip: was it")


def sparse(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


@pytest.mark.keeps("S4")
@pytest.mark.parametrize("start", [b"<!DOCTYPE html><html>", b"\n  <html lang='en'>"])
@pytest.mark.parametrize("partial", [True, False])
def test_a_page_saved_as_an_archive(start: bytes, partial: bool, tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    (tmp_path / TRAIN).write_bytes(start + b"<title>Sign in</title>" + bytes(600))
    says(
        refused("imagenet_resized", "8x8", tmp_path, partial), tmp_path / TRAIN, "text/html", "sign in", "image-net.org"
    )


LAY: dict[str, Callable[[Path], Any]] = {
    "imagenet_resized": lambda folder: archives.resized(folder, [8]),
    "downsampled_imagenet": archives.downsampled,
    "imagenet2012_subset": lambda folder: archives.subset(folder, test=True),
    "imagenet_v2": archives.v2,
}
ARCHIVES = [
    ("imagenet_resized", "8x8", TRAIN),
    ("imagenet_resized", "8x8", VALIDATION),
    ("downsampled_imagenet", "32x32", "train_32x32.tar"),
    ("downsampled_imagenet", "64x64", "valid_64x64.tar"),
    ("imagenet2012_subset", "1pct", "ILSVRC2012_img_train.tar"),
    ("imagenet2012_subset", "10pct", "ILSVRC2012_img_val.tar"),
    ("imagenet2012_subset", "1pct", archives.TEST_TAR),
    ("imagenet2012_subset", "10pct", "10percent.txt"),
    ("imagenet_v2", "topimages", "imagenetv2-top-images.tar.gz"),
]
every_archive = pytest.mark.parametrize(("dataset", "config", "name"), ARCHIVES)
every_binary = pytest.mark.parametrize(("dataset", "config", "name"), [a for a in ARCHIVES if a[2][-3:] != "txt"])


@pytest.mark.keeps("S7")
@every_archive
@pytest.mark.parametrize("content", [b"", b"\0", b"not an archive at all\n" * 100, b"PK\3\4", b"\x1f\x8b\x08\0"])
def test_other_content_under_the_name(dataset: str, config: str, name: str, content: bytes, tmp_path: Path) -> None:
    LAY[dataset](tmp_path)
    (tmp_path / name).write_bytes(content)
    says(refused(dataset, config, tmp_path), tmp_path / name)


@pytest.mark.keeps("S2")
@every_binary
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_an_archive_cut_short(dataset: str, config: str, name: str, part: float, tmp_path: Path) -> None:
    LAY[dataset](tmp_path)
    cut(tmp_path / name, int((tmp_path / name).stat().st_size * part) | 1)
    says(refused(dataset, config, tmp_path), tmp_path / name)


@pytest.mark.keeps("S2")
@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_gzip_cut_short(part: float, tmp_path: Path) -> None:
    archives.v2(tmp_path, compressed=True)
    path = tmp_path / "imagenetv2-top-images.tar.gz"
    cut(path, int(path.stat().st_size * part))
    says(refused("imagenet_v2", "topimages", tmp_path), path, "cut short")


@pytest.mark.keeps("S2")
def test_a_gzip_with_a_damaged_byte(tmp_path: Path) -> None:
    archives.v2(tmp_path, compressed=True)
    path = tmp_path / "imagenetv2-top-images.tar.gz"
    flip(path, path.stat().st_size // 2)
    says(refused("imagenet_v2", "topimages", tmp_path), path, "damaged")


@pytest.mark.keeps("S3", "S16")
@pytest.mark.parametrize(
    ("dataset", "config", "name"), [a for a in ARCHIVES if a[2].endswith((".tar", ".tar.gz"))], ids=str
)
def test_a_tar_cut_between_two_members(dataset: str, config: str, name: str, tmp_path: Path) -> None:
    """It opens, with fewer members; only its end mark, or its rows, tell."""
    laid: archives.Laid = LAY[dataset](tmp_path)
    counts = {split: len(rows) for split, rows in laid.rows[config].items()}
    write_sidecar(tmp_path, "regenerated", {f"{dataset}/{config}": counts})
    path = tmp_path / name
    boundary = tars.scan(path).offsets[-3] - 512
    cut(path, boundary)
    says(refused(dataset, config, tmp_path), path, "without the end mark", f"{boundary:,}")
    with path.open("ab") as file:
        file.write(bytes(1024))
    says(refused_rows(dataset, config, tmp_path), path)


@pytest.mark.keeps("S7")
def test_validation_in_the_place_of_train(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    (tmp_path / TRAIN).write_bytes((tmp_path / VALIDATION).read_bytes())
    text = refused("imagenet_resized", "8x8", tmp_path)
    says(text, tmp_path / TRAIN, "expected train_data_batch_1", "found val_data", "exchanged")


@pytest.mark.keeps("S7")
@pytest.mark.parametrize(("wanted", "given"), [(8, 16), (16, 32), (64, 32)])
def test_another_size_of_pictures_names_the_config_that_it_fits(wanted: int, given: int, tmp_path: Path) -> None:
    archives.resized(tmp_path, [wanted, given])
    name = f"Imagenet{wanted}_val_npz.zip"
    (tmp_path / name).write_bytes((tmp_path / f"Imagenet{given}_val_npz.zip").read_bytes())
    text = refused("imagenet_resized", f"{wanted}x{wanted}", tmp_path)
    says(text, tmp_path / name, f"for {wanted}x{wanted}", f"fits the config {given}x{given}")


@pytest.mark.keeps("S8")
def test_all_missing_files_of_all_configs_in_one_message(tmp_path: Path) -> None:
    wanted = [(loaders.load(name), c) for name in loaders.names() for c in loaders.load(name).DATASET.configs]
    with pytest.raises(loaders.MissingSources) as caught:
        obtain(wanted, tmp_path, False)
    by_hand = [source for _, source in missing(wanted, tmp_path) if source.url is None]
    assert len(set(by_hand)) == 9 + 4 + 2
    for source in by_hand:
        says(str(caught.value), source.name, f"{source.bytes:,} bytes", source.sha256, source.page)
    says(str(caught.value), tmp_path, "for imagenet2012_subset/1pct, imagenet2012_subset/10pct", "--source", "--sample")
    assert list(tmp_path.iterdir()) == []  # V2 could have been downloaded; nothing is while a person has work to do


def test_a_message_names_each_file_once(tmp_path: Path) -> None:
    (source, *_) = loaders.load("imagenet_resized").SOURCES.values()
    text = str(missing_message([("a/b", source), ("a/c", source)], tmp_path))
    assert text.count(source.sha256) == 1
    says(text, "for a/b, a/c")


def test_a_missing_file_of_unknown_size_and_digest(tmp_path: Path) -> None:
    with pytest.raises(loaders.MissingSources) as caught:
        contract.plans("imagenet_resized", "8x8-lanczos", tmp_path)
    says(str(caught.value), "  Imagenet8_lanczos_train_npz.zip\n", "--out DIR --sizes 8 --resample lanczos\n")
    assert "sha256" not in str(caught.value)


def test_a_list_that_is_called_almost_like_a_crop_is_told_beside_it(tmp_path: Path) -> None:
    with pytest.raises(loaders.MissingSources, match=r"centre\.txt, or name 48x48-center if that is meant\n"):
        contract.plans("imagenet_resized", "48x48-centre", tmp_path)
    with pytest.raises(loaders.MissingSources, match=r"--names few\.txt\n"):
        contract.plans("imagenet_resized", "48x48-few", tmp_path)


def test_what_is_gone_of_a_regeneration_is_to_be_made_again_and_not_downloaded(tmp_path: Path) -> None:
    """Upstream's file of the name has other rows: beside the rest it would be half of each."""
    (name, *_) = lost = [each for split in ("train", "validation") for each in parsed("64x64").zips(split)]
    facts = {each: {"bytes": 1, "sha256": "0" * 64} for each in lost}
    told = {"64x64": {"key": "k", "files": lost, "unreadable": {}}}
    (tmp_path / SIDECAR).write_text(json.dumps({"origin": "regenerated", "files": facts, "regenerated": told}))
    with pytest.raises(loaders.MissingSources) as caught:
        contract.plans("imagenet_resized", "64x64", tmp_path)
    says(str(caught.value), f"  {name}\n", "Run that command again", "--out DIR --sizes 64\n")
    assert "image-net.org" not in str(caught.value)


@pytest.mark.parametrize("partial", [False, True])
def test_an_option_that_was_given_or_would_not_help_is_not_advised(partial: bool, tmp_path: Path) -> None:
    path = tmp_path / "valid_32x32.tar"
    path.write_bytes(tar([]))
    (tmp_path / "train_32x32.tar").write_bytes(tar([]))
    known = downsampled_imagenet.config("32x32")
    found = downsampled_imagenet.find(known, SourceFolder(tmp_path))
    with pytest.raises(SourceProblem) as caught:
        check_rows("downsampled_imagenet", "32x32", known.splits[1], 0, found, partial)
    says(str(caught.value), path, "has 49,999 validation rows, found 0")
    assert "partial" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("imagenet_resized/16", "imagenet_resized/16x16"),
        ("imagenet-resized", "imagenet_resized"),
        ("imagenet_resized/8", "imagenet_resized/8x8"),
        ("64x64", "/64x64"),
        ("imagenet_v2/matched", "imagenet_v2/matched-frequency"),
        ("1pct", "imagenet2012_subset/1pct"),
        ("al", "all"),
    ],
)
def test_an_unknown_config_suggests_near_ones(word: str, near: str) -> None:
    with pytest.raises(loaders.UnknownConfig) as caught:
        loaders.select([word])
    says(str(caught.value), repr(word), "Did you mean", near, "--list")


@pytest.mark.parametrize("word", ["", "zzzzzz", "all/8x8", "imagenet_v2/8x8/train", "_source", "classes"])
def test_an_unknown_config_is_named(word: str) -> None:
    with pytest.raises(loaders.UnknownConfig) as caught:
        loaders.select([word])
    says(str(caught.value), repr(word), "--list")


def test_configs_are_selected_in_their_own_order_and_once() -> None:
    every = {name: [c.name for c in loaders.load(name).DATASET.configs] for name in loaders.names()}
    assert sum(map(len, every.values())) == 15
    assert loaders.select(["all"]) == every
    assert loaders.select(["imagenet_v2/topimages", "imagenet_v2"]) == {"imagenet_v2": every["imagenet_v2"]}
    wanted = ["imagenet_resized/64x64", "imagenet_resized/8x8", "imagenet_resized/64x64"]
    assert loaders.select(wanted) == {"imagenet_resized": ["8x8", "64x64"]}
