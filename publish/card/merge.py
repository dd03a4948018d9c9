"""A README is people's as well as ours: only what is ours is changed, and not if a person edited it.

A card falls into segments: each YAML key that is computed, each marked part of the text, and all the rest, which is
prose. The manifest keeps a digest of each segment as it was last published: one that still has it was not edited. What
has to be renewed is replaced where it stands, and every other character of the card stays: comments, indentation, line
ends.
"""

import difflib
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from loaders import Problem
from publish.card.render import MARK, OWNED_KEYS

_FRONT = re.compile(r"\A---\r?\n(.*?)^---\r?\n", re.DOTALL | re.MULTILINE)
_PROSE = "prose"
_COMMENT = re.compile(r"(?:^|\s)#")
_MOST_VALUES = 100_000  # ours have a few hundred
_YAML_ERRORS: tuple[type[Exception], ...] = (YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError)
_YAML_ERRORS += (AssertionError, NotImplementedError, OverflowError, RecursionError)  # of ruamel, over odd documents


@dataclass(frozen=True)
class _Place:
    """Where a computed key, or what is between the marks of a part, stands in a card: from `begin` to before `end`."""

    name: str
    begin: int
    end: int

    def of(self, text: str) -> str:
        return text[self.begin : self.end]


def segments(text: str, where: str) -> dict[str, str]:
    """Return the segments of a card by name: "yaml KEY", "part NAME" and "prose"; raises Problem for broken YAML.

    A key is the JSON of its value, however its lines are laid out; a part that stands several times, its several texts.
    """
    text = text.replace("\r\n", "\n")
    data, places = front(text, where), _places(text, where)
    found = {f"yaml {key}": _json(data[key]) for key in OWNED_KEYS if key in data}
    copies: dict[str, dict[str, None]] = {}
    for place in places:
        if place.name not in found:
            copies.setdefault(place.name, {})[place.of(text).strip()] = None
    found |= {name: "\n".join(texts) for name, texts in copies.items()}
    return found | {_PROSE: _filled(text, places, {place.name: f"({place.name})" for place in places})}


def _places(text: str, where: str) -> list[_Place]:
    """Return the places of a card, in their order."""
    match = _split(text, where)
    node = _parsed(YAML().compose, match[1], where)
    spans = [(key.value, key.start_mark.index, value.end_mark.index) for key, value in node.value]
    begin = match.start(1)
    keys = [_key(key, text, begin + first, begin + last) for key, first, last in spans if key in OWNED_KEYS]
    return keys + [_Place(f"part {mark['name']}", *mark.span("body")) for mark in MARK.finditer(text, match.end())]


def _key(key: str, text: str, begin: int, end: int) -> _Place:
    """Return the place of a key without the comments and empty lines that follow its value."""
    lines = text[begin:end].split("\n")
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return _Place(f"yaml {key}", begin, begin + len("\n".join(lines).rstrip()))


def _filled(text: str, places: list[_Place], texts: Mapping[str, str]) -> str:
    """Return a card with other texts, by name, in their places."""
    pieces, at = [], 0
    for place in places:
        if place.name in texts:
            pieces += [text[at : place.begin], texts[place.name]]
            at = place.end
    return "".join([*pieces, text[at:]])


def front(text: str, where: str) -> dict[str, object]:
    """Return the YAML of a card, its keys as text; raises Problem when there is none or it is broken."""
    data = _parsed(YAML().load, _split(text, where)[1], where)
    if not isinstance(data, dict):
        raise Problem(f"{where}: expected YAML of keys and values, found {type(data).__name__}.")
    try:
        return cast(dict[str, object], _plain(data, [_MOST_VALUES]))
    except (OverflowError, RecursionError) as error:
        raise Problem(
            f"{where}: its YAML stands for more than {_MOST_VALUES:,} values, or for itself. Mend it there, or "
            "replace it with --overwrite-card."
        ) from error


