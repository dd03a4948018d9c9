"""Photographs put aside: of Parquet each row group is read once, and shards are made of what was put aside.

The rows of a shard lie all over the Parquet, whose order is another: each shard by itself would read most row groups
anew. So the wanted photographs are first written, as they are, to a file for each of Parquet's, in its order. Beside
each lies an index of their lengths, with a CRC-32, by which a run that was killed goes on. No two workers write one
file, so that they may be on different machines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from zlib_ng import zlib_ng

from loaders import Job
from loaders.files.cache import Arrays, load_arrays, save_arrays, take_arrays
from loaders.files.places import is_local
from loaders.files.threads import mapped
from loaders.files.typed import Count
from loaders.formats import parquet
from loaders.formats.holder import Holder
from loaders.formats.photos import I64, Photos
from publish.build.plan import SplitBuild
from publish.console.progress import megabytes
from publish.results import written
from publish.work.tasks import Task

_BLOCK = 1 << 20  # bytes
_AT_ONCE = 4  # files of a store, and footers: there, what is waited for is the answer


@dataclass(frozen=True)
class _Facts:
    """Of which photographs a file is, and its CRC-32."""

    identity: str
    check: Count


@dataclass(frozen=True)
class _Files:
    """The photographs wanted of some Parquet files. Called in a worker."""

    folder: Path
    photos: Photos

    def __call__(self) -> None:
        """Put them aside, but for what an earlier run did. Raises SourceProblem, OSError."""
        for _ in mapped(self._put, range(len(self.photos.holders)), _AT_ONCE):
            pass

    def _put(self, holder: int) -> None:
        photos = self.photos.take(self.photos.inside == holder)
        place = _place(self.folder, self.photos.holders[holder])
        if _is_whole(place, photos):
            return
        sizes, check = list[int](), 0
        with written(place) as temporary:
            with temporary.open("wb") as file:
                for _, photograph in photos.rows_of(0):
                    file.write(photograph)
                    sizes.append(len(photograph))
                    check = zlib_ng.crc32(photograph, check)
            with written(_index(place)) as index:  # first: a file that has its name here is whole
                index.write_bytes(save_arrays(_Facts(photos.identity, check), {"sizes": np.array(sizes, np.int64)}))


def _place(folder: Path, holder: Holder) -> Path:
    """Return where the photographs of a Parquet file are put, whose name says which."""
    return folder / f"{Path(holder.place).stem}.photographs"


def _index(place: Path) -> Path:
    return place.with_suffix(".npz")


def _is_whole(place: Path, photos: Photos) -> bool:
    def found(facts: _Facts, arrays: Arrays) -> tuple[_Facts, int]:
        return facts, int(arrays["sizes"].sum())

    known = load_arrays(_index(place), _Facts, found)
    if known is None or known[0].identity != photos.identity or not place.is_file():
        return False
    return place.stat().st_size == known[1] and (not is_local(place) or _check(place) == known[0].check)


def _check(place: Path) -> int:
    check = 0
    with place.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            check = zlib_ng.crc32(block, check)
    return check


@dataclass(frozen=True)
class Aside:
    """The photographs of some jobs of one split, which lie in Parquet, and the folder to put them aside in.

    `name` is what a person calls the split, `jobs` are by the path of their shard.
    """

    name: str
    folder: Path
    jobs: Mapping[str, Job]

    def __str__(self) -> str:
        about = f"{len(self._photos):,} photographs (about {megabytes(self.nbytes)})"
        return f"{self.name}: {about} are put aside in {self.folder}, so that each row group of Parquet is read once"

    @cached_property
    def _photos(self) -> Photos:
        """They, in the order of the jobs."""
        return Photos.joined([part for job in self.jobs.values() for part in job.parts])

    @cached_property
    def _order(self) -> I64:
        """Which of them comes at each place in the order of Parquet."""
        return np.lexsort((self._photos.offsets, self._photos.inside))

    @property
    def nbytes(self) -> int:
        """About how many bytes they have."""
        return self._photos.nbytes

    def reads(self) -> int:
        """Return how many bytes of Parquet are read for them, at most; raises SourceProblem, OSError."""
        photos = self._photos

        def cost(holder: int) -> int:
            rows = np.sort(photos.offsets[photos.inside == holder])
            return parquet.cost(photos.holders[holder].within(photos.root), rows.tolist())

        return sum(mapped(cost, range(len(photos.holders)), _AT_ONCE))

    def tasks(self) -> list[Task[None]]:
        """Return what is to be done before `placed`, in any order."""
        stored, step = self._photos.take(self._order), 1 if is_local(self._photos.root) else _AT_ONCE
        starts = range(0, len(stored.holders), step)
        parts = [stored.take((stored.inside >= at) & (stored.inside < at + step)) for at in starts]
        return [
            Task(f"{self.name}, file {at + 1} of Parquet", _Files(self.folder, part))
            for at, part in zip(starts, parts, strict=True)
        ]

    def placed(self) -> dict[str, Job]:
        """Return the same jobs, whose photographs are read from where they were put aside."""
        photos = self._photos
        holders = tuple(Holder("aside", _place(self.folder, holder).name) for holder in photos.holders)
        found = [_sizes(_index(self.folder / holder.place)) for holder in holders]
        offsets, sizes = np.empty(len(photos), np.int64), np.empty(len(photos), np.int64)
        sizes[self._order] = np.concatenate(found)
        offsets[self._order] = np.concatenate([np.cumsum(each) - each for each in found])
        moved, jobs, start = replace(photos, root=self.folder, holders=holders, offsets=offsets, sizes=sizes), {}, 0
        for path, job in self.jobs.items():
            jobs[path] = replace(job, parts=(moved.take(slice(start, start + job.rows)),))
            start += job.rows
        return jobs


def _sizes(index: Path) -> I64:
    return take_arrays(index, _Facts, lambda _, arrays: arrays["sizes"])


def aside(name: str, folder: Path, jobs: Mapping[str, Job]) -> Aside | None:
    """Return the photographs of jobs that are better put aside: those of several jobs, which lie in Parquet."""
    return Aside(name, folder, jobs) if len(jobs) > 1 and _are_in_parquet(jobs) else None


def _are_in_parquet(jobs: Mapping[str, Job]) -> bool:
    parts = [part for job in jobs.values() for part in job.parts]
    holders = [holder for part in parts if isinstance(part, Photos) for holder in part.holders]
    return bool(holders) and all(holder.kind == "parquet" for holder in holders)


def told(build: SplitBuild) -> str | None:
    """Say how much of Parquet a split is made of, and how much is put aside meanwhile; None of other archives.

    Raises SourceProblem, OSError.
    """
    jobs = dict(zip(build.paths, build.plan.jobs, strict=True))
    if not _are_in_parquet(jobs):
        return None
    found, (archive, *_) = Aside(build.name, Path(), jobs), build.plan.archives
    said = f"{build.name}: reads at most {megabytes(found.reads())} of {megabytes(archive.bytes)} in {archive.path}"
    if len(jobs) == 1:
        return said
    return f"{said}, each row group once, and puts about {megabytes(found.nbytes)} aside meanwhile"
