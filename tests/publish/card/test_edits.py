"""Edits of what is computed stop its renewal, each kind alone; also in cards of a time without seals."""

import re
from collections.abc import Callable

import pytest

from loaders import Problem
from publish import manifest
from publish.card import marks, merge
from publish.card.owned import owned
from publish.card.segments import read
from publish.manifest import Manifest
from tests.kit.before import as_before
from tests.publish.card.test_merge import LAID_OUT, NEW, NEWER, OURS, WHERE
from tests.publish.test_manifest import MANIFEST

OLDER, _LISTED = as_before(OURS, MANIFEST.dump(), ("Prose.", "Prose. Older."))
THEN = manifest.load(_LISTED, "then")


def merged(theirs: str, then: Manifest, overwrite: bool = False) -> str:
    return merge.merged(NEWER, NEW, theirs.encode(), then, WHERE, overwrite).decode()


Edit = Callable[[str], str]
EDITS: dict[str, tuple[Edit, str, str]] = {
    "a number": (
        lambda text: text.replace("num_examples: 3", "num_examples: 4"),
        "yaml dataset_info",
        '-    "num_examples": 4',
    ),
    "a line": (
        lambda text: re.sub(r"(<!-- begin measured: sizes.*-->\n)", r"\1A line of a person.\n", text),
        "part measured: sizes",
        "-A line of a person.",
    ),
    "no part": (
        lambda text: re.sub(r"(?s)<!-- begin measured: sizes.*<!-- end measured: sizes -->\n", "", text),
        "part measured: sizes",
        "+[2](b)",
    ),
    "no key": (
        lambda text: re.sub(r"size_categories:\n- .*\n", "", text, count=1),
        "yaml size_categories",
        '+ "1K<n<10K"',
    ),
}


@pytest.mark.keeps("P13")
@pytest.mark.parametrize("how", EDITS)
@pytest.mark.parametrize(("text", "then"), [(OURS, MANIFEST), (OLDER, THEN)], ids=["sealed", "without seals"])
def test_an_edit_of_ours_stops_with_a_diff(how: str, text: str, then: Manifest) -> None:
    edit, name, line = EDITS[how]
    assert edit(text) != text
    with pytest.raises(Problem) as caught:
        merged(edit(text), then)
    said = str(caught.value)
    assert f"computed parts of the card were edited by a person: {name}. Nothing was changed." in said
    assert f"--- there: {name}\n+++ ours: {name}\n" in said
    assert f"\n{line}\n" in said
    found = merged(edit(text), then, overwrite=True)
    assert {key: read(found, WHERE).front.values[key] for key in owned(NEW)} == owned(NEW)
    assert "A line of a person." not in found
    assert found.count("[2](b)") == 1
    assert merged(found, NEW) == found


@pytest.mark.keeps("P10", "P13")
@pytest.mark.parametrize("how", ["", *LAID_OUT])
def test_a_card_of_a_time_without_seals_is_sealed(how: str) -> None:
    """Its prose is renewed if nobody edited what is written by hand."""
    found = merged(LAID_OUT[how](OLDER) if how else OLDER, THEN)
    assert marks.seals(found)
    nothing_of_theirs = ("", "a key in quotes", "lines that end as on Windows", "some of them")
    assert ("Older." not in found) == (how in nothing_of_theirs)
    assert merged(found, NEW) == found
