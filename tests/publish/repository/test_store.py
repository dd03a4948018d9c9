"""Repositories in an object store, which has no step that puts a whole folder in the place of another."""

import json
import uuid
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from loaders.files.places import place
from publish import manifest
from publish.__main__ import main
from publish.repository import store
from tests.kit import archives
from tests.kit.building import RESIZED
from tests.publish.build.test_build import other_train


@pytest.fixture
def out() -> Path:
    """A store of this process, for repositories."""
    return place(f"memory://{uuid.uuid4().hex}")


def build(laid: archives.Laid, out: Path, *options: str, code: int = 0) -> None:
    wanted = ["--config", f"{RESIZED}/8x8", "--source", str(laid.folder), "--allow-partial", "--workers", "1"]
    assert main([*wanted, "--out", str(out), *options]) == code


def contents(out: Path) -> dict[str, bytes]:
    """Return the files of the repository."""
    folder = out / RESIZED
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> int:
    found = manifest.read(out / RESIZED)
    assert found
    return found.configs["8x8"]["train"].rows


def edit(out: Path) -> None:
    """Let a person add a word to the card."""
    readme = out / RESIZED / "README.md"
    readme.write_text(f"{readme.read_text()}\nWritten by a person.\n")


def test_a_store_that_may_not_be_written_to(
    laid: archives.Laid, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is done there."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise FileNotFoundError("there is no such bucket")

    monkeypatch.setattr(cast(Any, out).fs, "_open", refuse)
    build(laid, out, code=1)
    said = capsys.readouterr().err
    assert f"error: cannot write to {out} (FileNotFoundError: there is no such bucket). " in said
    assert "rows in" not in said


@pytest.mark.keeps("B9")
def test_all_is_as_in_a_folder(laid: archives.Laid, out: Path, tmp_path: Path) -> None:
    build(laid, out)
    build(laid, tmp_path / "out")
    here, there = contents(tmp_path / "out"), contents(out)
    assert {path.removeprefix(f"{out}/"): text for path, text in there.items()} == {
        path.removeprefix(f"{tmp_path}/out/"): text for path, text in here.items()
    }


@pytest.mark.keeps("P13", "B11")
def test_an_edit_of_theirs_survives(laid: archives.Laid, out: Path) -> None:
    build(laid, out)
    edit(out)
    other_train(laid.folder, 8, 40)
    build(laid, out)
    text = (out / RESIZED / "README.md").read_text()
    assert text.endswith("\nWritten by a person.\n")
    assert "| `8x8` | train | 40 |" in text
    before = contents(out)
    build(laid, out)
    assert contents(out) == before


@pytest.mark.keeps("P13")
def test_an_edit_of_ours_stops_with_a_diff(laid: archives.Laid, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(laid, out)
    readme = out / RESIZED / "README.md"
    readme.write_text(readme.read_text().replace("num_examples: 60", "num_examples: 61"))
    before = contents(out)
    build(laid, out, code=1)
    assert '\n-    "num_examples": 61' in capsys.readouterr().err
    assert contents(out) == before
    build(laid, out, "--overwrite-card")
    assert "num_examples: 61" not in readme.read_text()


@pytest.mark.keeps("P14")
def test_a_file_of_theirs_at_a_path_of_ours_is_left_alone(
    laid: archives.Laid, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / RESIZED / "classes.tsv").write_text("Theirs.\n")
    before = contents(out)
    build(laid, out, code=1)
    assert f"{out / RESIZED}: holds another file at classes.tsv" in capsys.readouterr().err
    assert contents(out) == before


def test_a_repository_of_another_dataset_is_told(
    built: Path, laid: archives.Laid, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / RESIZED / manifest.NAME).write_bytes((built / "imagenet_v2" / manifest.NAME).read_bytes())
    before = contents(out)
    build(laid, out, code=1)
    assert "expected the manifest of imagenet_resized, found that of imagenet_v2" in capsys.readouterr().err
    assert contents(out) == before


@pytest.mark.keeps("B2", "P13")
def test_what_was_edited_before_a_run_that_was_stopped(
    laid: archives.Laid, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its last steps, when card and manifest are gone; and then with yet other archives."""
    build(laid, out)
    edit(out)
    for count in (40, 50):
        other_train(laid.folder, 8, count)
        with monkeypatch.context() as patch:
            patch.setattr(store, "copy", broken)
            build(laid, out, code=1)
        assert not (out / RESIZED / "README.md").exists()
    build(laid, out)
    assert rows(out) == 50
    assert "\nWritten by a person.\n" in (out / RESIZED / "README.md").read_text()


NOTES = {
    "cut": '{"old": "',
    "no object": "[]",
    "empty": "",
    "no text": '{"old": 3, "new": []}',
    "no list": '{"old": "", "new": "8x8"}',
    "no paths": '{"old": "", "new": [8]}',
    "no card": '{"old": "", "new": [], "readme": 1}',
    "other words": '{"older": ""}',
}


@pytest.mark.parametrize("note", NOTES)
def test_a_note_of_a_stopped_run_that_is_none(
    note: str, laid: archives.Laid, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = out / ".partial" / f"{RESIZED}.json"
    place.write_text(NOTES[note])
    build(laid, out, code=1)
    assert f"error: {place}: expected the note of a run that was stopped" in capsys.readouterr().err
    assert contents(out) == {}
    place.unlink()
    build(laid, out)
    assert rows(out) == 60


def test_a_note_of_an_older_release(laid: archives.Laid, out: Path) -> None:
    """It knew neither of the card nor of the pictures."""
    build(laid, out)
    old, shard = (out / RESIZED / manifest.NAME).read_text(), "8x8/train-00000-of-00009.parquet"
    for name in ("README.md", manifest.NAME):
        (out / RESIZED / name).unlink()
    (out / RESIZED / shard).write_text("half done")
    (out / ".partial" / f"{RESIZED}.json").write_text(json.dumps({"old": old, "new": [shard]}))
    other_train(laid.folder, 8, 40)
    build(laid, out)
    assert rows(out) == 40
    assert str(out / RESIZED / shard) not in contents(out)


def broken(origin: Path, path: Path) -> None:
    raise OSError(28, "No space left on device", str(path))
