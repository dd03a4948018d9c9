"""Work for the processes of a pool, in a module that is imported in no time: each task leaves a line in a log."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from publish.work.tasks import Task

SECONDS = 20

Who = tuple[str, int]  # the name of a task, and the process that did it


def noted(folder: Path, name: str, seconds: float = 0) -> Who:
    """Leave a line: who did what."""
    with (folder / "log").open("a") as log:
        log.write(f"{os.getpid()} {name}\n")
    time.sleep(seconds)
    return name, os.getpid()


def noted_together(folder: Path, name: str, others: int) -> Who:
    """The same, and wait until so many have begun."""
    done = noted(folder, name)
    wait_for(lambda: len(log(folder)) >= others)
    return done


def fails(error: Exception) -> NoReturn:
    raise error


def dies(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def tasks(folder: Path, names: Sequence[str], seconds: float = 0) -> list[Task[Any]]:
    return [Task(name, partial(noted, folder, name, seconds)) for name in names]


def together(folder: Path, others: dict[str, int]) -> list[Task[Any]]:
    """Return tasks by name, each of which waits until so many have begun."""
    return [Task(name, partial(noted_together, folder, name, count)) for name, count in others.items()]


def log(folder: Path) -> list[tuple[int, str]]:
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), name) for pid, name in (line.split(" ") for line in lines)]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
