"""A card that was read, in segments: computed keys, computed parts, and what is written by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loaders import Problem
from publish.card import marks
from publish.card.front import Front, divided, dumped
from publish.card.marks import digest
from publish.card.owned import KEYS, Names, as_text, ours


@dataclass(frozen=True)
class Card:
    """A card that was read: its YAML, and the text after it."""

    front: Front
    body: str

    @cached_property
    def head(self) -> str:
        """The YAML without what is computed."""
        return self.front.filled({key: f"(yaml {key})" for key in KEYS if key in self.front.spans})

    @cached_property
    def prose(self) -> str:
        """The text without what is computed."""
        return marks.replaced(marks.unsealed(self.body), lambda part: f"<!-- begin {part.name} -->\n(part {part.name})")

    @cached_property
    def parts(self) -> Mapping[str, Sequence[tuple[str, str | None]]]:
        """The texts of each part, with their seals: a part may stand several times."""
        found: dict[str, list[tuple[str, str | None]]] = {}
        for part in marks.parts(self.body):
            found.setdefault(part.name, []).append((self.body[part.begin : part.end], part.seal))
        return found

    @cached_property
    def seals(self) -> Mapping[str, str]:
        """What the last mark says."""
        return marks.seals(self.body)


def read(text: str, where: str) -> Card:
    """Return a card that was read; raises Problem for YAML that is not there, or broken."""
    return Card(*divided(text, where))


MOST = 512_000  # bytes of a card; ours have up to 186 kB


def decoded(content: bytes, where: str) -> str:
    """Return the text of a card; raises Problem for what is not UTF-8, and for more than a card has."""
    if len(content) > MOST:
        raise Problem(
            f"{where}: expected a card of up to {MOST:,} bytes, found more. Shorten it there, or replace it with "
            "--overwrite-card."
        )
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            f"{where}: expected UTF-8, but {error.reason} at byte {error.start:,}. Mend it there, or replace "
            "it with --overwrite-card."
        ) from error


def written(template: str, values: Mapping[str, Any], parts: Mapping[str, str], known: Names) -> str:
    """Return a new card: a template with the computed keys at the end of its YAML, its parts filled, and its seals."""
    blank = read(template, "the template")
    front = blank.front.filled({key: dumped(key, value) for key, value in values.items()})
    body = marks.replaced(blank.body, lambda part: marks.sealed(part.name, parts[part.name]))
    card = read(f"---\n{front}---\n{body}", "the new card")
    by_hand = {"head": digest(card.head), "prose": digest(card.prose)}
    seals = by_hand | key_seals(values, known) | {"parts": marks.listed(card.parts)}
    return f"---\n{front}---\n{marks.with_seals(body, seals)}"


def key_seals(values: Mapping[str, Any], known: Names) -> dict[str, str]:
    """Return the seals of computed keys: of what is ours in them."""
    return {key: digest(as_text(ours(key, value, known))) for key, value in values.items()}
