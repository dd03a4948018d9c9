"""A regeneration keeps the name of each row's photograph, and what is built from it has a column of them."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from loaders import Problem, imagenet_resized
from publish import __main__ as cli
from publish import check
from publish.regenerate import __main__ as regenerate
from publish.regenerate.batching import check_pickles
from publish.regenerate.settings import Settings
from tests.kit import archives as kit
from tests.kit import contract
from tests.kit.regenerating import LABELS, PER_CLASS, Originals, center, lay_folders, members, plain_pillow, train_zips


def made(source: Path, out: Path, *options: object) -> Path:
    words = ["--source", source, "--out", out, "--workers", 1, *options]
    assert regenerate.main([str(word) for word in words]) == 0
    return out


@pytest.fixture(scope="module")
def archives(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every second class in an order of its own, squeezed and cut out. Not to be changed."""
    out = tmp_path_factory.mktemp("named")
    for options in (["--sizes", 8], ["--sizes", 12, "--crop", "center"]):
        made(source, out, *options, "--subsample", 2, "--seed", 5)
    return out


def files(originals: Originals, split: str) -> dict[str, tuple[bytes, int]]:
    return {name: (file, label) for name, file, label in originals.rows(split)}


def test_every_row_of_a_batch_has_its_name(archives: Path, originals: Originals) -> None:
    known, seen = files(originals, "train"), set()
    for _, batch in train_zips(archives, 8):
        for row, label, name in zip(batch["data"], batch["labels"], batch["file_names"].tolist(), strict=True):
            file, own = known[name.decode()]
            assert (row.tobytes(), label) == (plain_pillow(file, 8), own)
            seen.add(name)
    assert len(seen) == len(LABELS[::2]) * PER_CLASS
    ((_, batch),) = members(archives / "Imagenet8_val_npz.zip")
    assert batch["file_names"].tolist() == sorted(batch["file_names"].tolist())


def test_pickles_hold_the_names_too(source: Path, archives: Path, tmp_path: Path) -> None:
    """As an array that upstream's readers pass over, and a reader of this project takes."""
    import pickle

    out = made(source, tmp_path / "out", "--sizes", 8, "--format", "pickle", "--subsample", 2, "--seed", 5)
    for number, (_, batch) in enumerate(train_zips(archives, 8), 1):
        loaded = pickle.loads((out / "Imagenet8_train" / f"train_data_batch_{number}").read_bytes())
        assert loaded["file_names"].tolist() == batch["file_names"].tolist()
    plans = contract.plans(
        "imagenet_resized", "8x8", tmp_path, partial=False
    )  # its sidecar lies below, they lower still
    assert [archive.origin for plan in plans for archive in plan.archives] == ["regenerated"] * 11
    builders = [
        imagenet_resized.Builder(config_name="8x8", data_dir=str(place), cache_dir=str(tmp_path))
        for place in (archives, out)
    ]
    one, two = (list(builder.as_streaming_dataset(split="train")) for builder in builders)
    assert one == two
    assert list(one[0]) == ["image", "label", "file_name"]


def test_the_library_s_door_opens_configs_that_are_not_upstream_s(archives: Path, tmp_path: Path) -> None:
    builder = imagenet_resized.Builder(config_name="12x12-center", data_dir=str(archives), cache_dir=str(tmp_path))
    row = next(iter(builder.as_streaming_dataset(split="validation")))
    assert (row["image"].size, list(row)) == ((12, 12), ["image", "label", "file_name"])
    with pytest.raises(ValueError, match="'12x12-left-right' not found"):
        imagenet_resized.Builder(config_name="12x12-left-right", data_dir=str(archives), cache_dir=str(tmp_path))


def test_photographs_that_are_left_out_take_their_names_with_them(originals: Originals, tmp_path: Path) -> None:
    """Wherever they stood in a batch, the others keep their own."""
    source, broken = lay_folders(tmp_path / "in", originals), set()
    for name, _, _ in originals.rows("train")[::9]:
        (source / "train" / name.partition("_")[0] / name).write_bytes(b"no photograph")
        broken.add(name)
    out, known = made(source, tmp_path / "out", "--sizes", 8, "--allow-damaged"), files(originals, "train")
    seen = set()
    for _, batch in train_zips(out, 8):
        for row, name in zip(batch["data"], batch["file_names"].tolist(), strict=True):
            assert row.tobytes() == plain_pillow(known[name.decode()][0], 8)
            seen.add(name.decode())
    assert seen == set(known) - broken


