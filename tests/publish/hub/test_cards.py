"""The README on the Hub is people's too: what they wrote stays, what we computed is ours, the rest is not touched.

All kinds of edits at once. Each of them alone: tests/publish/card/test_merge.py and test_edits.py there.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from publish import manifest
from publish.card import marks
from publish.card.owned import KEYS, owned
from tests.kit.before import as_before
from tests.kit.pushing import Desk, card, contents, front, is_whole, read_manifest


@pytest.fixture
def desk(published: Desk) -> Desk:
    """From which 60 rows were published."""
    return published


@pytest.fixture
def newer(desk: Desk) -> Path:
    """Archives of another 40 rows, to be published after the first 60."""
    return desk.folder / "newer"


def edited(desk: Desk, edit: Callable[[str], str]) -> str:
    """Let a person edit the card; return the new head."""
    before = card(desk.repo())
    assert edit(before) != before
    return desk.hub.commit(desk.name(), {"README.md": edit(before).encode()}, title="Edit the card")


def rows_said(text: str) -> int:
    infos = front(text)["dataset_info"]
    return int(infos[0]["splits"][0]["num_examples"])


def part(text: str, name: str) -> str:
    return next(text[part.begin : part.end] for part in marks.parts(text) if part.name == name)


def sizes(text: str) -> str:
    """Return a computed part with its marks."""
    found = re.search(r"(?s)<!-- begin measured: sizes .*?<!-- end measured: sizes -->", text)
    assert found
    return found[0]


def in_prose(text: str) -> str:
    return text + "\n## A word of ours\n\nWritten by a person, with a `snippet` and an umlaut: ü.\n"


def in_their_key(text: str) -> str:
    return text.replace("---\n", "---\n# a comment of theirs\nour_key:\n  nested: [1, two]\n", 1)


def in_a_template_key(text: str) -> str:
    return re.sub(r"(?m)^pretty_name: .*$", "pretty_name: Another name", text)


def with_a_comment(text: str) -> str:
    return text.replace("license: other\n", "license: other  # agreed, do not change\n", 1)


def laid_out(text: str) -> str:
    return re.sub(r"(?m)^tags:\n(?:- .*\n)+", lambda tags: tags[0].replace("\n- ", "\n  - "), text)


def as_on_windows(text: str) -> str:
    return text.replace("\n", "\r\n")


def as_people_do(text: str) -> str:
    """Edit all that is not computed."""
    return in_prose(in_their_key(in_a_template_key(with_a_comment(laid_out(text)))))


@pytest.mark.keeps("P10", "P13")
@pytest.mark.parametrize("edit", [as_people_do, as_on_windows])
def test_all_that_is_not_computed_stays_to_the_character(edit: Callable[[str], str], desk: Desk, newer: Path) -> None:
    """And is no reason for a commit."""
    head = edited(desk, edit)
    assert (desk.push().commits, desk.repo().head()) == (0, head)
    said = desk.push(source=newer)
    there, data = card(desk.repo()), front(card(desk.repo()))
    assert (said.commits, rows_said(there), is_whole(desk.repo())) == (1, 40, True)
    assert {key: data[key] for key in KEYS} == owned(read_manifest(desk.repo()))
    assert desk.push(source=newer).commits == 0
    desk.hub._repos.pop(desk.name())
    desk.forget()
    desk.push(source=newer)
    assert there == edit(card(desk.repo()))
    assert there != card(desk.repo())


def in_our_key(text: str) -> str:
    return text.replace("num_examples: 60", "num_examples: 61")


def in_our_part(text: str) -> str:
    return re.sub(r"(<!-- begin measured: sizes seal=\w+ -->\n)", r"\1A line of a person.\n", text)


def without_our_part(text: str) -> str:
    return text.replace(sizes(text), "")


def without_our_key(text: str) -> str:
    return re.sub(r"(?ms)^size_categories:\n- [^\n]*\n", "", text)


def edited_in(text: str) -> str:
    return in_our_key(in_our_part(text))


def cut_from(text: str) -> str:
    return without_our_key(without_our_part(text))


EDITED = "computed parts of the card were edited by a person: "


@pytest.mark.keeps("P13")
@pytest.mark.parametrize(
    ("edit", "names", "lines"),
    [
        (
            edited_in,
            "yaml dataset_info, part measured: sizes",
            ('-    "num_examples": 61', "-A line of a person."),
        ),
        (cut_from, "yaml size_categories, part measured: sizes", ("+ ", "+| config | split | rows |")),
    ],
)
def test_an_edit_of_ours_stops_with_a_diff_and_goes_on_when_told_to(
    edit: Callable[[str], str], names: str, lines: tuple[str, str], desk: Desk, newer: Path
) -> None:
    head = edited(desk, lambda text: in_prose(edit(text)))
    said = desk.push(source=newer, code=1)
    assert f"{EDITED}{names}. Nothing was changed." in said.text
    for name, line in zip(names.split(", "), lines, strict=True):
        assert f"--- there: {name}\n+++ ours: {name}\n" in said.text
        assert f"\n{line}" in said.text
    assert "--overwrite-card" in said.text
    assert (said.commits, desk.repo().head()) == (0, head)
    desk.push("--overwrite-card", source=newer)
    text = card(desk.repo())
    assert "Written by a person" in text
    assert rows_said(text) == 40
    assert "A line of a person" not in text
    assert {key: front(text)[key] for key in KEYS} == owned(read_manifest(desk.repo()))
    assert "train | 40 |" in part(text, "measured: sizes")
    assert desk.push(source=newer).commits == 0


def test_a_card_that_was_there_before_us(desk: Desk) -> None:
    """A repository made on the Hub's own page comes with one: its prose stays, and it gets our keys and parts."""
    desk.hub._repos.pop(desk.name())
    desk.hub.add_repo(desk.name(), "alice", private=True)
    desk.hub.commit(desk.name(), {"README.md": b"---\nlicense: other\n---\n# Theirs\n"})
    desk.push()
    text = card(desk.repo())
    assert text.startswith("---\nlicense: other\n")
    assert "# Theirs\n" in text
    assert rows_said(text) == 60
    assert "train | 60 |" in part(text, "measured: sizes")
    assert desk.push().commits == 0


