"""The README on the Hub is people's as well as ours: only what is ours is changed, and not if a person edited it.

A card falls into segments: each YAML key that is computed, each marked part of the text, and all the rest, which is
prose. The manifest keeps a digest of each segment as it was last published: one that still has it was not edited.
"""

import difflib
import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from loaders import Problem
from publish.card import MARK, OWNED_KEYS

_FRONT = re.compile(r"\A---\n(.*?)^---\n", re.DOTALL | re.MULTILINE)
_PROSE = "prose"
_MOST_VALUES = 100_000  # ours have a few hundred
_YAML_ERRORS: tuple[type[Exception], ...] = (YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError)
_YAML_ERRORS += (AssertionError, NotImplementedError, OverflowError, RecursionError)  # of ruamel, over odd documents


def segments(text: str, where: str) -> dict[str, str]:
    """Return the segments of a card by name: "yaml KEY", "part NAME" and "prose"; raises Problem for broken YAML."""
    _, body = _split(text, where)
    data = front(text, where)
    found = {f"yaml {key}": json.dumps(data.pop(key), sort_keys=True, default=str) for key in OWNED_KEYS if key in data}
    found |= {f"part {mark['name']}": mark["body"] for mark in MARK.finditer(body)}
    prose = MARK.sub(lambda mark: f"{mark[1]}{mark[4]}", body)
    return found | {_PROSE: json.dumps(data, sort_keys=True, default=str) + prose}


def front(text: str, where: str) -> dict[str, object]:
    """Return the YAML of a card, its keys as text; raises Problem when there is none or it is broken."""
    data = _load(_split(text, where)[0], where)
    try:
        return cast(dict[str, object], _plain(data, [_MOST_VALUES]))
    except (OverflowError, RecursionError) as error:
        raise Problem(
            f"{where}: its YAML stands for more than {_MOST_VALUES:,} values, or for itself. Mend it on the Hub, or "
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


def decoded(content: bytes, where: str) -> str:
    """Return the text of a card; raises Problem for what is not UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            f"{where}: expected UTF-8, but {error.reason} at byte {error.start:,}. Mend it on the Hub, or replace "
            "it with --overwrite-card."
        ) from error


def digests(text: str, where: str) -> dict[str, str]:
    """Return the digest of each segment of a card."""
    return {name: _digest(segment) for name, segment in segments(text, where).items()}


def _digest(segment: str) -> str:
    return hashlib.sha256(segment.strip().encode()).hexdigest()[:16]


def merge(ours: str, theirs: bytes, published: Mapping[str, str], where: str, overwrite: bool = False) -> str:
    """Return the card to publish: `theirs`, the one on the Hub, with what is ours renewed from `ours`.

    `published` has the digests of the segments as we last published them. Prose that nobody edited is renewed, too.

    Raises Problem with a diff when a person edited a segment of ours, unless `overwrite`.
    """
    mine = segments(ours, "the new card")
    try:
        text = decoded(theirs, where)
        found = segments(text, where)
    except Problem:
        if overwrite:
            return ours
        raise
    edited = [
        name
        for name, segment in found.items()
        if name != _PROSE and _digest(segment) not in (published.get(name), _digest(mine.get(name, "")))
    ]
    missing = [name for name in mine if name not in found and name in published]
    if (edited or missing) and not overwrite:
        raise _conflict([*edited, *missing], mine, found, where)
    is_ours = _digest(found[_PROSE]) in (published.get(_PROSE), _digest(mine[_PROSE]))
    return ours if is_ours else _renewed(ours, text, where)


def _conflict(names: list[str], mine: Mapping[str, str], found: Mapping[str, str], where: str) -> Problem:
    diffs = ["\n".join(_diff(name, found.get(name, ""), mine.get(name, ""))) for name in names]
    return Problem(
        f"{where}: computed parts of the card were edited on the Hub: {', '.join(names)}. Nothing was changed.\n\n"
        + "\n\n".join(diffs)
        + "\n\nMove the edit to the prose around it, or give it up with --overwrite-card, and run again."
    )


def _diff(name: str, theirs: str, ours: str) -> Iterator[str]:
    before, after = _lines(name, theirs), _lines(name, ours)
    return difflib.unified_diff(before, after, f"on the Hub: {name}", f"ours: {name}", n=1, lineterm="")


def _lines(name: str, segment: str) -> list[str]:
    if segment and name.startswith("yaml "):
        return json.dumps(json.loads(segment), indent=1, sort_keys=True).splitlines()
    return segment.strip().splitlines()


def _renewed(ours: str, theirs: str, where: str) -> str:
    """Return their card with our YAML keys and our marked parts in it; parts that it has no place for come last."""
    (my_head, my_body), (head, body) = _split(ours, "the new card"), _split(theirs, where)
    mine, data = _load(my_head, "the new card"), _load(head, where)
    for key in OWNED_KEYS:
        data[key] = mine[key]
    parts = {mark["name"]: mark[0] for mark in MARK.finditer(my_body)}
    placed = {mark["name"] for mark in MARK.finditer(body)}
    body = MARK.sub(lambda mark: parts.get(mark["name"], mark[0]), body)
    body += "".join(f"\n{part}\n" for name, part in parts.items() if name not in placed)
    out = io.StringIO()
    _yaml().dump(data, out)
    return f"---\n{out.getvalue()}---\n{body}"


def _split(text: str, where: str) -> tuple[str, str]:
    match = _FRONT.match(text.replace("\r\n", "\n"))
    if not match:
        raise Problem(
            f"{where}: expected a card that starts with YAML between lines of ---; found none. This project did not "
            "write it: move it away, or replace it with --overwrite-card."
        )
    return match[1], text.replace("\r\n", "\n")[match.end() :]


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 4096  # at its default, ruamel folds long keys into what it cannot read back
    yaml.preserve_quotes = True
    return yaml


def _load(head: str, where: str) -> dict[str, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of ruamel, over an anchor that is used again
            data = _yaml().load(head)
    except _YAML_ERRORS as error:
        raise Problem(
            f"{where}: its YAML cannot be read ({error}). Mend it on the Hub, or replace it with --overwrite-card."
        ) from error
    if not isinstance(data, dict):
        raise Problem(f"{where}: expected YAML of keys and values, found {type(data).__name__}.")
    return data
