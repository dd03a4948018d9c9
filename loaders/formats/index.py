"""The index of a tar, made by reading its headers only and kept in the cache: a second run does not read them again."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loaders.files.cache import Arrays, cache_folder, load_arrays, save, save_arrays
from loaders.files.places import key, state
from loaders.files.typed import Count
from loaders.formats.tars import Members, scan


@dataclass
class Index:
    """The members of every inner tar by its name, offsets counted from the start of the file; and all junk skipped."""

    tars: dict[str, Members]
    skipped: Counter[str]


@dataclass(frozen=True)
class _Facts:
    """What is kept of an index beside its names, offsets and sizes: of which file, and how many are of each tar."""

    identity: tuple[int | str, ...]
    tars: tuple[str, ...]
    counts: tuple[Count, ...]
    skipped: Mapping[str, Count]


def members(path: Path) -> Members:
    """Return the members of a tar; raises SourceProblem as `tars.scan` does."""

    def made() -> Index:
        found = scan(path, told=True)
        return Index({"": found}, found.skipped)

    index = kept(path, "members", [*state(path)], made)
    (found,) = index.tars.values()
    return Members(found.names, found.offsets, found.sizes, index.skipped)


def kept(path: Path, kind: str, facts: list[int | str], make: Callable[[], Index]) -> Index:
    """Return the index that an earlier run kept, if the facts are the same since, or else make it and keep it.

    They are what changes when a file does, found before it is read: what is written to it meanwhile was perhaps not.
    """
    found = remembered(path, kind, facts)
    if found is None:
        found = make()
        remember(path, kind, facts, found)
    return found


def note(path: Path, kind: str) -> Path:
    """Return the file that an index is kept in."""
    return cache_folder() / "index" / f"{hashlib.sha256(key(path)).hexdigest()[:32]}.{kind}.npz"


def remember(path: Path, kind: str, facts: list[int | str], found: Index) -> None:
    """Keep an index of what has these facts."""
    groups = list(found.tars.values())
    counts = tuple(len(group.names) for group in groups)
    known = _Facts(tuple(facts), tuple(found.tars), counts, dict(found.skipped))
    names = "\n".join(name for group in groups for name in group.names).encode()
    arrays = {
        "names": np.frombuffer(names, np.uint8),
        "offsets": np.array([offset for group in groups for offset in group.offsets], np.int64),
        "sizes": np.array([size for group in groups for size in group.sizes], np.int64),
    }
    save(note(path, kind), lambda file: file.write(save_arrays(known, arrays)))


def remembered(path: Path, kind: str, facts: list[int | str]) -> Index | None:
    """Return the index that was kept, if the facts are the same."""

    def index(known: _Facts, arrays: Arrays) -> Index | None:
        names = arrays["names"].tobytes().decode().split("\n")
        found = _grouped(known, names, arrays["offsets"].tolist(), arrays["sizes"].tolist())
        return found if list(known.identity) == facts else None

    return load_arrays(note(path, kind), _Facts, index)


def _grouped(facts: _Facts, names: list[str], offsets: list[int], sizes: list[int]) -> Index:
    tars, start = {}, 0
    for tar, count in zip(facts.tars, facts.counts, strict=True):
        rows = slice(start, start + count)
        tars[tar] = Members(names[rows], offsets[rows], sizes[rows])
        start += count
    if not len(offsets) == len(sizes) == start:
        raise ValueError("the index has other lengths than it says")
    return Index(tars, Counter(facts.skipped))
