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
from tests.kit.building import RESIZED, build, make, rows_of, tree
from tests.kit.pushing import front
from tests.publish.build.test_build import other_train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository of two configs; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    build(archives.resized(make(folder / "archives"), [8, 16]), folder / "out")
    return folder / "out"


@pytest.fixture
def folder(made: Path, laid: archives.Laid, tmp_path: Path) -> Path:
    """The same, of which one config is going to have other rows."""
    shutil.copytree(made, tmp_path / "out")
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
def test_an_edit_of_theirs_survives(folder: Path, laid: archives.Laid) -> None:
    edit(folder, lambda text: in_prose(in_a_key(in_a_name(text))))
    build(laid, folder.parent)
    traces = ("Written by a person, with an umlaut: ü.", "\npretty_name: Another name\n", '("their-lab/images", ')
    assert [text_of(folder).count(trace) for trace in traces] == [1, 1, 1]
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
def test_an_edit_of_ours_stops_with_a_diff(folder: Path, laid: archives.Laid) -> None:
    edit(folder, lambda text: in_prose(in_our_key(in_our_part(text))))
    before = tree(folder)
    said = build(laid, folder.parent, code=1)
    assert said.startswith(f"error: {folder}/README.md: computed parts of the card were edited")
    assert ": yaml dataset_info, part measured: sizes. Nothing was changed." in said
    assert '\n-    "num_examples": 61' in said
    assert "\n-A line of a person." in said
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


def test_a_manifest_that_someone_removed_comes_back(made: Path, laid: archives.Laid, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "out")
    (tmp_path / "out" / RESIZED / manifest.NAME).unlink()
    build(laid, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(made)
