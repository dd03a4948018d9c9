"""Rows read from the very files that were planned: a job is held to what they were when they were found."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from loaders.base.dataset import Batch, Config, Job, Loader, SplitPlan
from loaders.files.places import is_place
from loaders.files.seen import held
from loaders.sources.source import Found


def plan(loader: Loader, config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Return the plan of every split, each job held to the files that it reads; raises SourceProblem."""
    return [_held(split) for split in loader.plan(config, found, partial)]


def _held(split: SplitPlan) -> SplitPlan:
    archives = {archive.path: archive for archive in split.archives}

    def hold(job: Job) -> Job:
        read = dict.fromkeys(path for path in _places(job.parts) if path in archives)
        return replace(job, seen=tuple(seen for path in read for seen in archives[path].seen))

    return replace(split, jobs=tuple(map(hold, split.jobs)))


def _places(value: object) -> Iterator[Path]:
    match value:
        case _ if is_place(value):
            yield value  # type: ignore[misc]
        case tuple():
            for item in value:
                yield from _places(item)
        case _ if is_dataclass(value):
            yield from _places(tuple(getattr(value, member.name) for member in fields(value)))


def batches(loader: Loader, job: Job) -> Iterator[Batch]:
    """Yield the rows of a job, in order.

    Raises SourceProblem, at the latest behind the last row, when a file that they come from has changed.
    """
    with held(job.seen):
        yield from loader.batches(job)
