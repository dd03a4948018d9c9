"""Two cards made one: what is computed from ours, what is written from theirs."""

import itertools
from contextlib import suppress

import pytest

from loaders import Problem
from publish import merge

OURS = (
    "---\nlicense: other\nsize_categories:\n- n<1K\nconfigs:\n- config_name: 8x8\ndataset_info: []\n---\nProse.\n"
    "<!-- begin measured: sizes -->\n[1](a)\n<!-- end measured: sizes -->\nEnd.\n"
)
PUBLISHED = merge.digests(OURS, "ours")


@pytest.mark.parametrize("text", ["---\na: [1\n---\nBroken.\n", "---\n- a list\n---\n", "Nothing.\n", "", "---\n---\n"])
def test_what_cannot_be_read_is_given_up_only_when_told_to(text: str) -> None:
    with pytest.raises(Problem, match=r"^x/README\.md: "):
        merge.merge(OURS, text.encode(), PUBLISHED, "x/README.md")
    assert merge.merge(OURS, text.encode(), PUBLISHED, "x/README.md", overwrite=True) == OURS


BILLIONS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
    for last, name in itertools.pairwise("abcdefghi")
)


@pytest.mark.keeps("B7", "P13")
@pytest.mark.parametrize(
    "head", [BILLIONS, "a: &a [*a]\n", "a: " + "[" * 5000 + "\n", "a: 2012-99-99\n", "a: !!python/name:os\n"]
)
def test_yaml_that_stands_for_more_than_it_says(head: str) -> None:
    text = OURS.replace("---\n", f"---\n{head}", 1).encode()
    with suppress(Problem):  # or it is read, as a text
        merge.merge(OURS, text, PUBLISHED, "x/README.md")
    if head is BILLIONS:
        with pytest.raises(Problem, match=r"x/README.md: its YAML stands for more than 100,000 values"):
            merge.merge(OURS, text, PUBLISHED, "x/README.md")


def test_a_card_that_is_no_text() -> None:
    text = OURS.encode() + b"\xff"
    with pytest.raises(Problem, match=r"x/README.md: expected UTF-8, but invalid start byte at byte [\d,]+"):
        merge.merge(OURS, text, PUBLISHED, "x/README.md")
    assert merge.merge(OURS, text, PUBLISHED, "x/README.md", overwrite=True) == OURS


def test_a_part_that_looks_like_data_is_shown_as_text() -> None:
    theirs = OURS.replace("[1](a)", "[2](b)")
    with pytest.raises(Problem, match=r"-\[2\]\(b\)\n\+\[1\]\(a\)"):
        merge.merge(OURS, theirs.encode(), PUBLISHED, "x/README.md")


def test_prose_that_nobody_edited_is_renewed() -> None:
    newer = OURS.replace("Prose.", "Better prose.")
    assert merge.merge(newer, OURS.encode(), PUBLISHED, "x/README.md") == newer


def test_prose_that_somebody_edited_is_theirs() -> None:
    newer, theirs = OURS.replace("Prose.", "Better prose."), OURS.replace("Prose.", "Their prose.")
    newer = newer.replace("[1](a)", "[2](b)")
    assert merge.merge(newer, theirs.encode(), PUBLISHED, "x/README.md") == theirs.replace("[1](a)", "[2](b)")


def test_a_part_that_is_new_comes_last() -> None:
    new = "<!-- begin decoder -->\ncode\n<!-- end decoder -->\n"
    theirs = OURS.replace("Prose.", "Their prose.")
    assert merge.merge(OURS + new, theirs.encode(), PUBLISHED, "x/README.md") == f"{theirs}\n{new}"


def test_lines_that_end_as_on_windows_are_no_edit() -> None:
    assert merge.merge(OURS, OURS.replace("\n", "\r\n").encode(), PUBLISHED, "x/README.md") == OURS
