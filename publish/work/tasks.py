"""Tasks and who carries them out: this process, processes beside it (`processes`) or a Dask cluster (`cluster`).

What is run knows nothing of where it is run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from loaders import Problem

T = TypeVar("T")


@dataclass(frozen=True)
class Task(Generic[T]):
    """Something to do in a worker, and how a person calls it. `continues`: best done where the task before it was."""

    name: str
    work: Callable[[], T]
    continues: bool = False


class Finished(NamedTuple, Generic[T]):
    """A task, what came of it, and the worker that did it."""

    task: Task[T]
    value: T
    worker: str


class Crew(Protocol):
    """Those who carry out tasks; `is_remote` if not all of them are on this machine."""

    is_remote: bool

    def run(self, runs: Sequence[Sequence[Task[T]]]) -> Iterator[Finished[T]]:
        """Yield the tasks as they finish, in any order.

        Raises what a task raised, or Problem when whoever did it is gone for good; what others are at is stopped or let
        go then, and also when the caller leaves the iterator.
        """

    def check(self, make: Callable[[], Callable[[], object]]) -> None:
        """Call what `make` returns on every other machine that may carry out tasks; raises Problem when it raises."""


def died(task: Task[Any]) -> Problem:
    """Return the error of a worker that is gone with a task in its hands."""
    return Problem(
        f"{task.name}: the worker process died. Was it stopped, or out of memory? "
        "What is finished is kept: run the same command again, with fewer --workers if memory ran out."
    )