def _plain(value: object, left: list[int]) -> object:
    """Return a value as JSON has it. Counts what aliases repeat: a few lines of them can stand for billions."""
    left[0] -= 1
    if left[0] < 0:
        raise OverflowError("too many values")
    if isinstance(value, dict):
        return {str(key): _plain(item, left) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, left) for item in value]
    return value


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def decoded(content: bytes, where: str) -> str:
    """Return the text of a card; raises Problem for what is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            f"{where}: expected UTF-8, but {error.reason} at byte {error.start:,}. Mend it there, or replace "
            "it with --overwrite-card."
        ) from error


def digests(text: str, where: str) -> dict[str, str]:
    """Return the digest of each segment of a card."""
    return {name: _digest(segment) for name, segment in segments(text, where).items()}


def _digest(segment: str) -> str:
    return hashlib.sha256(segment.strip().encode()).hexdigest()[:16]


def merge(ours: str, theirs: bytes, published: Mapping[str, str], where: str, overwrite: bool = False) -> str:
    """Return the card to publish: `theirs`, the one that is there, with what is ours renewed from `ours`.

    `published` has the digests of the segments as we last published them. Prose that nobody edited is renewed, too.

    Raises Problem with a diff when a person edited a segment of ours, unless `overwrite`.
    """
    mine = segments(ours, "the new card")
    try:
        text = decoded(theirs, where)
        found = segments(text, where)
        if not overwrite:
            _refuse_edits(mine, found, _comments(text, where), published, where)
        return _merged(ours, text, published, where)
    except Problem:
        if overwrite:
            return ours
        raise


def _refuse_edits(
    mine: Mapping[str, str],
    found: Mapping[str, str],
    comments: Mapping[str, list[str]],
    published: Mapping[str, str],
    where: str,
) -> None:
    """Raise Problem with a diff when a person edited a segment of ours, or a comment would be lost with its lines."""
    edited = [
        name
        for name, segment in found.items()
        if name != _PROSE and _digest(segment) not in (published.get(name), _digest(mine.get(name, "")))
    ]
    edited += [name for name in comments if name not in edited and found[name] != mine.get(name, found[name])]
    missing = [name for name in mine if name not in found and name in published]
    if not edited and not missing:
        return
    names = [*edited, *missing]
    theirs = {name: [*comments.get(name, []), *_lines(name, found.get(name, ""))] for name in names}
    diffs = ["\n".join(_diff(name, theirs[name], _lines(name, mine.get(name, "")))) for name in names]
    raise Problem(
        f"{where}: computed parts of the card were edited by a person: {', '.join(names)}. Nothing was changed.\n\n"
        + "\n\n".join(diffs)
        + "\n\nMove the edit to the prose around it, or give it up with --overwrite-card, and run again."
    )


def _comments(text: str, where: str) -> dict[str, list[str]]:
    """Return the lines with comments that stand among those of a computed key."""
    keys = {place.name: place.of(text).splitlines() for place in _places(text, where) if place.name.startswith("yaml ")}
    found = {name: [line.strip() for line in lines if _COMMENT.search(line)] for name, lines in keys.items()}
    return {name: lines for name, lines in found.items() if lines}


def _diff(name: str, theirs: list[str], ours: list[str]) -> Iterator[str]:
    return difflib.unified_diff(theirs, ours, f"there: {name}", f"ours: {name}", n=1, lineterm="")


def _lines(name: str, segment: str) -> list[str]:
    if segment and name.startswith("yaml "):
        return json.dumps(json.loads(segment), indent=1, sort_keys=True).splitlines()
    return segment.strip().splitlines()


def _merged(ours: str, theirs: str, published: Mapping[str, str], where: str) -> str:
    """Return one of the two cards, by whose prose is to stand, with what is right of the other in its places."""
    mine, found = digests(ours, "the new card"), digests(theirs, where)
    ours = ours.replace("\r\n", "\n").replace("\n", _line_end(theirs))
    their_places, our_places = _places(theirs, where), _places(ours, "the new card")
    if found[_PROSE] == published.get(_PROSE) != mine[_PROSE]:
        kept = {place.name: place.of(theirs) for place in their_places if place.name.startswith("yaml ")}
        return _filled(ours, our_places, {name: text for name, text in kept.items() if mine.get(name) == found[name]})
    new = {place.name: place.of(ours) for place in our_places if mine[place.name] != found.get(place.name)}
    text = _with_new(_filled(theirs, their_places, new), {n: t for n, t in new.items() if n not in found}, where)
    _check(text, theirs, mine, where)
    return text


def _with_new(text: str, texts: Mapping[str, str], where: str) -> str:
    """Return a card with segments that it has no place for: keys at the end of its YAML, parts at its own."""
    match, eol = _split(text, where), _line_end(text)
    keys = "".join(f"{lines}{eol}" for name, lines in texts.items() if name.startswith("yaml "))
    parts = {name.removeprefix("part "): body for name, body in texts.items() if name.startswith("part ")}
    ends = "".join(f"{eol}<!-- begin {name} -->{eol}{body}<!-- end {name} -->{eol}" for name, body in parts.items())
    return text[: match.end(1)] + keys + text[match.end(1) :] + ends


def _line_end(text: str) -> str:
    return "\r\n" if text.startswith("---\r") else "\n"


def _check(text: str, theirs: str, mine: Mapping[str, str], where: str) -> None:
    """Raise Problem unless a merged card says what it should: YAML can be written so that a key has no lines alone."""
    try:
        found = digests(text, where)
        right = all(found.get(name) == digest for name, digest in mine.items() if name != _PROSE)
    except Problem:
        right = False
    if not right or _others(text, where) != _others(theirs, where):
        raise Problem(
            f"{where}: its YAML or its marks are written so that what is computed cannot be renewed alone. Begin each "
            "key on a line of its own and end each mark, or replace the card with --overwrite-card."
        )


def _others(text: str, where: str) -> str:
    return _json({key: value for key, value in front(text, where).items() if key not in OWNED_KEYS})


def _split(text: str, where: str) -> re.Match[str]:
    """Return where the YAML of a card is: its first group."""
    if match := _FRONT.match(text):
        return match
    raise Problem(
        f"{where}: expected a card that starts with YAML between lines of ---; found none. This project did not "
        "write it: move it away, or replace it with --overwrite-card."
    )


def _parsed(parse: Callable[[str], Any], head: str, where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ruamel, over an anchor that is used again
            return parse(head)
    except _YAML_ERRORS as error:
        raise Problem(
            f"{where}: its YAML cannot be read ({error}). Mend it there, or replace it with --overwrite-card."
        ) from error
