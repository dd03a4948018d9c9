"""What the commands have in common: options about workers and places."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loaders import Problem
from loaders.files import places
from publish import results
from publish.work.processes import Processes
from publish.work.tasks import Crew


def place(text: str) -> Path:
    """Return the path or URL that an option names."""
    return _named(places.place, text)


def local(text: str) -> Path:
    """Return the path of this machine that an option names."""
    return _named(places.local, text)


def destination(text: str) -> Path:
    """Return the path or URL that an option names for results."""
    return _named(results.destination, text)


def _named(find: Callable[[str], Path], text: str) -> Path:
    try:
        return find(text)
    except Problem as problem:
        raise argparse.ArgumentTypeError(str(problem)) from problem


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads a whole number of at least that."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return read


def add_workers(add: Callable[..., object]) -> None:
    """Add the options that say who does the work."""
    add("--workers", type=whole_number(1), default=os.cpu_count(), metavar="N", help="processes (default: the cores)")
    add("--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://HOST:PORT, on whose workers it is done instead")


@contextmanager
def crew_of(options: argparse.Namespace) -> Iterator[Crew]:
    """Give out who does the work; raises Problem when it is a cluster that does not answer."""
    if options.scheduler is None:
        yield Processes(options.workers)
        return
    from publish.work.cluster import Cluster

    with Cluster(options.scheduler) as cluster:
        print(cluster, file=sys.stderr)
        yield cluster
