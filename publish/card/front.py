"""The YAML that a card begins with: its values, and where each key stands, so that one can be renewed alone.

It is read as the Hub's own client reads it, by PyYAML; in time and memory that grow with its length, whatever it says.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from loaders import Problem

_FRONT = re.compile(r"\A---\r?\n(.*?)^---\r?\n", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"(?:^|\s)#")
_MOST_VALUES = 100_000  # ours have about 4,000
_LONGEST_NUMBER = 100  # characters; what is longer is a text
_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null", "timestamp")}
_ERRORS = (yaml.YAMLError, ValueError, RecursionError, OverflowError)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # of libyaml, which bounds how deep values may nest
_SafeDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[misc]  # of which kind is known when it runs
    """Writes out what stands in several places, such as the names of classes, instead of an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@dataclass(frozen=True)
class Front:
    """The YAML of a card: its values by key, its text, and from where to where in that each key has its lines."""

    values: Mapping[str, Any]
    text: str
    spans: Mapping[str, tuple[int, int]]

    def lines(self, key: str) -> str:
        """Return the lines of a key as they stand there, without the comments that follow them."""
        begin, end = self.spans[key]
        return self.text[begin:end]

    def comments(self, key: str) -> list[str]:
        """Return the lines of a key that have a comment."""
        return [line.strip() for line in self.lines(key).splitlines() if _COMMENT.search(line)]

    def filled(self, texts: Mapping[str, str]) -> str:
        """Return the YAML with other lines for some keys; for one that it does not have, at its end."""
        pieces, at = [], 0
        for key, (begin, end) in sorted(self.spans.items(), key=lambda item: item[1]):
            if key in texts:
                pieces += [self.text[at:begin], texts[key]]
                at = end
        eol = "\r\n" if self.text.endswith("\r\n") else "\n"
        return "".join([*pieces, self.text[at:], *(f"{texts[key]}{eol}" for key in texts if key not in self.spans)])


def divided(text: str, where: str) -> tuple[Front, str]:
    """Return the YAML of a card and what follows it; raises Problem where there is none, or it cannot be read."""
    if not (match := _FRONT.match(text)):
        raise Problem(
            f"{where}: expected a card that starts with YAML between lines of ---; found none. This project did not "
            "write it: move it away, or replace it with --overwrite-card."
        )
    try:
        return _front(match[1]), text[match.end() :]
    except (OverflowError, RecursionError) as error:
        raise Problem(
            f"{where}: its YAML stands for more than {_MOST_VALUES:,} values, or for itself. Mend it there, or "
            "replace it with --overwrite-card."
        ) from error
    except _ERRORS as error:
        raise Problem(
            f"{where}: its YAML cannot be read ({error}). Mend it there, or replace it with --overwrite-card."
        ) from error


@lru_cache(maxsize=4)  # a merge reads the same few again and again
def _front(head: str) -> Front:
    for count, _ in enumerate(yaml.parse(head, Loader=_Loader)):
        if count > 3 * _MOST_VALUES:  # an event a value, and two more for each that has others in it
            raise OverflowError
    root: Any = yaml.compose(head, Loader=_Loader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError(f"expected keys and values, found {root.id if root else 'nothing'}")
    values = _plain(root, [_MOST_VALUES])
    spans = {str(k.value): _span(head, k.start_mark.index, v.end_mark.index) for k, v in root.value}
    return Front(values, head, spans)


def _plain(node: yaml.Node, left: list[int]) -> Any:
    """Return a value as JSON has it. Counts what aliases repeat: a few lines of them can stand for billions."""
    left[0] -= 1
    if left[0] < 0:
        raise OverflowError
    if isinstance(node, yaml.MappingNode):
        items = [(_name(key, left), _plain(value, left)) for key, value in node.value]
        if len(dict(items)) < len(items):
            raise ValueError(f"a key stands twice{node.start_mark}")
        return dict(items)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, left) for item in node.value]
    is_text = node.tag not in _SCALARS or len(node.value) > _LONGEST_NUMBER
    return node.value if is_text else yaml.constructor.SafeConstructor().construct_object(node)


def _name(key: yaml.Node, left: list[int]) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else json.dumps(_plain(key, left), default=str)


def _span(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return the span of a key without the comments and empty lines that follow its value."""
    lines = text[begin:end].split("\n")
    while len(lines) > 1 and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return begin, begin + len("\n".join(lines).rstrip())


def dumped(key: str, value: object) -> str:
    """Return the lines of a key, without the last line's end."""
    text = yaml.dump({key: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)
    return str(text).rstrip("\n")
