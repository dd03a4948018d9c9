"""Two cards made one: what is computed from ours, what is written from theirs."""

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
