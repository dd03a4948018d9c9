"""What the commands have in common: options about workers and places, and errors in a line with an exit code."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from loaders import _places
from loaders._errors import MissingSources, Problem, UnknownConfig
from loaders._processes import Processes
from loaders._runner import Crew

UNCHANGED = "Nothing under a final name has changed; see --out for another place."
KEPT = "What is finished is kept: run the same command again to go on, or see --out for another place."
_STOPPED = "stopped; what is finished is kept, run the same command again to go on"


class _Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def exit_code(command: Callable[[], int], out: Path | None = None, after: str = UNCHANGED) -> int:
    """Run a command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped.

    `out` is where it writes, for errors of the system that name no file; `after` is what is true of it after one.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return command()
    except (MissingSources, UnknownConfig) as problem:
        return _tell(f"error: {problem}", 2)
    except Problem as problem:
        return _tell(f"error: {problem}", 1)
    except KeyboardInterrupt:
        return _tell(_STOPPED, 130)
    except _Terminated:
        return _tell(_STOPPED, 143)
    except Exception as error:
        said = _places.told(error, out)
        if said is None:
            raise
        return _tell(f"error: {said}. {after}", 1)


def _tell(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def _terminated(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def leave(code: int) -> None:
    """End the process with its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if code in (130, 143):
        # A signal may have struck while a pool held one of its locks: a usual exit would wait for its threads for ever.
        os._exit(code)
    sys.exit(code)


def place(text: str) -> Path:
    """Return the path or URL that an option names."""
    return _named(_places.place, text)


def destination(text: str) -> Path:
    """Return the path or URL that an option names for results."""
    return _named(_places.destination, text)


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
def crew(options: argparse.Namespace) -> Iterator[Crew]:
    """Give out who does the work; raises Problem when it is a cluster that does not answer."""
    if options.scheduler is None:
        yield Processes(options.workers)
        return
    from loaders._cluster import Cluster

    with Cluster(options.scheduler) as cluster:
        print(cluster, file=sys.stderr)
        yield cluster
