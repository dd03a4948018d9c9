"""Regenerated files hold what Pillow says in one line, in upstream's formats, and the same bytes on every way there."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from loaders import classes
from loaders.images.photographs import FILTERS
from publish.regenerate import __main__ as regenerate
from publish.regenerate.chunks import chunks, take
from publish.regenerate.originals import find
from publish.sample import archives as writers
from tests.kit import archives
from tests.kit.building import COMMAND, publish, run, tree
from tests.kit.regenerating import (
    LABELS,
    ODD_MODES,
    PER_CLASS,
    SIZES,
    Originals,
    center,
    final_files,
    lay_folders,
    lay_tars,
    members,
    plain_pillow,
    sidecar,
    train_zips,
    validation_name,
)

TRAIN = len(LABELS) * PER_CLASS
NPZ = [
    *(f"Imagenet{size}_{part}_npz.zip" for size in (16, 32) for part in ("train", "val")),
    *(f"Imagenet64_{part}_npz.zip" for part in ("train_part1", "train_part2", "val")),
    *(f"Imagenet8_{part}_npz.zip" for part in ("train", "val")),
    "imagenet-variants.json",
]


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All four sizes as npz, by one worker. Not to be changed."""
    out = tmp_path_factory.mktemp("whole")
    made(source, out, "--sizes", *SIZES)
    return out


def made(source: Path, out: Path, *options: object, code: int = 0) -> None:
    words = ["--source", source, "--out", out, "--workers", 1, *options]
    assert regenerate.main([str(word) for word in words]) == code


def files_of(out: Path) -> dict[str, str]:
    """Return the digests of what is under a final name, less the sidecar, which names the photographs' place."""
    return {name: sha for name, sha in tree(out).items() if name != "imagenet-variants.json"}


def test_the_drawn_photographs_are_as_odd_as_ilsvrc(originals: Originals) -> None:
    images = [Image.open(io.BytesIO(file)) for _, file, _ in originals.rows("train")]
    assert {image.mode for image in images} == ODD_MODES
    assert {image.format for image in images} == {"JPEG", "PNG"}


@pytest.mark.keeps("S18", "S19")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("resample", FILTERS)
def test_pixels_labels_and_mean(
    size: int, resample: str, originals: Originals, source: Path, tmp_path: Path, whole: Path
) -> None:
    infix, out = ("", whole) if resample == "box" else (f"_{resample}", tmp_path)
    if resample != "box":
        made(source, out, "--sizes", size, "--resample", resample)
    batches = [batch for _, batch in train_zips(out, size, infix)]
    found = [(row.tobytes(), int(n)) for b in batches for row, n in zip(b["data"], b["labels"], strict=True)]
    expected = [(plain_pillow(file, size, resample), label) for _, file, label in originals.rows("train")]
    assert sorted(found) == sorted(expected)
    assert found != expected
    pixels = np.frombuffer(b"".join(row for row, _ in expected), np.uint8).reshape(TRAIN, -1)
    for batch in batches:
        assert batch["mean"].dtype == np.float64
        assert batch["mean"].tolist() == (pixels.sum(axis=0, dtype=np.int64) / TRAIN).tolist()
    ((_, validation),) = members(out / f"Imagenet{size}{infix}_val_npz.zip")
    rows = [(row.tobytes(), int(n)) for row, n in zip(validation["data"], validation["labels"], strict=True)]
    assert rows == [(plain_pillow(file, size, resample), label) for _, file, label in originals.rows("validation")]


