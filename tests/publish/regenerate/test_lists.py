"""What a list names, regenerated: a config of its own, whose archives have the list beside them, and whose card it."""

import hashlib
from pathlib import Path

import pytest

from loaders.ilsvrc import lists
from publish import __main__ as publish
from publish import manifest
from publish.regenerate import __main__ as command
from tests.kit.refusals import says
from tests.kit.regenerating import Originals, members


@pytest.fixture
def few(originals: Originals, tmp_path: Path) -> Path:
    """Three photographs of each class but the last, in no order, by lines of Windows."""
    chosen = [name for photos in list(originals.train.values())[:-1] for name in list(photos)[::8]]
    (tmp_path / "few.txt").write_bytes("".join(f"{name}\r\n" for name in reversed(chosen)).encode())
    return tmp_path / "few.txt"


def made(source: Path, few: Path, capsys: pytest.CaptureFixture[str], *options: object, code: int = 0) -> str:
    where = ["--source", source, "--out", few.parent / "made", "--sizes", 8, "--workers", 1]
    found = command.main([str(each) for each in (*where, *options)])
    said = "".join(capsys.readouterr())
    assert found == code, said
    return said


def names_of(path: Path) -> list[str]:
    return sorted(name.decode() for _, batch in members(path) for name in batch["file_names"].tolist())


def test_a_list_makes_a_config_of_its_own(
    originals: Originals, source: Path, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, classes = few.parent / "made", len(originals.train) - 1
    said = made(source, few, capsys, "--names", few)
    says(said, f"{3 * classes} photographs of {classes} classes, 3 a class", "8x8-few", "a class that train has not")
    assert names_of(out / "Imagenet8_few_train_npz.zip") == sorted(lists.read(few))
    assert len(names_of(out / "Imagenet8_few_val_npz.zip")) == classes
    assert (out / "Imagenet8_few_train.txt").read_bytes() == few.read_bytes()
    says(made(source, few, capsys, "--names", few), "there already")
    hub, config = few.parent / "hub", "imagenet_resized/8x8-few"
    assert publish.main(["--config", config, "--source", str(out), "--out", str(hub), "--workers", "1"]) == 0
    read = manifest.read(hub / "imagenet_resized")
    assert read
    assert read.configs["8x8-few"]["train"].rows == 3 * classes
    card = (hub / "imagenet_resized" / "README.md").read_text()
    says(card, hashlib.sha256(few.read_bytes()).hexdigest(), "A part of ILSVRC 2012", f"{classes} classes, 3 a class")
    assert "All of ILSVRC" not in card
    assert "8x8-few train has" not in card  # it is whole, by its list
    few.write_bytes(few.read_bytes().replace(b"\r", b""))
    says(made(source, few, capsys, "--names", few), "new")  # the same names by another digest
    assert (out / "Imagenet8_few_train.txt").read_bytes() == few.read_bytes()


def test_what_a_subsample_keeps_is_such_a_list(source: Path, few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(source, few, capsys, "--subsample", 2)
    kept = few.parent / "made" / "Imagenet8_train.txt"
    assert lists.read(kept) == names_of(few.parent / "made" / "Imagenet8_train_npz.zip")
    kept.rename(few.with_name("half.txt"))
    made(source, few, capsys, "--names", few.with_name("half.txt"), "--out", few.parent / "again")
    again = few.parent / "again" / "Imagenet8_half_train_npz.zip"
    for (_, one), (_, other) in zip(
        members(few.parent / "made" / "Imagenet8_train_npz.zip"), members(again), strict=True
    ):
        assert one.keys() == other.keys()
        assert all((one[name] == other[name]).all() for name in one)


def test_what_cannot_be_made_of_a_list(source: Path, few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--source", str(source), "--out", "made", "--names", str(few), "--subsample", "2"])
    says("".join(capsys.readouterr()), "leave one of them out")
    few.write_text(few.read_text() + "n01440764_99999.JPEG\n")
    said = made(source, few, capsys, "--names", few, code=1)
    says(said, "1 of the", "few.txt lists are not in it: n01440764_99999.JPEG. Mend the list")
    says(made(source, few, capsys, "--names", few.with_name("lanczos.txt"), code=1), "'lanczos' is taken")
    few.write_text("tench\n")
    says(made(source, few, capsys, "--names", few, code=1), "1 is no name")
    assert not list((few.parent / "made").glob("*"))
