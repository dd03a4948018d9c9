"""Two cards made one: what is computed from ours, what is written from theirs."""

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from loaders import Problem
from publish.card import merge
from publish.card.owned import names, owned
from publish.card.segments import written
from publish.manifest import Manifest
from tests.publish.test_manifest import MANIFEST

TEMPLATE = "---\nlicense: other\n---\nProse.\n<!-- begin measured: sizes -->\n<!-- end measured: sizes -->\nEnd.\n"
ENTRY = MANIFEST.configs["8x8"]["train"]
NEW = replace(MANIFEST, configs={"8x8": {"train": replace(ENTRY, shards=(replace(ENTRY.shards[0], rows=5000),))}})


def card(made: Manifest, template: str = TEMPLATE, sizes: str = "[1](a)\n", **parts: str) -> str:
    return written(template, owned(made), {"measured: sizes": sizes, **parts}, names(made))


OURS, NEWER = card(MANIFEST), card(NEW, sizes="[2](b)\n")
WHERE = "x/README.md"


def merged(theirs: str, new: str = NEWER, now: Manifest = NEW, overwrite: bool = False) -> str:
    return merge.merged(new, now, theirs.encode(), MANIFEST, WHERE, overwrite).decode()


def unchanged(theirs: str) -> bool:
    """Say whether a card stays to the character when there is nothing new."""
    return merged(theirs, OURS, MANIFEST) == theirs


@pytest.mark.parametrize("text", ["---\na: [1\n---\nBroken.\n", "---\n- a list\n---\n", "Nothing.\n", "---\n---\n"])
def test_what_cannot_be_read_is_given_up_only_when_told_to(text: str) -> None:
    with pytest.raises(Problem, match=r"^x/README\.md: "):
        merged(text)
    assert merged(text, overwrite=True) == NEWER


BILLIONS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [*{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}, *{last}]\n"
    for last, name in itertools.pairwise("abcdefghi")
)
MERGED = "a: &a {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1 or ''}, *a{n - 1 or ''}]}}\n" for n in range(1, 60)
)


@pytest.mark.keeps("B7", "P13")
@pytest.mark.parametrize(
    "head",
    [BILLIONS, MERGED, "a: &a [*a]\n", "a: " + "[" * 5000 + "\n", "a: 2012-99-99\n", "a: !!python/name:os\n"],
    ids=["aliases", "merge keys", "itself", "nested", "no date", "an object"],
)
def test_yaml_that_stands_for_more_than_it_says(head: str) -> None:
    text = OURS.replace("---\n", f"---\n{head}", 1)
    with suppress(Problem):  # or it is read, as a text
        merged(text)
    if head in (BILLIONS, MERGED):
        with pytest.raises(Problem, match=r"x/README.md: its YAML stands for more than 100,000 values"):
            merged(text)


MANY = 20_000
ENDLESS = {
    "begins": "<!-- begin measured: sizes -->\n" * MANY,
    "begins of many names": "".join(f"<!-- begin part {n} -->\n" for n in range(MANY)),
    "begins and ends": "<!-- begin a -->\n<!-- begin b -->\n<!-- end a -->\n" * MANY,
    "ends": "<!-- end measured: sizes -->\n" * MANY,
    "no names": "<!-- begin " * MANY + "<!-- begin" + " " * MANY,
    "seals": "<!-- seals prose=0123456789abcdef " * MANY,
    "a seal": "<!-- seals" + " prose=0123456789abcdef" * MANY,
    "fences": "```\n" * MANY + "~~~" * MANY,
    "brackets": "![" * MANY + "<img " * MANY + "<!--" * MANY,
    "lines of ---": "---\n" * MANY,
    "calls": 'load_dataset("' * MANY + 'read_csv("' * MANY,
}
YAML_WITHOUT_END = {
    "keys": "? a\n" * MANY,
    "values": "b:\n" + "- \n" * 10 * MANY,
    "texts": "b: '" + "'" * MANY,
    "numbers": "b: " + "1:" * MANY + "1\n",
    "comments": "# x\n" * MANY,
    "anchors": "b: &a x\n" + "".join(f"c{n}: *a\n" for n in range(MANY)),
}


@pytest.mark.keeps("B7")
@pytest.mark.parametrize("what", [*ENDLESS, *YAML_WITHOUT_END])
def test_what_is_repeated_without_end_takes_no_time(what: str) -> None:
    """100 to 400 KB of it, in a card of ours as those had no seals, so that all ways are gone."""
    if what in ENDLESS:
        text = OURS.partition("<!-- seals")[0] + ENDLESS[what]
    else:
        text = OURS.replace("---\n", f"---\n{YAML_WITHOUT_END[what]}", 1)
    assert len(text) > 20_000
    older = replace(MANIFEST, card={"prose": "0", "part measured: sizes": "0"})
    began = time.process_time()
    with suppress(Problem):
        merge.merged(NEWER, NEW, text.encode(), older, WHERE)
    assert time.process_time() - began < 2


