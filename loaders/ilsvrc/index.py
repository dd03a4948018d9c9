"""The index of a tar of tars, made by reading headers only and kept in the cache.

ILSVRC's train archive is 148 GB of 1000 tars in a tar; its 1.28 million headers are 0.4 % of that. They are read by
many threads, since what is waited for is the disk, and each page of the file is asked for alone: read ahead, the kernel
would fetch 32 times as much.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from loaders.files.cache import Arrays, cache_folder, load_arrays, save, save_arrays
from loaders.files.places import identity, is_local, key
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
    """Return the index of a tar of tars.

    Raises SourceProblem for what `tars.scan` refuses, in the outer tar or an inner one.
    """
    found = _remembered(path)
    if found is None:
        found = _scan(path)
        _remember(path, found)
    return found


def _scan(path: Path) -> Index:
    outer = scan(path, page_by_page=True)
    ends = [offset + size for offset, size in zip(outer.offsets, outer.sizes, strict=True)]

    def inner(start: int, stop: int) -> Members:
        return scan(path, start, stop, page_by_page=True)

    with ThreadPoolExecutor(_THREADS if is_local(path) else _REMOTE_THREADS) as pool:
        scans = pool.map(inner, outer.offsets, ends)
        bar = tqdm(scans, total=len(ends), desc=f"indexing {path.name}", unit=" tars", disable=None)
        tars = dict(zip(outer.names, bar, strict=True))
    return Index(tars, sum((members.skipped for members in tars.values()), outer.skipped))


def _note(path: Path) -> Path:
    return cache_folder() / "index" / f"{hashlib.sha256(key(path)).hexdigest()[:32]}.npz"


def _remember(path: Path, found: Index) -> None:
    groups = list(found.tars.values())
    counts = tuple(len(group.names) for group in groups)
    facts = _Facts(tuple(identity(path)), tuple(found.tars), counts, dict(found.skipped))
    names = "\n".join(name for group in groups for name in group.names).encode()
    arrays = {
        "names": np.frombuffer(names, np.uint8),
        "offsets": np.array([offset for group in groups for offset in group.offsets], np.int64),
        "sizes": np.array([size for group in groups for size in group.sizes], np.int64),
    }
    save(_note(path), lambda file: file.write(save_arrays(facts, arrays)))


def _remembered(path: Path) -> Index | None:
    """Return the index that was kept, if the file has had the same size and mtime since."""

    def index(facts: _Facts, arrays: Arrays) -> Index | None:
        names = arrays["names"].tobytes().decode().split("\n")
        found = _grouped(facts, names, arrays["offsets"].tolist(), arrays["sizes"].tolist())
        return found if list(facts.identity) == identity(path) else None

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
