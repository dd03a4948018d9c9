"""The marks of a card, comments that nobody sees: where a computed part begins and ends, and the seals.

    <!-- begin measured: sizes seal=0123456789abcdef -->
    ...
    <!-- end measured: sizes -->
    ...
    <!-- seals prose=0123456789abcdef ... parts=decoder,measured:sizes -->

The seal of a part is a digest of what stands in it, as it was written by this project: a part that has another digest
was edited since. The last mark has the seals of what has no mark of its own, and the names of all parts. Marks are
found in one pass over the text, however many there are and whether or not they have an end.
"""

import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

_MARK = re.compile(
    r"<!-- (?:begin (?P<begin>[\w: ]{1,60}?)(?: seal=(?P<seal>[0-9a-f]{16}))? -->(?P<eol>\r?\n)"
    r"|end (?P<end>[\w: ]{1,60}) -->)"
)
_SEALS = re.compile(r"<!-- seals(?P<seals>(?: \w{1,60}=[\w:,]{1,999}){1,20}) -->")


@dataclass(frozen=True)
class Part:
    """A computed part: its name and seal, and where its first mark begins, then what stands between its marks."""

    name: str
    seal: str | None
    mark: int
    begin: int
    end: int


def digest(text: str) -> str:
    """Return what is a seal when this project wrote the text; spaces at its ends and kinds of line ends are one."""
    return hashlib.sha256(text.replace("\r\n", "\n").strip().encode()).hexdigest()[:16]


def parts(text: str) -> list[Part]:
    """Return the parts of a text in their order. A mark that is within a part, or has no end, is a text."""
    marks = list(_MARK.finditer(text))
    ends: defaultdict[str, deque[int]] = defaultdict(deque)
    for mark in marks:
        if mark["end"]:
            ends[mark["end"]].append(mark.start())
    found, at = list[Part](), 0
    for mark in marks:
        if mark.start() < at or not (name := mark["begin"]):
            continue
        places = ends[name]
        while places and places[0] < mark.end():
            places.popleft()
        if places:
            found.append(Part(name, mark["seal"], mark.start(), mark.end(), places[0]))
            at = places[0]
    return found


def replaced(text: str, new: Callable[[Part], str | None]) -> str:
    """Return a text with other texts for its parts, first mark and body; None leaves a part as it is."""
    pieces, at = [], 0
    for part in parts(text):
        if (other := new(part)) is not None:
            pieces += [text[at : part.mark], other]
            at = part.end
    return "".join([*pieces, text[at:]])


def sealed(name: str, body: str, eol: str = "\n") -> str:
    """Return the first mark of a part, with the seal of its body, and the body."""
    return f"<!-- begin {name} seal={digest(body)} -->{eol}{body}"


def seals(text: str) -> dict[str, str]:
    """Return what the last mark says, by name; nothing where there is none."""
    found = list(_SEALS.finditer(text))
    pairs = (pair.split("=", 1) for pair in found[-1]["seals"].split()) if found else ()
    return dict(pairs)


def unsealed(text: str) -> str:
    """Return a text without the mark that has the seals."""
    found = list(_SEALS.finditer(text))
    return text[: found[-1].start()] + text[found[-1].end() :].removeprefix("\r").removeprefix("\n") if found else text


def with_seals(text: str, found: Mapping[str, str], eol: str = "\n") -> str:
    """Return a text with these seals in its last mark, where that stands, or else at the end."""
    mark = f"<!-- seals {' '.join(f'{name}={value}' for name, value in found.items())} -->"
    there = list(_SEALS.finditer(text))
    if there:
        return text[: there[-1].start()] + mark + text[there[-1].end() :]
    return f"{text}{'' if text.endswith(eol) else eol}{eol}{mark}{eol}"


def listed(names: Iterable[str]) -> str:
    """Return names of parts as the last mark lists them."""
    return ",".join(sorted({name.replace(" ", "") for name in names}))
