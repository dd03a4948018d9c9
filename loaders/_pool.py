"""Tasks over worker processes; with one worker, in this process."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Protocol, TypeVar

from loaders._errors import Problem

T = TypeVar("T", covariant=True)
# glibc gives large blocks back to the system after each photograph and asks for them anew: page faults for nothing.
_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


class Run(Protocol):
    """Runs tasks and yields what comes of each, in any order."""

    def __call__(self, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Raises what a task raised; Problem when a worker died."""


@contextmanager
def pool(workers: int) -> Iterator[Run]:
    """Give out the means to run tasks. When the block is left by an error, the workers are killed."""
    if workers == 1:
        yield _run_here
        return
    os.environ.update({name: os.environ.get(name, value) for name, value in _KEEP_MEMORY.items()})
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start)
    try:
        yield lambda tasks: _run_in(executor, tasks)
    except BaseException:
        for process in list((executor._processes or {}).values()):
            process.kill()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _run_here(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF
        for task in tasks:
            yield task()


def _run_in(executor: ProcessPoolExecutor, tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    try:
        for future in as_completed([executor.submit(task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise Problem(
            "A worker process died. Was it stopped, or out of memory? What is finished is kept: run the same command "
            "again, with fewer --workers if memory ran out."
        ) from error


def _start() -> None:
    # Ctrl-C reaches the whole group: the driver decides, and kills its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    threading.Thread(target=_end_with_the_driver, daemon=True).start()


def _end_with_the_driver() -> None:
    """End this worker when the driver was killed: it would wait for more work for ever."""
    if parent := multiprocessing.parent_process():
        wait([parent.sentinel])
        os._exit(1)