def test_a_card_that_is_no_text() -> None:
    text = OURS.encode() + b"\xff"
    with pytest.raises(Problem, match=r"x/README.md: expected UTF-8, but invalid start byte at byte [\d,]+"):
        merge.merged(NEWER, NEW, text, MANIFEST, WHERE)
    assert merge.merged(NEWER, NEW, text, MANIFEST, WHERE, overwrite=True).decode() == NEWER


def test_a_part_that_looks_like_data_is_shown_as_text() -> None:
    with pytest.raises(Problem, match=r"-\[3\]\(b\)\n\+\[2\]\(b\)"):
        merged(OURS.replace("[1](a)", "[3](b)"))


BETTER = TEMPLATE.replace("Prose.", "Better prose.")


def test_prose_that_nobody_edited_is_renewed() -> None:
    newer = card(NEW, BETTER)
    assert merged(OURS, newer) == newer
    assert merged(newer, newer) == newer


def test_prose_that_somebody_edited_is_theirs() -> None:
    theirs = OURS.replace("Prose.", "Their prose.")
    assert merged(theirs, card(NEW, BETTER, sizes="[2](b)\n")) == NEWER.replace("Prose.", "Their prose.")


def test_prose_that_somebody_edited_back_is_renewed_again() -> None:
    theirs = merged(OURS.replace("Prose.", "Their prose."), card(NEW, BETTER)).replace("Their prose.", "Prose.")
    assert merged(theirs, card(NEW, BETTER)) == card(NEW, BETTER)


def test_yaml_that_somebody_edited_keeps_no_prose_from_being_renewed() -> None:
    theirs, newer = OURS.replace("license: other", "license: mit"), card(NEW, BETTER)
    assert merged(theirs, newer) == newer.replace("license: other", "license: mit").replace(
        seal_of("head", newer), seal_of("head", OURS)
    )


def seal_of(name: str, text: str) -> str:
    return text.partition(f" {name}=")[2][:16]


def test_a_part_that_is_new_comes_last() -> None:
    new = "<!-- begin decoder -->\n<!-- end decoder -->\n"
    theirs = OURS.replace("Prose.", "Their prose.")
    text = merged(theirs, card(MANIFEST, TEMPLATE + new, decoder="code\n"), MANIFEST)
    assert text.startswith(theirs.partition("<!-- seals")[0])
    assert text.partition("End.\n")[2].count("code\n<!-- end decoder -->\n\n<!-- seals") == 1
    assert merged(text, card(MANIFEST, TEMPLATE + new, decoder="code\n"), MANIFEST) == text


Edit = Callable[[str], str]
LAID_OUT: dict[str, Edit] = {
    "comments": lambda text: text.replace("other\n", "other  # agreed\n").replace(
        "configs:", "# the first\n\nconfigs:"
    ),
    "a comment at the end": lambda text: text.replace("\n---\nProse", "\n# the last\n---\nProse"),
    "a key of theirs": lambda text: text.replace(
        "configs:", "tags:\n    -  a\n    - 'b'\n? more\n: {c: 1,\n    d: 2}\nconfigs:"
    ),
    "other keys first": lambda text: text.replace("license: other\n", "").replace(
        "---\nProse", "license: other\n---\nProse"
    ),
    "a key in quotes": lambda text: (
        text.replace("configs:", '"configs" :')
        .replace("- config_name: 8x8\n  data", "-   config_name: '8x8'\n    data", 1)
        .replace("\n  - split: train\n    path", "\n    - split: train\n      path")
        .replace("\n  default", "\n    default")
    ),
    "spaces at ends of lines": lambda text: text.replace("other\n", "other  \n").replace("Prose.", "Prose.  "),
    "lines that end as on Windows": lambda text: text.replace("\n", "\r\n"),
    "some of them": lambda text: text.replace("Prose.\n", "Prose.\r\n").replace("other\n", "other\r\n"),
    "prose": lambda text: text.replace("Prose.", "Their prose. \U0001f600").replace("End.", "Their end."),
    "what follows": lambda text: f"{text}\nMore of theirs.\n",
    "letters of many bytes": lambda text: text.replace("license", "\u00fc: \U0001f600\u2028\nlicense"),
}


@pytest.mark.keeps("P13")
@pytest.mark.parametrize("how", LAID_OUT)
def test_what_is_not_computed_stays_to_the_character(how: str) -> None:
    edit = LAID_OUT[how]
    assert edit(OURS) != OURS
    assert unchanged(edit(OURS))
    assert merged(edit(OURS)) == edit(NEWER)
    assert merged(edit(NEWER)) == edit(NEWER)


