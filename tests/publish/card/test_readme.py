"""The README of a folder is people's as well: what they wrote stays, what is computed is renewed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from publish import manifest
from publish.card.owned import KEYS, owned
from tests.kit import archives
from tests.kit.before import as_before
from tests.kit.building import RESIZED, build, rows_of, tree
from tests.kit.pushing import front
from tests.publish.build.test_build import other_train


@pytest.fixture
def folder(laid: archives.Laid, tmp_path: Path) -> Path:
    """A repository of two configs, of which one is going to have other rows."""
    build(laid, tmp_path / "out")
    other_train(laid.folder, 8, 40)
    return tmp_path / "out" / RESIZED


def edit(folder: Path, change: Callable[[str], str]) -> None:
    """Let a person edit the card."""
    before = text_of(folder)
    assert change(before) != before
    (folder / "README.md").write_text(change(before))


def text_of(folder: Path) -> str:
    return (folder / "README.md").read_text()


def is_renewed(folder: Path) -> bool:
    """Say whether the rows are those of the second build, and the computed keys what its manifest says."""
    found, data = manifest.read(folder), front(text_of(folder))
    assert found
    assert "| `8x8` | train | 40 |" in text_of(folder)
    return rows_of(folder.parent, "8x8") == 40 and {key: data[key] for key in KEYS} == owned(found)


def in_prose(text: str) -> str:
    return text + "\n## A word of ours\n\nWritten by a person, with an umlaut: ü.\n"


def in_a_key(text: str) -> str:
    return re.sub(r"(?m)^pretty_name: .*$", "pretty_name: Another name", text)


def in_a_name(text: str) -> str:
    return re.sub(r'load_dataset\("[^"]*"', 'load_dataset("their-lab/images"', text, count=1)


@pytest.mark.keeps("P13")
@pytest.mark.parametrize(
    ("change", "trace"),
    [
        (in_prose, "Written by a person, with an umlaut: ü."),
        (in_a_key, "\npretty_name: Another name\n"),
        (in_a_name, 'load_dataset("their-lab/images", '),
    ],
)
def test_an_edit_of_theirs_survives(
    change: Callable[[str], str], trace: str, folder: Path, laid: archives.Laid
) -> None:
    edit(folder, change)
    build(laid, folder.parent)
    assert text_of(folder).count(trace) == 1
    assert 'load_dataset("my-lab/imagenet_resized"' in text_of(folder)
    assert is_renewed(folder)
    before = tree(folder)
    build(laid, folder.parent)
    assert tree(folder) == before


def in_our_key(text: str) -> str:
    return text.replace("num_examples: 60", "num_examples: 61", 1)


def in_our_part(text: str) -> str:
    return re.sub(r"(<!-- begin measured: sizes seal=\w+ -->\n)", r"\1A line of a person.\n", text)


@pytest.mark.keeps("P13")
@pytest.mark.parametrize(
    ("change", "name", "line"),
    [
        (in_our_key, "yaml dataset_info", '-    "num_examples": 61'),
        (in_our_part, "part measured: sizes", "-A line of a person."),
    ],
)
def test_an_edit_of_ours_stops_with_a_diff(
    change: Callable[[str], str], name: str, line: str, folder: Path, laid: archives.Laid
) -> None:
    edit(folder, lambda text: in_prose(change(text)))
    before = tree(folder)
    said = build(laid, folder.parent, code=1)
    assert said.startswith(f"error: {folder}/README.md: computed parts of the card were edited")
    assert f": {name}. Nothing was changed." in said
    assert f"\n{line}" in said
    assert tree(folder) == before
    build(laid, folder.parent, "--overwrite-card")
    assert "Written by a person" in text_of(folder)
    assert "A line of a person" not in text_of(folder)
    assert is_renewed(folder)


def test_nothing_on_a_card_or_in_a_manifest_tells_where_it_lies(
    folder: Path, laid: archives.Laid, tmp_path: Path
) -> None:
    """What is put onto the Hub by hand is right there, too; and a folder that was moved has nothing to renew."""
    build(laid, folder.parent)
    before = tree(folder.parent)
    assert [path for path in (folder / "README.md", folder / manifest.NAME) if str(tmp_path) in path.read_text()] == []
    shutil.move(folder.parent, tmp_path / "elsewhere")
    build(laid, tmp_path / "elsewhere")
    assert tree(tmp_path / "elsewhere") == before


def test_a_card_of_a_time_without_seals_names_its_place_no_more(folder: Path, laid: archives.Laid) -> None:
    """Nobody edited it, so it becomes what is written today."""
    build(laid, folder.parent)
    today = tree(folder)
    listed, other = (folder / manifest.NAME).read_text(), ("ImageNet's;", "that of ImageNet;")
    older, digests = as_before(text_of(folder), listed, other, str(folder))
    assert older.count(str(folder)) > 3
    (folder / "README.md").write_text(older)
    (folder / manifest.NAME).write_text(digests)
    build(laid, folder.parent)
    assert tree(folder) == today


@pytest.mark.keeps("B11")
def test_a_card_of_which_nothing_is_left_is_written_anew(folder: Path, laid: archives.Laid) -> None:
    """A power cut may leave that."""
    (folder / "README.md").write_bytes(b"")
    build(laid, folder.parent)
    assert is_renewed(folder)


@pytest.mark.keeps("P13", "P14")
def test_a_folder_that_was_never_ours(laid: archives.Laid, tmp_path: Path) -> None:
    """Its README gets our keys and parts; it may as well be no card."""
    folder = tmp_path / "out" / RESIZED
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("Notes.\n")
    said = build(laid, folder.parent, code=1)
    assert "README.md: expected a card that starts with YAML between lines of ---; found none" in said
    assert tree(folder).keys() == {"README.md"}
    (folder / "README.md").write_text("---\nlicense: other\n---\n# Theirs\n")
    build(laid, folder.parent)
    assert text_of(folder).startswith("---\nlicense: other\n")
    assert "# Theirs\n" in text_of(folder)
    assert "| `8x8` | train | 60 |" in text_of(folder)


@pytest.mark.keeps("P14", "P19")
@pytest.mark.parametrize(
    "path", ["classes.tsv", "8x8/validation-00000-of-00001.parquet", "pictures/mean-8x8-train.png"]
)
def test_a_file_of_theirs_at_a_path_of_ours_is_left_alone(path: str, laid: archives.Laid, tmp_path: Path) -> None:
    folder = tmp_path / "out" / RESIZED
    (folder / path).parent.mkdir(parents=True)
    (folder / path).write_text("Theirs.\n")
    before = tree(folder)
    said = build(laid, folder.parent, code=1)
    assert f"{folder}: holds another file at {path}, which no manifest.json lists as this project's" in said
    assert tree(folder) == before


def test_a_manifest_that_someone_removed_comes_back(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = tree(out)
    (out / RESIZED / manifest.NAME).unlink()
    build(laid, out)
    assert tree(out) == before
