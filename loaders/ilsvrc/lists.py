"""Lists of train photographs, a name a line, as SimCLR publishes its samples of ILSVRC 2012: which are trained on.

A person's own list makes a config, called by the stem of its file's name: `few.txt` makes `few`.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from loaders import classes
from loaders._errors import SourceProblem, shown
from loaders.formats.naming import TAKEN, is_list
from loaders.formats.untrusted import text_of
from loaders.ilsvrc import layout

FORM = "list of names"  # what the manifest and the card call one
ABSENT = "listed in"  # what a count begins with of those that are on a list, and not there
LIKE = "names like n01440764_10026.JPEG, one a line"
_MOST_BYTES = 1 << 26  # all of train, each with its folders, comes to 57 MB
_MOST_LINES = 2 * layout.COUNTS["train"]  # some may be empty
_SHOWN = 5  # names in a message
_WNIDS = classes.label_of_wnid("ilsvrc")


def name_of(path: Path) -> str:
    """Return what a list is called: the stem of its file's name. Raises SourceProblem for one that none may have."""
    if not is_list(path.stem):
        why = "is taken" if path.stem in TAKEN else "has other letters"
        raise SourceProblem(
            f"{path}: a config is called like its list, and {path.stem!r} {why}. Name the file by small letters and "
            "digits, such as few.txt."
        )
    return path.stem


def read(path: Path) -> list[str]:
    """Return the names on a list, ILSVRC's own, in its order.

    A line may have a name as copies do, in its folder: `train/n01440764/n01440764_18.jpg`. Raises SourceProblem for a
    file that is not there, for lines that are no names of train's photographs, counted, and for names that are there
    twice; OSError.
    """
    if not path.is_file():
        raise SourceProblem(f"{path}: expected a list of {LIKE}; found no file.")
    text = text_of(path, _MOST_BYTES)
    if (count := text.count(b"\n")) > _MOST_LINES:
        raise SourceProblem(f"{path}: has {count:,} lines, expected at most {_MOST_LINES:,}. Is it another file?")
    lines = [line for line in map(str.strip, text.decode("utf-8-sig", "replace").split("\n")) if line]
    if not lines or b"\0" in text:
        found = "found text that is not UTF-8" if lines else "found nothing"
        raise SourceProblem(f"{path}: expected {LIKE}; {found}. Save it as plain text, or download it again.")
    names = [_name(line) for line in lines]
    faults = [*_unknown(lines, names), *_double(names)]
    if faults:
        raise SourceProblem(f"{path}: of {len(lines):,} lines, {'; and '.join(faults)}. Expected {LIKE}, each once.")
    return [name for name in names if name]


def _name(line: str) -> str | None:
    own = layout.TRAIN_FILE.fullmatch(line)  # as nearly all are
    if own and own[1] in _WNIDS:
        return line
    folders, _, file = line.replace("\\", "/").rpartition("/")
    name, wnid = layout.train_name(file) or ("", "")
    is_known = wnid in _WNIDS and layout.TRAIN_FILE.fullmatch(name)
    return name if is_known and folders.rpartition("/")[2] in ("", "train", wnid) else None


def _unknown(lines: Sequence[str], names: Sequence[str | None]) -> Iterable[str]:
    strange = [shown(line, 40) for line, name in zip(lines, names, strict=True) if not name]
    if strange:
        yield f"{len(strange):,} {_are(strange, 'no name', 'no names')} of a photograph of train: {some(strange)}"


def _double(names: Sequence[str | None]) -> Iterable[str]:
    double = [name for name, count in Counter(names).items() if name and count > 1]
    if double:
        yield f"{len(double):,} {'name is' if len(double) == 1 else 'names are'} there more than once: {some(double)}"


def _are(found: Sequence[str], one: str, many: str) -> str:
    return f"is {one}" if len(found) == 1 else f"are {many}"


def some(names: Sequence[str]) -> str:
    """Return the first few of names, for a message, and how many more there are."""
    told = names[:_SHOWN]
    return ", ".join(told) + (f" and {len(names) - len(told):,} more" if len(names) > len(told) else "")


def lacking(where: Path, path: Path, listed: Collection[str], absent: Sequence[str]) -> str:
    """Return the sentence that says which names on a list are not there, and how many."""
    return (
        f"{where}: {len(absent):,} of the {len(listed):,} files that {path.name} lists are not in it: {some(absent)}."
    )


def balance(names: Iterable[str]) -> str:
    """Say how many photographs there are on a list, and how they are spread over the classes."""
    return spread(Counter(name.partition("_")[0] for name in names).values())


def spread(counts: Iterable[int]) -> str:
    """Say the same of the counts of classes."""
    held = [count for count in counts if count]
    least, most = min(held), max(held)
    each = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    none = f"; {classes.COUNT - len(held):,} of the {classes.COUNT:,} classes have none"
    told = f"{sum(held):,} photographs of {len(held):,} classes, {each} a class"
    return told + (none if len(held) < classes.COUNT else "")


# Drawn: by a hash of each name, so that a list is the same wherever, and from whatever, it is drawn


def per_class(names: Iterable[str], count: int, seed: int) -> list[str]:
    """Return so many names of each class, sorted, drawn without replacement.

    Of one seed, more have all of fewer. Raises SourceProblem for a class that has not as many.
    """
    found = _by_class(names)
    return _taken(found, dict.fromkeys(found, count), seed)


def share(names: Collection[str], percent: Fraction, seed: int) -> list[str]:
    """Return so many percent of the names, rounded down, sorted; as many of each class, or one more, as `per_class`."""
    found = _by_class(names)
    each, rest = divmod(int(len(names) * percent / 100), len(found))
    more = set(sorted(found, key=lambda wnid: _hash(seed, wnid))[:rest])
    return _taken(found, {wnid: each + (wnid in more) for wnid in found}, seed)


def _by_class(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("_")[0], []).append(name)
    return found


def _taken(found: Mapping[str, Sequence[str]], counts: Mapping[str, int], seed: int) -> list[str]:
    wnid = min(found, key=lambda wnid: len(found[wnid]) - counts[wnid])
    if counts[wnid] > len(found[wnid]):
        raise SourceProblem(
            f"{wnid} has {len(found[wnid]):,} photographs, and a balanced list of that size takes {counts[wnid]:,} of "
            "each class. Draw fewer."
        )
    drawn = (sorted(held, key=lambda name: _hash(seed, name))[: counts[wnid]] for wnid, held in found.items())
    return sorted(itertools.chain.from_iterable(drawn))


def _hash(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
