"""A file held in a test: whoever opens it waits there, wherever that is in a run."""

import contextlib
import fcntl
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SECONDS = 60


@contextlib.contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """Hold a file until the end of the block, for 45 seconds at most, and give out what waits until somebody waits.

    By a lease, see fcntl(2): the system tells who has it when another process opens the file, and lets that one wait.
    """
    asked: list[int] = []
    before = signal.signal(signal.SIGIO, lambda *_: asked.append(1))
    try:
        with path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield lambda: wait_for(lambda: bool(asked))
    finally:
        signal.signal(signal.SIGIO, before)


def wait_for(happens: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.01)