@pytest.mark.parametrize(("size", "is_refused"), [(105, False), (106, True), (147, True)])
def test_a_batch_that_no_pickle_of_upstreams_holds_is_refused(size: int, is_refused: bool, tmp_path: Path) -> None:
    """All of ILSVRC: 128,123 photographs in the last batch of train, and pickles of protocol 3 end at 4 GiB."""
    settings = Settings(tmp_path, tmp_path, (8, size), format="pickle")
    found = {"train": range(1_281_167), "validation": range(50_000)}
    with pytest.raises(Problem, match=rf"128,123 photographs of {size} pixels") if is_refused else nullcontext():
        check_pickles(settings, found)
    check_pickles(replace(settings, format="npz"), found)


@pytest.fixture(scope="module")
def hub(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub")
    for config in ("8x8", "12x12-center"):
        build(out, f"imagenet_resized/{config}", archives)
    return out / "imagenet_resized"


def build(out: Path, config: str, source: Path, *options: str) -> None:
    assert cli.main(["--config", config, "--source", str(source), "--out", str(out), "--workers", "1", *options]) == 0


@pytest.mark.parametrize("config", ["8x8", "12x12-center"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_what_is_built_loads_with_its_names(
    config: str, split: str, hub: Path, originals: Originals, tmp_path: Path
) -> None:
    ds = datasets.load_dataset(str(hub), config, split=split, cache_dir=str(tmp_path))
    known = files(originals, split)
    assert len(ds) > 4
    for row in ds:
        file, label = known[row["file_name"]]
        assert row["label"] == label - 1
        planes = np.asarray(row["image"]).transpose(2, 0, 1).tobytes()
        assert planes == (center(file, 12) if "center" in config else plain_pillow(file, 8))


def test_a_check_and_the_card_know_the_column(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([str(hub), "--data"]) == 0
    assert "file_name: names" in capsys.readouterr().out
    builder = datasets.load_dataset_builder(str(hub), "8x8")
    assert list(builder.info.features) == ["image", "label", "file_name"]
    card = (hub / "README.md").read_text(encoding="utf-8")
    assert "In `8x8`, `12x12-center` the column `file_name` is ILSVRC's own name" in card
    assert "| `file_name` | `string` | ILSVRC's name" in card
    assert "- `12x12-center`: 12x12 pixels, the middle of each photograph, cut out as ADM and EDM do." in card
    assert "photographs squeezed by" not in card  # 8x8 is the authors'


def test_names_of_some_configs_alone_are_told_so(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An upstream-shaped config beside: in one repository, each config has its own columns."""
    shutil.copytree(hub, tmp_path / "hub" / "imagenet_resized")
    laid = archives_of_upstream(tmp_path / "upstream")
    build(tmp_path / "hub", "imagenet_resized/8x8", laid, "--allow-partial")
    assert check.main([str(tmp_path / "hub" / "imagenet_resized")]) == 0
    assert "That column is in 12x12-center alone." in capsys.readouterr().out
    card = (tmp_path / "hub" / "imagenet_resized" / "README.md").read_text(encoding="utf-8")
    assert "In `12x12-center` the column `file_name`" in card
    assert "| `file_name` | `string` | in `12x12-center` alone: ILSVRC's name" in card
    assert "In `8x8` it is not known which photograph a row is" in card


def archives_of_upstream(folder: Path) -> Path:
    folder.mkdir()
    return kit.resized(folder, [8]).folder


def test_names_of_one_split_alone_are_left_out_with_leave_and_counted(archives: Path, tmp_path: Path) -> None:
    """Train as it was regenerated, validation as upstream has it. What happens without leave: loaders/base/heads."""
    folder = archives_of_upstream(tmp_path / "mixed")
    shutil.copy(archives / "Imagenet8_train_npz.zip", folder)
    train, validation = contract.plans("imagenet_resized", "8x8", folder)
    assert contract.read(train).column_names == contract.read(validation).column_names == ["image", "label"]
    assert train.skipped == {"file name, left out since not all batches of the config have any": train.rows}
    assert not validation.skipped