def test_comments_among_computed_lines_stop_their_renewal_alone() -> None:
    theirs = OURS.replace("- n<1K", "# counted by hand\n- n<1K  # really").replace("configs:\n", "configs:\n# first\n")
    assert unchanged(theirs)
    with pytest.raises(Problem) as caught:
        merged(theirs)
    said = str(caught.value)
    assert "computed parts of the card were edited by a person: yaml size_categories. Nothing was changed." in said
    assert "\n-# counted by hand\n-- n<1K  # really\n" in said
    assert merged(theirs, overwrite=True) == NEWER.replace("configs:\n", "configs:\n# first\n")


def test_prose_is_renewed_around_keys_that_are_laid_out_otherwise() -> None:
    newer = card(MANIFEST, BETTER)
    how = ("configs:\n- config_name: 8x8\n", "configs:\n# the only one\n- config_name: '8x8'\n")
    assert merged(OURS.replace(*how), newer, MANIFEST) == newer.replace(*how)
    head = card(MANIFEST, TEMPLATE.replace("license: other", "license: mit"))
    assert merged(OURS.replace(*how), head, MANIFEST) == head.replace(*how)
    assert merged(OURS.replace("\n", "\r\n"), newer, MANIFEST) == newer.replace("\n", "\r\n")


@pytest.mark.keeps("P13")
def test_a_part_that_stands_twice() -> None:
    """Both copies are renewed, and an edit of either is one."""

    def twice(text: str) -> str:
        return text + text[text.index("<!-- begin") : text.index("End.")]

    assert merged(twice(OURS)) == twice(NEWER)
    for theirs in (
        twice(OURS).replace("[1](a)", "Theirs.", 1),
        "Theirs.".join(twice(OURS).rpartition("[1](a)")[::2]),
    ):
        with pytest.raises(Problem, match=r"edited by a person: part measured: sizes\."):
            merged(theirs)
        assert merged(theirs, overwrite=True) == twice(NEWER)


def test_a_mark_that_lost_its_seal() -> None:
    """What stands there is ours, or what a person wrote: nobody can tell, but that it is the same."""
    theirs = OURS.replace(" seal=" + OURS.partition(" seal=")[2][:16], "")
    assert merged(theirs, OURS, MANIFEST) == OURS
    with pytest.raises(Problem, match=r"edited by a person: part measured: sizes\."):
        merged(theirs)


@pytest.mark.keeps("P13")
def test_the_last_mark_was_removed() -> None:
    """Prose is a person's then; computed keys are held against the manifest."""
    theirs = OURS.partition("\n<!-- seals")[0]
    found = merged(theirs, card(NEW, BETTER, sizes="[2](b)\n"))
    assert found.startswith(NEWER.partition("\n<!-- seals")[0])
    assert " prose=" not in found
    with pytest.raises(Problem, match=r"edited by a person: yaml dataset_info\."):
        merged(theirs.replace("num_bytes: 400", "num_bytes: 9"))


ENTANGLED = [
    ("size_categories:\n- n<1K\n", "size_categories: &n\n- n<1K\ntheirs: *n\n"),
    ("size_categories:\n- n<1K\n", "theirs: &n\n- n<1K\nsize_categories: *n\n"),
    ("size_categories:\n", "? size_categories\n:\n"),
]


@pytest.mark.parametrize(("plain", "entangled"), ENTANGLED)
def test_keys_that_have_no_lines_of_their_own(plain: str, entangled: str) -> None:
    theirs = OURS.replace(plain, entangled)
    assert unchanged(theirs)
    with pytest.raises(Problem, match=r"x/README\.md: its YAML or its marks are written so that .* be renewed alone"):
        merged(theirs)
    assert merged(theirs, overwrite=True) == NEWER


def test_a_card_that_was_there_before() -> None:
    theirs = "---\r\nlicense: mit  # ours\r\n---\r\n# Theirs"
    found = merge.merged(OURS, MANIFEST, theirs.encode(), None, WHERE).decode()
    keys = OURS[OURS.index("size_categories") : OURS.index("---\nProse")]
    part = OURS[OURS.index("<!-- begin") : OURS.index("End.")]
    shown = f"---\nlicense: mit  # ours\n{keys}---\n# Theirs\n{part}\n<!-- seals size_categories=".replace("\n", "\r\n")
    assert found.startswith(shown)
    assert merge.merged(OURS, MANIFEST, found.encode(), MANIFEST, WHERE).decode() == found
    assert merge.merged(OURS, MANIFEST, theirs.encode(), None, WHERE, overwrite=True).decode() == OURS.replace(
        "\n", "\r\n"
    )
