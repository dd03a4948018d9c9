"""Work that waits for a disk or a server, by several threads at once."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
_STACK = 1 << 20  # bytes; the usual 8 MB apiece are much where address space is counted


def mapped(function: Callable[[A], B], items: Sequence[A], most: int) -> Iterator[B]:
    """Yield what a function makes of each item, in their order, by up to `most` threads.

    Where the system starts no more threads there are fewer, and without any this thread does it. What the function
    raises is raised here. Whoever stops asking waits for no more than what has begun.
    """
    futures = [Future[B]() for _ in items]
    waiting = deque(zip(futures, items, strict=True))
    threads = _started(lambda: _work(function, waiting), min(most, len(items)))
    try:
        if threads:
            yield from (future.result() for future in futures)
        else:
            yield from map(function, items)
    finally:
        waiting.clear()
        for thread in threads:
            thread.join()


def _started(work: Callable[[], None], most: int) -> list[threading.Thread]:
    threads: list[threading.Thread] = []
    usual = threading.stack_size(_STACK)
    try:
        for _ in range(most):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError:  # the limit of processes or of address space is reached
        pass
    finally:
        threading.stack_size(usual)
    return threads


def _work(function: Callable[[A], B], waiting: "deque[tuple[Future[B], A]]") -> None:
    while True:
        try:
            future, item = waiting.popleft()
        except IndexError:
            return
        try:
            future.set_result(function(item))
        except BaseException as error:
            future.set_exception(error)
