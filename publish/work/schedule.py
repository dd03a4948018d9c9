"""Which worker does which task next.

Tasks of one run may continue each other in the same compressed streams, which can only be read forwards. So a worker
keeps to a run of consecutive tasks, and one that has none left takes the second half of the longest run: every core is
busy to the end, and a stream is read from its start again only where a run was cut."""

import concurrent.futures
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Generic, NamedTuple, Protocol

from publish.work.tasks import Finished, T, Task, died


class Slot(NamedTuple):
    """Room for one task at a time: the n-th of a worker."""

    worker: str
    number: int


class Workers(Protocol):
    """What a schedule has to know of workers.

    `patience` is how long, in seconds, it waits before it asks again which there are: None where that never changes. A
    task counts as failed when it failed on `tries` workers.
    """

    patience: float | None
    tries: int

    def slots(self) -> Mapping[Slot, Executor]:
        """Return the slots there are now, each with what to submit work to."""

    def lost(self, task: Task[Any], error: BaseException) -> BaseException | None:
        """Return what to raise when an error tells of the workers and not of the task."""


Run = deque[Task[T]]


class Schedule(Generic[T]):
    """Gives tasks to workers until all are done."""

    def __init__(self, runs: Sequence[Sequence[Task[T]]], workers: Workers) -> None:
        self._waiting: list[Run[T]] = [deque(tasks) for tasks in runs if tasks]
        self._workers = workers
        self._runs: dict[Slot, Run[T]] = {}
        self._running: dict[Future[T], tuple[Slot, Task[T]]] = {}
        self._failed: dict[str, set[str]] = {}  # task name -> workers on which it failed

    def results(self) -> Iterator[Finished[T]]:
        """Yield the tasks as they finish."""
        self._submit()
        while self._running or any(self._waiting) or any(self._runs.values()):
            done, _ = concurrent.futures.wait(
                self._running, self._workers.patience, return_when=concurrent.futures.FIRST_COMPLETED
            )
            if not self._running:
                time.sleep(1)  # every worker is gone; `slots` raises when none comes back
            finished = [outcome for future in done if (outcome := self._outcome(future))]
            self._submit()
            yield from finished

    def _submit(self) -> None:
        slots = self._workers.slots()
        for gone in set(self._runs) - set(slots):
            self._waiting.append(self._runs.pop(gone))
        self._take_back({future for future, (slot, _) in self._running.items() if slot not in slots})
        busy = {slot for slot, _ in self._running.values()}
        for slot, executor in slots.items():
            self._runs.setdefault(slot, deque())
            if slot not in busy and (task := self._next(slot)):
                try:
                    self._running[executor.submit(task.work)] = (slot, task)
                except Exception as error:
                    raise self._workers.lost(task, error) or error from error

    def _take_back(self, orphans: set[Future[T]]) -> None:
        """Let others do what workers had in hand that are gone; a task that took three of them with it is told."""
        for future in orphans:
            slot, task = self._running.pop(future)
            future.cancel()
            failed = self._failed.setdefault(task.name, set())
            failed.add(slot.worker)
            if len(failed) >= self._workers.tries:
                raise died(task)
            self._waiting.insert(0, deque([task]))

    def _next(self, slot: Slot) -> Task[T] | None:
        """Return the next task for a slot: of its own run, else of one that waits, else of the longest one's end."""
        self._waiting = [run for run in self._waiting if run]
        if not self._runs[slot]:
            longest = max(self._runs.values(), key=len)
            self._runs[slot] = self._waiting.pop(0) if self._waiting else cut(longest) if longest else deque()
        run = self._runs[slot]
        if run and slot.worker in self._failed.get(run[0].name, ()) and self._others(run[0]):
            return None  # it failed here: it waits for another worker
        return run.popleft() if run else None

    def _outcome(self, future: Future[T]) -> Finished[T] | None:
        slot, task = self._running.pop(future)
        try:
            return Finished(task, future.result(), slot.worker)
        except (Exception, concurrent.futures.CancelledError) as error:
            if lost := self._workers.lost(task, error):
                raise lost from error
            if not self._may_go_elsewhere(task, slot.worker):
                raise
        return None

    def _may_go_elsewhere(self, task: Task[T], worker: str) -> bool:
        """Put a task that failed on a worker in front of another worker's run, if there is one it did not fail on."""
        failed = self._failed.setdefault(task.name, set())
        failed.add(worker)
        others = self._others(task)
        if len(failed) >= self._workers.tries or not others:
            return False
        self._runs.setdefault(others[0], deque()).appendleft(task)
        return True

    def _others(self, task: Task[T]) -> list[Slot]:
        return [slot for slot in self._workers.slots() if slot.worker not in self._failed[task.name]]


def cut(tasks: Run[T]) -> Run[T]:
    """Take the later half off a run; where a stream starts near the middle, that is where it is cut."""
    middle = len(tasks) // 2
    starts = [i for i, task in enumerate(tasks) if not task.continues and abs(i - middle) <= len(tasks) // 4]
    at = min(starts, key=lambda i: abs(i - middle), default=middle)
    later = deque(list(tasks)[at:])
    for _ in later:
        tasks.pop()
    return later
