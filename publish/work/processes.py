"""Workers that are processes on this machine; a single one is this process itself."""

import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from publish.work.schedule import Schedule, Slot
from publish.work.tasks import Finished, Task, died

T = TypeVar("T")
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt(3)
_STACK = 1 << 20  # bytes
_THREADS = 4  # that a pool of one process starts here: one, one for its queue, and some to spare


class Processes:
    """A `tasks.Crew` of processes, started when there is something to do and gone when it is done."""

    is_remote = False

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, runs: Sequence[Sequence[Task[T]]]) -> Iterator[Finished[T]]:
        tasks = sum(map(len, runs))
        count = min(self._count, tasks)
        if count > 1:
            spare_address_space()
        if count == 1 or (count > 1 and not _threads_start(_THREADS * count)):
            keep_memory()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as in a worker: Pillow's, of damaged EXIF
                yield from (Finished(task, task.work(), "this process") for run in runs for task in run)
        elif tasks:
            with _started(count) as workers:
                yield from Schedule(runs, workers).results()

    def check(self, make: Callable[[], Callable[[], object]]) -> None:
        """All of them see what this process sees."""


class _Workers:
    patience: float | None = None
    tries = 1

    def __init__(self, executors: Sequence[ProcessPoolExecutor]) -> None:
        self._slots = {Slot(f"process {n}", 0): executor for n, executor in enumerate(executors)}

    def slots(self) -> dict[Slot, ProcessPoolExecutor]:
        return self._slots

    def lost(self, task: Task[Any], error: BaseException) -> BaseException | None:
        return died(task) if isinstance(error, BrokenProcessPool) else None


@contextmanager
def _started(count: int) -> Iterator[_Workers]:
    context = multiprocessing.get_context("spawn")
    executors = [ProcessPoolExecutor(1, context, initializer=_start_worker) for _ in range(count)]
    try:
        yield _Workers(executors)
    except BaseException as error:
        for executor in executors:
            for process in list((executor._processes or {}).values()):  # the library kills none before Python 3.14
                process.kill()
        for executor in executors:
            executor.shutdown(wait=isinstance(error, Exception | GeneratorExit), cancel_futures=True)
        raise
    for executor in executors:
        executor.shutdown()


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: the driver decides, kills its workers and removes what they left.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    keep_memory()
    threading.Thread(target=_end_with_driver, daemon=True).start()


def spare_address_space() -> None:
    """Where address space is limited (`ulimit -v`), ask for less of it: a thread usually takes 72 MB or more.

    That is 8 MB of stack and, by glibc, a heap of its own.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        threading.stack_size(_STACK)
        _mallopt(_ARENA_MAX, 1)


def _threads_start(count: int) -> bool:
    """Say whether so many threads can be had at once: without them, the library's pools of processes wait for ever."""
    go, threads = threading.Event(), []
    try:
        for _ in range(count):
            thread = threading.Thread(target=go.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        return False
    finally:
        go.set()
        for thread in threads:
            thread.join()
    return True


def keep_memory() -> None:
    """Let glibc keep large blocks: given back, each is asked for anew with every batch.

    The first touch of a fresh page costs more than filtering what is put there. Other C libraries have no such call.
    """
    _mallopt(_TRIM_THRESHOLD, 1 << 30)
    _mallopt(_MMAP_THRESHOLD, 32 << 20)


def _mallopt(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(option, value)


def _end_with_driver() -> None:
    """Leave when the driver is gone, however it went: nobody would take what this process makes."""
    driver = multiprocessing.parent_process()
    if driver:
        driver.join()
        os._exit(1)
