"""The contact sheet shows the very pixels, and the histogram the very counts, of each kind of file."""

import io
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from publish import show
from publish.card import sheet
from publish.sample import archives as sample
from tests.kit import archives
from tests.kit.building import run
from tests.kit.holding import held

MARGIN, LINE, GAP, BARS = sheet._MARGIN, sheet._LINE, sheet._GAP, sheet._BARS
ROWS = archives.SPLITS["train"]
SIZE = 8


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zips and pickles of 8 and 64 pixels, a folder of loose npz batches, and a folder of Parquet files."""
    folder = tmp_path_factory.mktemp("laid")
    archives.resized(folder, (SIZE, 64))
    archives.resized_pickles(folder, (SIZE,))
    (folder / "loose").mkdir()
    archives.resized_loose(folder / "loose", SIZE)
    parquet(folder / "parquet" / "8x8")
    return folder


def parquet(folder: Path) -> None:
    folder.mkdir(parents=True)
    for split, rows in archives.resized_rows(SIZE).items():
        files = [sample.encoded(picture(row["image"], SIZE), "PNG") for row in rows]
        table = pa.table({"image": [{"bytes": f, "path": None} for f in files], "label": [r["label"] for r in rows]})
        for n in range(2):
            half = len(rows) // 2
            pq.write_table(table.slice(n * half, half), folder / f"{split}-0000{n}-of-00002.parquet")


def picture(pixels: bytes, size: int) -> Image.Image:
    return Image.frombytes("RGB", (size, size), pixels)


def shown(path: Path, out: Path, *options: object) -> npt.NDArray[np.uint8]:
    assert show.main([str(path), "--out", str(out), *map(str, options)]) == 0
    with Image.open(out) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def cell(page: npt.NDArray[np.uint8], place: int, columns: int, side: int) -> npt.NDArray[np.uint8]:
    y, x = (MARGIN + LINE, MARGIN)
    y, x = y + place // columns * (side + GAP), x + place % columns * (side + GAP)
    return page[y : y + side, x : x + side]


def bars(page: npt.NDArray[np.uint8]) -> list[int]:
    """Return the height of each class's bar, in pixels; 1 is an empty class."""
    area = page[-(MARGIN + LINE + BARS) : -(MARGIN + LINE) + 1, MARGIN : MARGIN + 1000]
    return [int((area[:, x] != 255).any(axis=1).sum()) for x in range(1000)]