def test_other_sizes_and_center_crops_are_files_of_their_own(
    originals: Originals, source: Path, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by what they are, in two parts from 64 pixels up; in the order of the squeezed ones."""
    made(source, tmp_path, "--sizes", 12, 65, "--crop", "center")
    configs = "--config imagenet_resized/12x12-center --config imagenet_resized/65x65-center"
    assert f"to build: python -m publish {configs} --source {tmp_path}\n" in capsys.readouterr().out
    assert final_files(tmp_path) == [
        *(f"Imagenet12_center_{part}_npz.zip" for part in ("train", "val")),
        *(f"Imagenet65_center_{part}_npz.zip" for part in ("train_part1", "train_part2", "val")),
        "imagenet-variants.json",
    ]
    assert set(sidecar(tmp_path)["rows"]) == {"imagenet_resized/12x12-center", "imagenet_resized/65x65-center"}
    for size in (12, 65):
        found = [
            (row.tobytes(), int(n))
            for _, batch in train_zips(tmp_path, size, "_center")
            for row, n in zip(batch["data"], batch["labels"], strict=True)
        ]
        expected = [(center(file, size), label) for _, file, label in originals.rows("train")]
        assert sorted(found) == sorted(expected)
        assert [n for _, n in found] == [n for _, batch in train_zips(whole, 8) for n in batch["labels"].tolist()]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sizes", 3], "expected 4 to 147 pixels a side, got '3'"),
        (["--sizes", 148], "expected 4 to 147 pixels a side, got '148'"),
        (["--sizes", "big"], "expected 4 to 147 pixels a side, got 'big'"),
        (["--crop", "center", "--resample", "box"], "leave out --resample or --crop center"),
        (["--crop", "middle"], "invalid choice: 'middle'"),
    ],
)
def test_what_cannot_be_made_is_wrong_use(
    options: list[object], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        made(tmp_path, tmp_path / "out", *options)
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_files_and_batches_are_upstreams(whole: Path) -> None:
    assert final_files(whole) == NPZ
    for size in SIZES:
        batches = train_zips(whole, size)
        assert [name for name, _ in batches] == [f"train_data_batch_{n}.npz" for n in range(1, 11)]
        assert [len(batch["labels"]) for _, batch in batches] == [TRAIN // 10] * 9 + [TRAIN - 9 * (TRAIN // 10)]
        assert all(list(batch) == ["data", "labels", "mean", "file_names"] for _, batch in batches)
        ((name, validation),) = members(whole / f"Imagenet{size}_val_npz.zip")
        assert (name, set(validation)) == ("val_data.npz", {"data", "labels", "file_names"})


def test_train_is_shuffled_the_same_at_every_size(whole: Path) -> None:
    labels = [[n for _, b in train_zips(whole, size) for n in b["labels"].tolist()] for size in SIZES]
    assert labels[1:] == labels[:-1]
    steps = np.diff(labels[0])
    assert (steps == 0).mean() < 0.5  # sorted by class, nearly all would be


def test_the_sidecar_vouches_for_every_file(whole: Path) -> None:
    content, digests = sidecar(whole), files_of(whole)
    assert content["origin"] == "regenerated"
    assert {name: facts["sha256"] for name, facts in content["files"].items()} == digests
    rows = {"train": TRAIN, "validation": len(LABELS)}
    assert content["rows"] == {f"imagenet_resized/{size}x{size}": rows for size in SIZES}


@pytest.mark.parametrize(
    ("top", "nested"), [("", False), ("", True), ("ILSVRC/Data/CLS-LOC", False)], ids=["flat", "nested", "kaggle"]
)
def test_unpacked_folders_give_the_bytes_of_the_tars(
    top: str, nested: bool, originals: Originals, tmp_path: Path, whole: Path
) -> None:
    folders = lay_folders(tmp_path / "in", originals, top, nested=nested)
    for name in ("train", "val") if top else ():
        (folders / name).mkdir()  # an empty one does not hide a full one
    (folders / top / "train" / ".DS_Store").touch()
    made(folders, tmp_path / "out")
    assert files_of(tmp_path / "out") == files_of(whole)


@pytest.mark.keeps("B9")
def test_two_workers_give_the_bytes_of_one(source: Path, tmp_path: Path, whole: Path) -> None:
    command = (COMMAND[0], "-W", "error", "-m", "publish.regenerate")
    done = run(*command, "--source", source, "--out", tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == files_of(whole)
    assert "8x8" in done.stdout
    assert "images/s" in done.stdout
    assert f"warning: {TRAIN} photographs of train; ILSVRC has 1,281,167" in done.stderr


def lay_parquet(folder: Path, originals: Originals) -> Path:
    """Lay out Parquet as the Hub has it, in no order."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    (folder / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        rows: list[dict[str, Any]] = []
        for name, file, label in originals.rows(split):
            wnid = classes.wnids("clsloc")[label - 1]
            held = {"bytes": file, "path": name.replace(".", f"_{wnid}.")}
            rows.append({"image": held, "label": classes.label_of_wnid("ilsvrc")[wnid]})
        rows.sort(key=lambda row: row["image"]["bytes"][::-1])
        table = pa.Table.from_pylist(rows, pa.schema({"image": image, "label": pa.int64()}))
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet", 20)
    return folder


def test_parquet_of_the_hub_gives_the_same_files(originals: Originals, tmp_path: Path, whole: Path) -> None:
    made(lay_parquet(tmp_path / "in", originals), tmp_path / "out", "--sizes", 8)
    assert files_of(tmp_path / "out").items() <= files_of(whole).items()
    assert len(files_of(tmp_path / "out")) == 2


def test_another_seed_is_another_order_of_the_same_rows(source: Path, tmp_path: Path, whole: Path) -> None:
    made(source, tmp_path, "--sizes", 8, "--seed", 1)
    (one, two) = ([row.tobytes() for _, b in train_zips(out, 8) for row in b["data"]] for out in (whole, tmp_path))
    assert sorted(one) == sorted(two)
    assert one != two
    assert (tmp_path / NPZ[-2]).read_bytes() == (whole / NPZ[-2]).read_bytes()  # validation


@pytest.mark.parametrize("form", ["npz", "pickle"])
def test_publish_takes_it_without_leave_and_the_card_says_so(
    form: str, source: Path, originals: Originals, tmp_path: Path
) -> None:
    made(source, tmp_path / "out", "--format", form, "--sizes", 8, 64)
    configs = [word for config in ("8x8", "64x64") for word in ("--config", f"imagenet_resized/{config}")]
    publish(*configs, "--source", tmp_path / "out", "--out", tmp_path / "hub", "--workers", 1)
    card = (tmp_path / "hub" / "imagenet_resized" / "README.md").read_text(encoding="utf-8")
    assert "**Regenerated.**" in card
    assert "unverified" not in card.lower()


def test_pickles_hold_what_the_zips_hold(source: Path, tmp_path: Path, whole: Path) -> None:
    import pickle

    made(source, tmp_path, "--sizes", 8, "--format", "pickle")
    names = [f"Imagenet8_train/train_data_batch_{n}" for n in range(1, 11)]
    assert final_files(tmp_path) == sorted([*names, "Imagenet8_val/val_data", "imagenet-variants.json"])
    zipped = [*train_zips(whole, 8), *members(whole / "Imagenet8_val_npz.zip")]
    for name, (_, batch) in zip([*names, "Imagenet8_val/val_data"], zipped, strict=True):
        data = (tmp_path / name).read_bytes()
        loaded = pickle.loads(data)
        assert data[:2] == b"\x80\x03"
        assert b"numpy._core" not in data  # a name that NumPy 1 does not know
        assert loaded["labels"] == batch["labels"].tolist()
        assert {key: value.tolist() for key, value in loaded.items() if key != "labels"} == {
            key: value.tolist() for key, value in batch.items() if key != "labels"
        }


def test_subsample_keeps_every_nth_class_and_its_label(originals: Originals, source: Path, tmp_path: Path) -> None:
    made(source, tmp_path, "--sizes", 8, "--subsample", 4)
    kept = {classes.label_of_wnid("clsloc")[wnid] + 1 for wnid in sorted(originals.train)[::4]}
    labels = [n for _, b in train_zips(tmp_path, 8) for n in b["labels"].tolist()]
    assert sorted(labels) == sorted(label for _, _, label in originals.rows("train") if label in kept)
    ((_, validation),) = members(tmp_path / "Imagenet8_val_npz.zip")
    assert set(validation["labels"].tolist()) == kept


@pytest.mark.keeps("S18")
def test_a_truth_that_is_not_the_devkits_is_refused(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_tars(tmp_path / "in", originals)
    truth = tmp_path / "in" / archives.TRUTH
    truth.write_bytes(archives.truth_text(archives.truth_ids()))
    made(tmp_path / "in", tmp_path / "out", "--sizes", 8)
    ((_, validation),) = members(tmp_path / "out" / "Imagenet8_val_npz.zip")
    assert validation["labels"].tolist() == [label for _, _, label in originals.rows("validation")]
    truth.write_bytes(archives.truth_text(number % 1000 + 1 for number in archives.truth_ids()))
    made(tmp_path / "in", tmp_path / "out", "--sizes", 8, code=1)
    assert f"{truth}: gives 50,000 of 50,000" in capsys.readouterr().err


# Runs over the same folder


@pytest.mark.keeps("B11")
def test_a_second_run_has_nothing_to_do(
    source: Path, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(source, tmp_path, "--sizes", 8)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.zip")}
    made(source, tmp_path, "--sizes", 8)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.zip")} == before
    assert "there already" in capsys.readouterr().out
    made(source, tmp_path, "--sizes", *SIZES)  # the other sizes come beside it
    assert files_of(tmp_path) == files_of(whole)
    assert sidecar(tmp_path)["rows"] == sidecar(whole)["rows"]


def test_a_photograph_that_has_changed_is_noticed(originals: Originals, tmp_path: Path) -> None:
    """Under the same name; the sizes made before are made again when they are asked for."""
    folder = lay_folders(tmp_path / "in", originals)
    made(folder, tmp_path / "out", "--sizes", 8)
    before = files_of(tmp_path / "out")
    (name, _, _), (_, other, _) = originals.rows("train")[:2]
    (folder / "train" / name[:9] / name).write_bytes(other)
    made(folder, tmp_path / "out", "--sizes", 8)
    made(folder, tmp_path / "straight", "--sizes", 8)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "straight") != before


def test_other_settings_take_the_place_of_what_was_there(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path, "--sizes", 8)
    made(source, tmp_path, "--sizes", 8, "--resample", "lanczos")
    assert len(final_files(tmp_path)) == 5
    assert "Imagenet8_lanczos_train_npz.zip" in final_files(tmp_path)
    assert set(sidecar(tmp_path)["rows"]) == {"imagenet_resized/8x8", "imagenet_resized/8x8-lanczos"}
    made(source, tmp_path, "--sizes", 8, "--format", "pickle")
    assert [name for name in final_files(tmp_path) if name.startswith("Imagenet8_train_npz")] == []
    assert set(sidecar(tmp_path)["files"]) | {"imagenet-variants.json"} == set(final_files(tmp_path))


@pytest.mark.keeps("B2")
def test_a_chunk_that_a_crash_damaged_is_done_again(source: Path, tmp_path: Path) -> None:
    photos = find(source).held["train"].photos
    (chunk, *_) = chunks(tmp_path, "train", photos, np.arange(len(photos)), (8,), "box", False)
    receipt = chunk()
    (place,) = tmp_path.glob("*.rows")
    rows = place.read_bytes()
    place.write_bytes(bytes(len(rows)))
    chunk()
    assert place.read_bytes() == rows
    receipt.write_bytes(receipt.read_bytes()[:100])
    assert take(chunk()).photos == len(chunk.photos)


@pytest.mark.keeps("S32")
def test_validation_has_no_classes_that_train_has_not(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a choice of classes beside the whole of val/: what is left out is counted, and said."""
    source = lay_folders(tmp_path / "in", originals)
    shutil.rmtree(min((source / "train").iterdir()))
    made(source, tmp_path / "out", "--sizes", 8)
    assert "skipped: 1 of validation: photograph of a class that train has not" in capsys.readouterr().err
    labels = {label for _, _, label in originals.rows("validation")}
    rows = sidecar(tmp_path / "out")["rows"]["imagenet_resized/8x8"]
    assert (rows["train"], rows["validation"]) == (TRAIN - PER_CLASS, len(labels) - 1)


@pytest.mark.keeps("S32")
def test_validation_of_none_of_the_classes_that_train_has_is_said_to_be_empty(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = lay_folders(tmp_path / "in", originals)
    (first, *others) = sorted((source / "train").iterdir())
    for path in others:
        shutil.rmtree(path)
    label = classes.label_of_wnid("ilsvrc")[first.name]
    (source / "val" / validation_name(writers.first_of_each_class()[label])).unlink()
    made(source, tmp_path / "out", "--sizes", 8)
    said = f"skipped: {len(LABELS) - 1} of validation: photograph of a class that train has not, and none is left"
    assert said in capsys.readouterr().err
    assert sidecar(tmp_path / "out")["rows"]["imagenet_resized/8x8"]["validation"] == 0
