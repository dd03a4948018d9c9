"""Work by several threads: in order, whatever fails, and by fewer threads where the system starts no more."""

import threading
import time
from collections.abc import Callable

import pytest

from loaders.files.threads import mapped


def allow(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Let no more than so many threads start, as a limit of address space or processes does."""
    start: Callable[[threading.Thread], None] = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if len(started) >= most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)


@pytest.mark.parametrize("count", [0, 1, 5, 300])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    assert list(mapped(lambda n: n * n, range(count), 8)) == [n * n for n in range(count)]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_fewer_threads_do_the_same(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, most)
    assert list(mapped(lambda n: n + 1, range(50), 8)) == list(range(1, 51))


def test_work_is_done_at_once() -> None:
    barrier = threading.Barrier(4, timeout=10)
    assert len(set(mapped(lambda _: barrier.wait(), range(4), 4))) == 4


@pytest.mark.parametrize("most", [0, 4])
def test_an_error_is_raised_in_its_place(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, most)
    results = mapped(lambda n: 1 // (3 - n), range(100), 4)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_whoever_stops_asking_waits_for_what_has_begun_alone() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        time.sleep(0.01)

    others = threading.enumerate()
    results = mapped(work, range(10_000), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(done) < 100
    assert [thread for thread in threading.enumerate() if "<lambda>" in thread.name and thread not in others] == []