SPLITS = {
    "Imagenet8_train_npz.zip": "train",
    "Imagenet8_train/train_data_batch_1": "train",
    "Imagenet8_train": "train",
    "loose/Imagenet8_val/val_data.npz": "validation",
    "Imagenet8_val_npz.zip": "validation",
    "parquet/8x8": "train",
    "parquet/8x8/validation-00000-of-00002.parquet": "validation",
}
HALVES = {"Imagenet8_train/train_data_batch_1": ROWS // 10, "parquet/8x8/validation-00000-of-00002.parquet": 10}


@pytest.mark.parametrize("path", list(SPLITS))
def test_the_sheet_has_the_pixels_and_the_histogram_the_counts(path: str, laid: Path, tmp_path: Path) -> None:
    rows = archives.resized_rows(SIZE)[SPLITS[path]]
    rows = rows[: HALVES.get(path, len(rows))]
    page = shown(laid / path, tmp_path / "x.png")
    columns, side = int(np.ceil(np.sqrt(len(rows)))), 32
    for place, row in enumerate(rows):
        enlarged = picture(row["image"], SIZE).resize((side, side), Image.Resampling.NEAREST)
        assert (cell(page, place, columns, side) == np.asarray(enlarged)).all()
    counts = np.bincount([row["label"] for row in rows], minlength=1000)
    assert [height > 1 for height in bars(page)] == [bool(count) for count in counts]


def test_bars_are_as_tall_as_their_counts() -> None:
    counts = np.zeros(1000, np.int64)
    counts[[0, 500, 999]] = [100, 50, 25]
    page = np.asarray(sheet.draw("", [], counts))
    heights = bars(page)
    assert [heights[label] - 1 for label in (0, 500, 999)] == [BARS - 1, (BARS - 1) // 2, (BARS - 1) // 4]


def test_large_photographs_are_shrunk_and_encoded_rows_without_labels_shown(tmp_path: Path) -> None:
    file = sample.jpeg(np.full((200, 100, 3), 90, np.uint8))
    pq.write_table(pa.table({"image": [{"bytes": file, "path": None}]}), tmp_path / "test-00000-of-00001.parquet")
    page = shown(tmp_path, tmp_path / "x.png")
    assert (np.abs(cell(page, 0, 1, 64)[:, :32].astype(int) - 90) < 3).all()
    assert page.shape[0] == 3 * MARGIN + LINE + 64 + GAP


def test_as_many_images_as_asked_for(laid: Path, tmp_path: Path) -> None:
    page = shown(laid / "Imagenet64_train_part1_npz.zip", tmp_path / "x.png", "--images", 4)
    rows = archives.resized_rows(64)["train"][:4]
    assert [cell(page, n, 2, 64).tobytes() for n in range(4)] == [row["image"] for row in rows]


def test_a_split_by_name(laid: Path, tmp_path: Path) -> None:
    one = shown(laid / "parquet" / "8x8", tmp_path / "1.png", "--split", "validation", "--images", 5)
    other = shown(laid / "Imagenet8_val_npz.zip", tmp_path / "2.png", "--images", 5)
    assert (one[MARGIN + LINE :] == other[MARGIN + LINE :]).all()


def test_the_command_says_what_it_wrote(laid: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-W", "error", "-m", "publish.show")
    done = run(*command, laid / "parquet" / "8x8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"8x8-train.png: 8x8-train: {ROWS} of {ROWS} images; {ROWS} of 1,000 classes")
    assert [path.name for path in tmp_path.iterdir()] == ["8x8-train.png"]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with the loose batches of both splits."""
    archives.resized_pickles(tmp_path, (SIZE,))
    (tmp_path / "mixed").mkdir()
    for path in [*(tmp_path / "Imagenet8_train").iterdir(), tmp_path / "Imagenet8_val" / "val_data"]:
        path.rename(tmp_path / "mixed" / path.name)
    return tmp_path / "mixed"


@pytest.mark.parametrize(
    ("options", "split"), [((), "train"), (("--split", "train"), "train"), (("--split", "validation"), "validation")]
)
def test_splits_of_batches_are_not_mixed(
    options: tuple[str, ...], split: str, mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = shown(mixed, tmp_path / "x.png", *options, "--images", 4)
    rows = archives.resized_rows(SIZE)[split]
    assert f"mixed-{split}: 4 of {len(rows)} images" in capsys.readouterr().out
    counts = np.bincount([row["label"] for row in rows], minlength=1000)
    assert [height > 1 for height in bars(page)] == [bool(count) for count in counts]
    for place, row in enumerate(rows[:4]):
        enlarged = picture(row["image"], SIZE).resize((32, 32), Image.Resampling.NEAREST)
        assert (cell(page, place, 2, 32) == np.asarray(enlarged)).all()


def batch(path: Path, size: int) -> Path:
    _, validation = archives.resized_batches(size)
    path.write_bytes(sample.npz(validation))
    return path


def test_batches_that_do_not_belong_together(mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = next(row for row in mixed.iterdir() if row.name == "train_data_batch_3")
    again = batch(mixed / "train_data_batch_3.npz", SIZE)
    refused([mixed], tmp_path, capsys, "batch 3 ", "more than once", train, again)
    again.unlink()
    batch(mixed / "train_data_batch_11.npz", 16)
    refused([mixed], tmp_path, capsys, mixed / "train_data_batch_11.npz", "16x16", "8x8")
    assert show.main([str(mixed), "--split", "validation", "--out", str(tmp_path / "v.png")]) == 0
    capsys.readouterr()
    for path in (mixed, train, mixed / "val_data"):
        refused([path, "--split", "nonsense"], tmp_path, capsys, path, "holds no split nonsense", "there is ")


def refused(words: list[object], folder: Path, capsys: pytest.CaptureFixture[str], *parts: object) -> None:
    """Hold that a sheet is refused in one line, and not written."""
    out = folder / "x.png"
    assert show.main([*map(str, words), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(str(part) in error for part in parts), error
    assert not out.exists()


def test_where_no_sheet_can_be_written(
    laid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for place in (".", "folder", tmp_path):
        assert show.main([str(laid / "Imagenet8_val_npz.zip"), "--out", str(place)]) == 1
        assert f"error: {place}: is a folder, expected the name of a file to write" in capsys.readouterr().err
    assert show.main([str(laid / "Imagenet8_val_npz.zip"), "--out", "file/x.png"]) == 1
    assert "error: file: is no folder, expected one to write to" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}
    shown(laid / "Imagenet8_val_npz.zip", tmp_path / "new" / "x.png")


def test_an_interrupt_is_no_traceback(laid: Path, tmp_path: Path) -> None:
    batch = tmp_path / "Imagenet8_val_npz.zip"
    shutil.copy(laid / batch.name, batch)
    command = [sys.executable, "-m", "publish.show", str(batch)]
    with (
        held(batch) as somebody_waits,
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process,
    ):
        somebody_waits()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error.count("\n")) == (130, 1), error


@pytest.mark.parametrize("number", ["-1", "x", "1.5"])
def test_a_number_of_images_that_is_none(number: str, laid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        show.main([str(laid / "Imagenet8_val_npz.zip"), "--images", number])
    assert "whole number of at least 0" in capsys.readouterr().err


def test_what_cannot_be_shown(laid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text("no batch")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "bad-image.parquet").write_bytes(_bad_image())
    cases: dict[Path, list[str]] = {
        tmp_path / "none": ["none", "No such file"],
        tmp_path / "text": ["expected an npz or a pickled batch"],
        tmp_path / "cut.parquet": ["cut.parquet", "cannot be read as Parquet"],
        tmp_path / "bad-image.parquet": ["bad-image.parquet", "cannot be decoded"],
        laid / "parquet": ["parquet/8x8"],
    }
    for path, parts in cases.items():
        assert show.main([str(path), "--out", str(tmp_path / "x.png")]) == 1
        error = capsys.readouterr().err
        assert all(part in error for part in parts), error
    assert show.main([str(laid / "parquet" / "8x8"), "--split", "test"]) == 1
    assert "there is train, validation" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def _bad_image() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": b"no image", "path": None}], "label": [1]}), buffer)
    return buffer.getvalue()
