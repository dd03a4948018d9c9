"""The index of a tar of tars, or of Parquet, made by reading headers or names only and kept in the cache.

ILSVRC's train archive is 148 GB of 1000 tars in a tar; its 1.28 million headers are 0.4 % of that. They are read by
many threads, since what is waited for is the disk, and each page of the file is asked for alone: read ahead, the kernel
would fetch 32 times as much.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from loaders.files.places import is_local, state
from loaders.files.threads import mapped
from loaders.formats import parquet
from loaders.formats.index import Index, kept
from loaders.formats.tars import Members, scan

_THREADS, _REMOTE_THREADS = 16, 64


def members_by_tar(path: Path) -> Index:
    """Return the index of a tar of tars; what is no tar in it is under the name "".

    Raises SourceProblem for what `tars.scan` refuses, in the outer tar or an inner one.
    """
    return kept(path, "tars", [*state(path)], lambda: scan_tars(path))


def members_of(folder: Path, names: Sequence[str]) -> Index:
    """Return the same of tars that lie beside each other in a folder."""
    if not names:
        return Index({}, Counter())
    facts = [fact for name in names for fact in (name, *state(folder / name))]
    return kept(folder, "tars", facts, lambda: _beside(folder, names))


def _beside(folder: Path, names: Sequence[str]) -> Index:
    tars = _scanned(folder, names, [(folder / name, 0, None) for name in names])
    return Index(tars, sum((members.skipped for members in tars.values()), Counter[str]()))


def rows_of(folder: Path, names: Sequence[str]) -> Index:
    """Return the same of Parquet files in a folder: by file the path of every row, its number and its label.

    The numbers are where a tar has offsets, the labels where it has sizes.
    """
    facts = [fact for name in names for fact in (name, *state(folder / name))]
    return kept(folder / names[0], "parquet", facts, lambda: _rows(folder, names))


def _rows(folder: Path, names: Sequence[str]) -> Index:
    threads = _THREADS if is_local(folder) else _REMOTE_THREADS
    scans = mapped(lambda name: parquet.scan(folder / name), names, threads)
    bar = tqdm(scans, total=len(names), desc=f"reading names in {folder.name}", unit=" files", disable=None)
    found = {name: Members(r.paths, list(range(len(r.paths))), r.labels) for name, r in zip(names, bar, strict=True)}
    return Index(found, Counter())


def scan_tars(path: Path) -> Index:
    """Return the same, by reading it."""
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

    scans = mapped(members, spans, _THREADS if is_local(root) else _REMOTE_THREADS)
    bar = tqdm(scans, total=len(names), desc=f"indexing {root.name}", unit=" tars", disable=None)
    return dict(zip(names, bar, strict=True))
