"""Two cards made one: what is computed from ours, what is written from theirs."""

import itertools
from contextlib import suppress

import pytest

from loaders import Problem
from publish.card import merge

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


NEWER = OURS.replace("n<1K", "1K<n<10K").replace("[1](a)", "[2](b)")


def merged(theirs: str, ours: str = NEWER) -> str:
    return merge.merge(ours, theirs.encode(), PUBLISHED, "x/README.md")


def renewed(text: str) -> str:
    """Return a card with the counts of the newer one, and nothing else of it."""
    return text.replace("n<1K", "1K<n<10K").replace("[1](a)", "[2](b)")


LAID_OUT = {
    "comments": OURS.replace("other\n", "other  # agreed\n").replace("configs:", "# the default first\n\nconfigs:"),
    "a comment at the end": OURS.replace("dataset_info: []\n", "dataset_info: []  # of the footers\n# the last\n"),
    "a key of theirs": OURS.replace("configs:", "tags:\n    -  a\n    - 'b'\n? more\n: {c: 1,\n    d: 2}\nconfigs:"),
    "other keys first": OURS.replace("license: other\n", "").replace("[]\n---", "[]\nlicense: other\n---"),
    "a key in quotes": OURS.replace("configs:", '"configs" :').replace(
        "- config_name: 8x8", "  -   config_name: '8x8'"
    ),
    "spaces at ends of lines": OURS.replace("other\n", "other  \n").replace("Prose.", "Prose.  "),
    "lines that end as on Windows": OURS.replace("\n", "\r\n"),
    "some of them": OURS.replace("Prose.\n", "Prose.\r\n").replace("other\n", "other\r\n"),
    "prose": OURS.replace("Prose.", "Their prose.").replace("End.", "Their end."),
}


@pytest.mark.keeps("P13")
@pytest.mark.parametrize("how", LAID_OUT)
def test_what_is_not_computed_stays_to_the_character(how: str) -> None:
    theirs = LAID_OUT[how]
    assert theirs != OURS
    assert merged(theirs, OURS) == theirs
    assert merged(theirs) == renewed(theirs) != theirs
    assert merged(renewed(theirs)) == renewed(theirs)


def test_comments_among_computed_lines_stop_their_renewal_alone() -> None:
    theirs = OURS.replace("- n<1K", "# counted by hand\n- n<1K  # really").replace(
        "- config_name", "# first\n- config_name"
    )
    assert merged(theirs, OURS) == theirs
    with pytest.raises(Problem) as caught:
        merged(theirs)
    said = str(caught.value)
    assert "computed parts of the card were edited by a person: yaml size_categories. Nothing was changed." in said
    assert "\n-# counted by hand\n-- n<1K  # really\n" in said
    found = merge.merge(NEWER, theirs.encode(), PUBLISHED, "x/README.md", overwrite=True)
    assert found == NEWER.replace("- config_name", "# first\n- config_name")


def test_prose_is_renewed_around_keys_that_are_laid_out_otherwise() -> None:
    newer, how = (
        OURS.replace("Prose.", "Better prose."),
        ("- config_name: 8x8", "  # the only one\n  - config_name: 8x8"),
    )
    assert merged(OURS.replace(*how), newer) == newer.replace(*how)
    assert merged(OURS.replace("\n", "\r\n"), newer) == newer.replace("\n", "\r\n")


@pytest.mark.keeps("P13")
def test_a_part_that_stands_twice() -> None:
    """Both copies are renewed, and an edit of either is one."""
    part = OURS[OURS.index("<!-- begin") : OURS.index("End.")]
    assert merged(OURS + part) == renewed(OURS + part)
    for theirs in (OURS + part.replace("[1](a)", "Theirs."), OURS.replace("[1](a)", "Theirs.") + part):
        with pytest.raises(Problem, match=r"edited by a person: part measured: sizes\.(?s:.*)\n-Theirs\.\n"):
            merged(theirs)
        assert merge.merge(NEWER, theirs.encode(), PUBLISHED, "x", overwrite=True) == renewed(OURS + part)


ENTANGLED = [
    (
        "---\nlicense: other\n",
        "---\n{license: other, size_categories: [n<1K], configs: [{config_name: 8x8}], dataset_info: []}\n",
    ),
    ("size_categories:\n- n<1K\n", "size_categories: &n\n- n<1K\ntheirs: *n\n"),
    ("size_categories:\n- n<1K\n", "theirs: &n\n- n<1K\nsize_categories: *n\n"),
    ("size_categories:\n", "? size_categories\n:\n"),
]


@pytest.mark.parametrize(("plain", "entangled"), ENTANGLED)
def test_keys_that_have_no_lines_of_their_own(plain: str, entangled: str) -> None:
    theirs = OURS.replace(plain, entangled)
    if "{" in entangled:
        theirs = entangled + OURS[OURS.index("---\nProse") :]
    assert merged(theirs, OURS) == theirs
    with pytest.raises(Problem, match=r"x/README\.md: its YAML or its marks are written so that .* be renewed alone"):
        merged(theirs)
    assert merge.merge(NEWER, theirs.encode(), PUBLISHED, "x", overwrite=True) == NEWER


def test_a_card_that_was_there_before() -> None:
    theirs = "---\r\nlicense: mit  # ours\r\n---\r\n# Theirs"
    found = merge.merge(OURS, theirs.encode(), {}, "x/README.md")
    keys = OURS[OURS.index("size_categories") : OURS.index("---\nProse")].replace("\n", "\r\n")
    part = OURS[OURS.index("<!-- begin") : OURS.index("End.")].replace("\n", "\r\n")
    assert found == f"---\r\nlicense: mit  # ours\r\n{keys}---\r\n# Theirs\r\n{part}"