def published_before(desk: Desk, edit: Callable[[str], str] = str) -> str:
    """Let the repository be what an older release published, and a person edit its card; return the new head."""
    older = ("The task is ImageNet's;", "Its task is that of ImageNet;")
    text, listed = as_before(card(desk.repo()), desk.repo().read(manifest.NAME).decode(), older)
    files = {"README.md": edit(text).encode(), manifest.NAME: listed.encode()}
    return desk.hub.commit(desk.name(), files, title="Publish 8x8")


@pytest.mark.keeps("P10", "P13")
@pytest.mark.parametrize("edit", [str, as_people_do])
def test_a_card_of_a_time_without_seals(edit: Callable[[str], str], desk: Desk) -> None:
    """One commit seals it, and renews its prose if nobody edited that; and then there is nothing to do."""
    head = published_before(desk, edit)
    assert desk.push().commits == 1
    text = card(desk.repo())
    assert ("Its task is that of ImageNet;" in text) == (edit is not str)
    assert marks.seals(text)
    assert "card" not in json.loads(desk.repo().read(manifest.NAME))
    assert desk.push().commits == 0
    desk.run("publish.restore", desk.name(), head)
    assert "Its task is that of ImageNet;" in card(desk.repo())
    assert [desk.push().commits, desk.push().commits] == [1, 0]


@pytest.mark.keeps("P13")
def test_an_edit_of_ours_in_a_card_of_a_time_without_seals(desk: Desk, newer: Path) -> None:
    head = published_before(desk, in_our_key)
    said = desk.push(source=newer, code=1)
    assert f"{EDITED}yaml dataset_info. Nothing was changed." in said.text
    assert desk.repo().head() == head


@pytest.mark.keeps("P14")
def test_files_of_people_survive(desk: Desk, newer: Path) -> None:
    theirs = {"LICENSE": b"Theirs.\n", "notebooks/look.ipynb": b"{}", "8x8/notes.txt": b"Beside the shards.\n"}
    desk.hub.commit(desk.name(), dict(theirs))
    desk.push(source=newer)
    assert {path: desk.repo().read(path) for path in theirs} == theirs
    assert is_whole(desk.repo())


@pytest.mark.keeps("P14", "P19")
@pytest.mark.parametrize("path", ["classes.tsv", "8x8/validation-00000-of-00001.parquet"])
def test_a_file_of_theirs_at_a_path_of_ours_is_left_alone(path: str, desk: Desk) -> None:
    desk.hub._repos.pop(desk.name())
    desk.hub.add_repo(desk.name(), "alice", private=True)
    head = desk.hub.commit(desk.name(), {path: b"Theirs.\n"})
    said = desk.push(code=1)
    assert f"holds another file at {path}, which this project did not put there. Move it away." in said.text
    assert desk.repo().head() == head


@pytest.mark.keeps("P19")
def test_a_repository_that_could_not_be_loaded_is_refused(desk: Desk) -> None:
    desk.hub._repos.pop(desk.name())
    desk.hub.add_repo(desk.name(), "alice", private=True)
    head = desk.hub.commit(desk.name(), {"imagenet_resized.py": b"# A loading script.\n"})
    said = desk.push(code=1)
    assert "holds imagenet_resized.py, and `datasets` refuses to load a repository with it" in said.text
    assert desk.repo().head() == head


@pytest.mark.parametrize("lost", [["manifest.json"], ["classes.tsv", "8x8/train-00001-of-00002.parquet", "README.md"]])
def test_what_someone_removed_comes_back(lost: list[str], desk: Desk) -> None:
    before = contents(desk.repo())
    desk.hub.commit(desk.name(), dict.fromkeys(lost))
    said = desk.push()
    assert (contents(desk.repo()), said.commits, said.sent) == (before, 1, 0)
