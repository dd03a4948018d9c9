"""Who writes the shards: this process, or a pool. What is run knows nothing of where it is run.

Jobs of one split continue each other in the same compressed streams, which can only be read forwards. So a worker keeps
to a run of consecutive jobs, and one that has none left takes the second half of the longest run: every core is busy to
the end, and a stream is read from its start again only where a run was cut.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from loaders import Problem
from publish.staging import Done

# glibc gives large blocks back to the system and asks for them again with every batch; each time, the first touch of a
# page costs more than filtering what is put there. These two (bytes) make it keep them. Other C libraries ignore both.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(4 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


@dataclass(frozen=True)
class Task:
    """Something to do in a worker, and how a person calls it. `continues`: best done where the task before it was."""

    name: str
    work: Callable[[], Done]
    continues: bool = False


Run = deque[Task]


def run(runs: Sequence[Sequence[Task]], workers: int) -> Iterator[tuple[Task, Done]]:
    """Yield each task with what came of it as they finish, in any order.

    Raises what a task raised, or Problem when a worker process died; the other workers are stopped then, and also when
    the caller leaves the iterator.
    """
    waiting = [deque(tasks) for tasks in runs if tasks]
    count = sum(map(len, waiting))
    if workers == 1 or count == 1:
        yield from ((task, task.work()) for tasks in waiting for task in tasks)
    elif count:
        with _pool(min(workers, count)) as executors:
            yield from _Schedule(waiting, executors).results()


class _Schedule:
    def __init__(self, waiting: list[Run], executors: list[ProcessPoolExecutor]) -> None:
        self._waiting = waiting
        self._runs: dict[ProcessPoolExecutor, Run] = {executor: deque() for executor in executors}
        self._running: dict[Future[Done], tuple[ProcessPoolExecutor, Task]] = {}

    def results(self) -> Iterator[tuple[Task, Done]]:
        for executor in self._runs:
            self._submit(executor)
        while self._running:
            done, _ = concurrent.futures.wait(self._running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                executor, task = self._running.pop(future)
                done_task = _result(future, task)
                self._submit(executor)
                yield task, done_task

    def _submit(self, executor: ProcessPoolExecutor) -> None:
        if not self._runs[executor]:
            self._runs[executor] = self._next_run()
        if self._runs[executor]:
            task = self._runs[executor].popleft()
            try:
                self._running[executor.submit(task.work)] = (executor, task)
            except BrokenProcessPool as error:
                raise _died(task) from error

    def _next_run(self) -> Run:
        if self._waiting:
            return self._waiting.pop(0)
        longest = max(self._runs.values(), key=len)
        return cut(longest) if longest else deque()


def cut(tasks: Run) -> Run:
    """Take the later half off a run; where a stream starts near the middle, that is where it is cut."""
    middle = len(tasks) // 2
    starts = [i for i, task in enumerate(tasks) if not task.continues and abs(i - middle) <= len(tasks) // 4]
    at = min(starts, key=lambda i: abs(i - middle), default=middle)
    later = deque(list(tasks)[at:])
    for _ in later:
        tasks.pop()
    return later


def _result(future: Future[Done], task: Task) -> Done:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise _died(task) from error


def _died(task: Task) -> Problem:
    return Problem(
        f"{task.name}: the worker process died that was to write this shard. Was it stopped, or out of memory? "
        "Finished shards are kept: run the same command again, with fewer --workers if memory ran out."
    )


@contextmanager
def _pool(workers: int) -> Iterator[list[ProcessPoolExecutor]]:
    os.environ.update({name: os.environ.get(name, value) for name, value in _KEEP_MEMORY.items()})
    context = multiprocessing.get_context("spawn")
    executors = [ProcessPoolExecutor(1, context, initializer=_start_worker) for _ in range(workers)]
    try:
        yield executors
    except BaseException as error:
        for process in multiprocessing.active_children():
            process.kill()
        for executor in executors:
            executor.shutdown(wait=isinstance(error, Exception | GeneratorExit), cancel_futures=True)
        raise
    for executor in executors:
        executor.shutdown()


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: the driver decides, kills its workers and removes what they left.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()


def _end_with_driver() -> None:
    """Leave when the driver is gone, however it went: nobody would take what this process makes."""
    driver = multiprocessing.parent_process()
    if driver:
        driver.join()
        os._exit(1)
