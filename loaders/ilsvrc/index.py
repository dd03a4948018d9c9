"""The index of a tar of tars, made by reading headers only and kept in the cache.

ILSVRC's train archive is 148 GB of 1000 tars in a tar; its 1.28 million headers are 0.4 % of that. They are read by
many threads, since what is waited for is the disk, and each page of the file is asked for alone: read ahead, the kernel
would fetch 32 times as much.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from loaders.files.cache import Arrays, cache_folder, load_arrays, save, save_arrays
from loaders.files.places import is_local, key, state
from loaders.files.typed import Count
from loaders.formats.tars import Members, scan

_THREADS, _REMOTE_THREADS = 16, 64


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


def members_by_tar(path: Path) -> Index:
    """Return the index of a tar of tars; what is no tar in it is under the name "".

    Raises SourceProblem for what `tars.scan` refuses, in the outer tar or an inner one.
    """
    facts = [*state(path)]
    found = _remembered(path, facts)
    if found is None:
        found = _scan(path)
        _remember(path, found, facts)
    return found


def members_of(folder: Path, names: Sequence[str]) -> Index:
    """Return the same of tars that lie beside each other in a folder."""
    if not names:
        return Index({}, Counter())
    facts = [fact for name in names for fact in (name, *state(folder / name))]
    found = _remembered(folder, facts)
    if found is None:
        tars = _scanned(folder, names, [(folder / name, 0, None) for name in names])
        found = Index(tars, sum((members.skipped for members in tars.values()), Counter[str]()))
        _remember(folder, found, facts)
    return found


def _scan(path: Path) -> Index:
    outer = scan(path, page_by_page=True)
    spans = {name: (at, at + size) for name, at, size in zip(outer.names, outer.offsets, outer.sizes, strict=True)}
    inner = [name for name in outer.names if name.endswith(".tar")]
    tars = _scanned(path, inner, [(path, *spans[name]) for name in inner])
    if loose := [name for name in outer.names if not name.endswith(".tar")]:
        starts = [spans[name][0] for name in loose]
        tars[""] = Members(loose, starts, [spans[name][1] - spans[name][0] for name in loose])
    return Index(tars, sum((members.skipped for members in tars.values()), outer.skipped))


def _scanned(root: Path, names: Sequence[str], spans: Sequence[tuple[Path, int, int | None]]) -> dict[str, Members]:
    def members(span: tuple[Path, int, int | None]) -> Members:
        return scan(*span, page_by_page=True)

    with ThreadPoolExecutor(_THREADS if is_local(root) else _REMOTE_THREADS) as pool:
        scans = pool.map(members, spans)
        bar = tqdm(scans, total=len(names), desc=f"indexing {root.name}", unit=" tars", disable=None)
        return dict(zip(names, bar, strict=True))


def _note(path: Path) -> Path:
    return cache_folder() / "index" / f"{hashlib.sha256(key(path)).hexdigest()[:32]}.npz"


def _remember(path: Path, found: Index, of: list[int | str]) -> None:
    groups = list(found.tars.values())
    counts = tuple(len(group.names) for group in groups)
    facts = _Facts(tuple(of), tuple(found.tars), counts, dict(found.skipped))
    names = "\n".join(name for group in groups for name in group.names).encode()
    arrays = {
        "names": np.frombuffer(names, np.uint8),
        "offsets": np.array([offset for group in groups for offset in group.offsets], np.int64),
        "sizes": np.array([size for group in groups for size in group.sizes], np.int64),
    }
    save(_note(path), lambda file: file.write(save_arrays(facts, arrays)))


def _remembered(path: Path, of: list[int | str]) -> Index | None:
    """Return the index that was kept, if the file or files have had the same size and times since."""

    def index(facts: _Facts, arrays: Arrays) -> Index | None:
        names = arrays["names"].tobytes().decode().split("\n")
        found = _grouped(facts, names, arrays["offsets"].tolist(), arrays["sizes"].tolist())
        return found if list(facts.identity) == of else None

    return load_arrays(_note(path), _Facts, index)


def _grouped(facts: _Facts, names: list[str], offsets: list[int], sizes: list[int]) -> Index:
    tars, start = {}, 0
    for tar, count in zip(facts.tars, facts.counts, strict=True):
        rows = slice(start, start + count)
        tars[tar] = Members(names[rows], offsets[rows], sizes[rows])
        start += count
    if not len(offsets) == len(sizes) == start:
        raise ValueError("the index has other lengths than it says")
    return Index(tars, Counter(facts.skipped))
