"""A README is people's as well as ours: only what is ours is changed, and not if a person edited it.

A card falls into segments: each YAML key that is computed, each marked part of the text, the rest of the YAML and the
rest of the text, which is prose. The card itself has a digest of each as this project last wrote it (`marks`): a
segment that still has it was not edited. What has to be renewed is replaced where it stands, and every other character
of the card stays: comments, indentation, line ends. So it is in a folder, in a store and on the Hub.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loaders import Problem
from publish.card import before, marks
from publish.card.front import dumped
from publish.card.marks import Part, digest, listed
from publish.card.owned import Names, as_text, is_same, joined, names, ours, owned
from publish.card.segments import Card, decoded, key_seals, read
from publish.manifest import Manifest


def merged(new: str, now: Manifest, theirs: bytes, old: Manifest | None, where: str, overwrite: bool = False) -> bytes:
    """Return the README to publish: `theirs`, the one that is there, with what is ours renewed from `new`.

    `now` is the manifest that `new` tells of, `old` the one that is in force there. What nobody edited of the prose is
    renewed, too. Where there is no README, it is the new one.

    Raises Problem with a diff when a person edited a segment of ours, unless `overwrite`.
    """
    if not theirs.strip():
        return new.encode()
    try:
        text = decoded(theirs, where)
        there = read(text, where)
    except Problem:
        if overwrite:
            return new.encode()
        raise
    eol = "\r\n" if text.startswith("---\r") else "\n"
    mine = read(new.replace("\r\n", "\n").replace("\n", eol), "the new card")
    merge = _Merge(mine, there, now, old, where, eol)
    if not overwrite:
        merge.refuse_edits()
        return merge.text().encode()
    try:
        return merge.text(anew=not merge.was_ours).encode()
    except Problem:
        return merge.text(anew=True).encode()


@dataclass(frozen=True)
class _Merge:
    """A card of ours and the one that is there, about to become one."""

    mine: Card
    there: Card
    now: Manifest
    old: Manifest | None
    where: str
    eol: str

    @cached_property
    def known(self) -> Names:
        return names(self.old, self.now)

    @cached_property
    def seals(self) -> Mapping[str, str]:
        return self.there.seals or before.seals(self.there, self.old)

    @cached_property
    def new_seals(self) -> Mapping[str, str]:
        return self.mine.seals or before.seals(self.mine, self.now)

    @property
    def was_ours(self) -> bool:
        return bool(self.seals) or self.old is not None

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The computed keys as they are to be published, with what is people's in them."""
        there, last = self.there.front.values, owned(self.old) if self.old else {}
        return {
            key: joined(key, value, there.get(key), self.known, last.get(key)) for key, value in owned(self.now).items()
        }

    def text(self, anew: bool = False) -> str:
        """Return the card of both; `anew`: of theirs, nothing but configs and splits.

        Raises Problem unless it says what it should: YAML can be written so that a key has no lines alone.
        """
        of_head = self.mine if anew or self._is_renewed("head") else self.there
        of_prose = self.mine if anew or self._is_renewed("prose") else self.there
        text = f"---{self.eol}{self._head(of_head)}---{self.eol}{self._body(of_head, of_prose)}"
        if not self._is_right(text, of_head):
            raise Problem(
                f"{self.where}: its YAML or its marks are written so that what is computed cannot be renewed alone. "
                "Begin each key on a line of its own and end each mark, or replace the card with --overwrite-card."
            )
        return text

    def _is_renewed(self, name: str) -> bool:
        """Say whether nobody edited the head or the prose of the card that is there, and there is a newer one."""
        there, mine = (digest(getattr(card, name)) for card in (self.there, self.mine))
        return there == self.seals.get(name) and there != mine

    def _head(self, source: Card) -> str:
        there, lines = self.there.front, {}
        for key, value in self.values.items():
            if not is_same(key, there.values.get(key), value):
                lines[key] = dumped(key, value).replace("\n", self.eol)
            elif source is self.mine:
                lines[key] = there.lines(key)
        return source.front.filled(lines)

    def _body(self, of_head: Card, source: Card) -> str:
        body = marks.replaced(source.body, self._part)
        if fresh := [name for name in self.mine.parts if name not in source.parts]:
            texts = (marks.sealed(name, self.mine.parts[name][0][0], self.eol) for name in fresh)
            ends = (f"{text}<!-- end {name} -->{self.eol}" for name, text in zip(fresh, texts, strict=True))
            body = "".join([marks.unsealed(body), *(f"{self.eol}{end}" for end in ends)])
        return marks.with_seals(body, self._seals(of_head, source), self.eol)

    def _part(self, part: Part) -> str | None:
        """Return what is to stand for a part: its text where that is right, as it is laid out there."""
        if part.name not in self.mine.parts:
            return None
        text = self.mine.parts[part.name][0][0]
        found = [copy for copy, _ in self.there.parts.get(part.name, ()) if digest(copy) == digest(text)]
        return marks.sealed(part.name, found[0] if found else text, self.eol)

    def _seals(self, of_head: Card, of_prose: Card) -> dict[str, str]:
        sources = {"head": of_head, "prose": of_prose}
        found = {
            name: (self.new_seals if source is self.mine else self.seals).get(name) for name, source in sources.items()
        }
        by_hand = {name: seal for name, seal in found.items() if seal}
        return by_hand | key_seals(self.values, names(self.now)) | {"parts": listed(self.mine.parts)}

    def _is_right(self, text: str, of_head: Card) -> bool:
        try:
            found = read(text, self.where)
        except Problem:
            return False
        by_hand = {**of_head.front.values, **self.values}
        keys = all(is_same(key, found.front.values.get(key), value) for key, value in by_hand.items())
        return keys and len(found.front.values) == len(by_hand) and self._edited_parts(found) == {}

    # Edits

    def refuse_edits(self) -> None:
        """Raise Problem with a diff when a person edited a segment of ours, or a comment would be lost with it."""
        diffs = {**self._edited_keys(), **self._edited_parts(self.there)}
        if diffs:
            raise Problem(
                f"{self.where}: computed parts of the card were edited by a person: {', '.join(diffs)}. Nothing was "
                "changed.\n\n"
                + "\n\n".join(diffs.values())
                + "\n\nMove the edit to the prose around it, or give it up "
                "with --overwrite-card, and run again."
            )

    def _edited_keys(self) -> dict[str, str]:
        front, found = self.there.front, dict[str, str]()
        for key, value in owned(self.now).items():
            mine = ours(key, value, self.known)
            right = {self.seals.get(key), digest(as_text(mine))}
            right |= {digest(as_text(ours(key, then[key], self.known))) for then in before.owned_then(self.old)}
            if key not in front.values:
                if key in self.seals or self.old:
                    found[f"yaml {key}"] = _diff(f"yaml {key}", [], _lines(mine))
                continue
            theirs = ours(key, front.values[key], self.known)
            comments = front.comments(key)
            is_lost = comments and not is_same(key, front.values[key], self.values[key])
            if digest(as_text(theirs)) not in right or is_lost:
                found[f"yaml {key}"] = _diff(f"yaml {key}", [*comments, *_lines(theirs)], _lines(mine))
        return found

    def _edited_parts(self, card: Card) -> dict[str, str]:
        found, sealed = dict[str, str](), self.seals.get("parts", "").split(",")
        for name, texts in self.mine.parts.items():
            mine, there = texts[0][0], card.parts.get(name, ())
            right = {digest(mine), self.seals.get(f"part {name}")}
            edited = [copy for copy, seal in there if digest(copy) not in {seal, *right}]
            if edited or (not there and listed([name]) in sealed):
                theirs = [line for copy in edited for line in copy.strip().splitlines()]
                found[f"part {name}"] = _diff(f"part {name}", theirs, mine.strip().splitlines())
        return found


def _diff(name: str, theirs: list[str], mine: list[str]) -> str:
    return "\n".join(difflib.unified_diff(theirs, mine, f"there: {name}", f"ours: {name}", n=1, lineterm=""))


def _lines(value: object) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, default=str).splitlines()
