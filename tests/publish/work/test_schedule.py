"""The pool: every task once, errors and dead workers told, and nobody left behind."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Problem, SourceProblem
from publish.work import schedule as runner
from publish.work.processes import Processes
from publish.work.tasks import Task
from tests.kit.working import SECONDS, dies, fails, log, tasks, together, wait_for

pytestmark = pytest.mark.usefixtures("importable")
_TOLD = 10


@pytest.fixture
def others() -> list[BaseProcess]:
    """The processes of this one that have nothing to do with a test."""
    return multiprocessing.active_children()


def new(others: list[BaseProcess]) -> list[BaseProcess]:
    """Return the processes that a test left behind."""
    return [child for child in multiprocessing.active_children() if child not in others]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_task_is_done_once(workers: int, tmp_path: Path) -> None:
    runs = [tasks(tmp_path, [f"{run}-{i}" for i in range(length)]) for run, length in enumerate((2, 0, 1))]
    results = list(Processes(workers).run(runs))
    names = sorted(task.name for run in runs for task in run)
    assert sorted(task.name for task, _, _ in results) == names
    assert sorted(name for _, name in log(tmp_path)) == names
    assert all(task.name == who[0] for task, who, _ in results)
    assert len({pid for pid, _ in log(tmp_path)}) <= workers


def test_one_worker_is_this_process_and_keeps_the_order(tmp_path: Path) -> None:
    list(Processes(1).run([tasks(tmp_path, "abc"), tasks(tmp_path, "de")]))
    assert log(tmp_path) == [(os.getpid(), name) for name in "abcde"]


@pytest.mark.parametrize("runs", [[], [[]], [[], []]])
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(runs: list[list[Task[Any]]], workers: int) -> None:
    assert list(Processes(workers).run(runs)) == []


def test_several_workers_share_one_run(tmp_path: Path) -> None:
    list(Processes(2).run([together(tmp_path, dict.fromkeys("abcd", 2))]))
    assert len({pid for pid, _ in log(tmp_path)}) == 2


def test_a_worker_keeps_to_consecutive_tasks(tmp_path: Path) -> None:
    """Each takes up the run where it stands: their streams are read forwards."""
    # In step, so that neither is done first and helps the other.
    list(Processes(2).run([together(tmp_path, {f"{run}{i}": 2 * i + 2 for i in range(3)}) for run in "ab"]))
    done: dict[int, list[str]] = {}
    for pid, name in log(tmp_path):
        done.setdefault(pid, []).append(name)
    assert sorted(done.values()) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


# Where a run is cut


def of(continues: str) -> deque[Task[Any]]:
    """Return tasks, of which those marked "." go on where the one before stopped."""
    return deque(Task(str(i), str, continues=mark == ".") for i, mark in enumerate(continues))


@pytest.mark.parametrize(
    ("continues", "at"),
    [
        ("|...", 2),  # nowhere to cut but in the middle
        ("|..|....", 3),  # a start near the middle
        ("|....|..", 5),
        ("||......", 4),  # a start too far from it
        ("|.|.|.|.", 4),
        ("|", 0),
        ("|.", 1),
        ("||", 1),
        ("|.......|.......", 8),
    ],
)
def test_a_run_is_cut_at_the_start_of_a_stream(continues: str, at: int) -> None:
    left = of(continues)
    later = runner.cut(left)
    assert [task.name for task in left] == [str(i) for i in range(at)]
    assert [task.name for task in later] == [str(i) for i in range(at, len(continues))]


@given(st.text("|.", min_size=1, max_size=30))
def test_a_cut_loses_nothing(continues: str) -> None:
    left = of(continues)
    later = runner.cut(left)
    assert [task.name for task in [*left, *later]] == [str(i) for i in range(len(continues))]
    assert later
    if len(continues) > 1:
        assert abs(len(left) - len(continues) // 2) <= len(continues) // 4


# When something goes wrong


@pytest.mark.parametrize(
    ("error", "workers"),
    [
        (SourceProblem("x.tar: cut short"), 2),
        (OSError(28, "No space left on device", "x"), 2),
        (KeyError(1), 1),
    ],
)
def test_what_a_task_raises_reaches_the_caller(
    error: Exception, workers: int, tmp_path: Path, others: list[BaseProcess]
) -> None:
    runs = [[Task("bad", partial(fails, error))], tasks(tmp_path, [str(i) for i in range(40)], 0.5)]
    with pytest.raises(type(error)) as caught:
        list(Processes(workers).run(runs))
    assert caught.value.args == error.args
    assert new(others) == []  # nobody goes on


@pytest.mark.keeps("B6")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_is_told_with_its_shard(
    number: signal.Signals, tmp_path: Path, others: list[BaseProcess]
) -> None:
    runs = [tasks(tmp_path, ["long"], 30), [Task("set/8x8/train-3", partial(dies, number))]]
    started = time.monotonic()
    with pytest.raises(Problem, match=r"set/8x8/train-3: the worker process died.*--workers"):
        list(Processes(2).run(runs))
    assert time.monotonic() - started < _TOLD
    assert new(others) == []


@pytest.mark.keeps("B6")
def test_a_worker_that_dies_while_it_is_handed_more_than_a_pipe_takes(others: list[BaseProcess]) -> None:
    """Killed as soon as it is there, while its interpreter starts: nobody reads from its pipe."""
    runs = [[Task(f"set/8x8/train-{n}", partial(len, bytes(2_000_000)))] for n in range(2)]

    def kill() -> None:
        wait_for(lambda: new(others))
        new(others)[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    started = time.monotonic()
    with pytest.raises(Problem, match=r"set/8x8/train-\d: the worker process died"):
        list(Processes(2).run(runs))
    killer.join()
    assert time.monotonic() - started < _TOLD


@pytest.mark.keeps("B6")
def test_a_worker_that_dies_between_two_tasks_is_told_too(tmp_path: Path) -> None:
    """While the caller is busy with a result, and the worker waits for its next task."""
    runs = [tasks(tmp_path, ["a0", "a1", "a2"], 0), tasks(tmp_path, ["b0", "b1", "b2"], 0)]
    with pytest.raises(Problem, match="the worker process died"):
        for _ in killing_whoever_is_idle(Processes(2).run(runs), tmp_path):
            pass


def killing_whoever_is_idle(results: Iterator[Any], folder: Path) -> Iterator[Any]:
    first = next(results)
    other = "b" if first.task.name[0] == "a" else "a"
    wait_for(lambda: any(name == f"{other}0" for _, name in log(folder)))
    time.sleep(0.2)  # its result has come, and its next task is only given when the caller comes back
    os.kill(next(pid for pid, name in log(folder) if name == f"{other}0"), signal.SIGKILL)
    time.sleep(0.2)
    yield first
    yield from results


def test_leaving_stops_the_workers(tmp_path: Path, others: list[BaseProcess]) -> None:
    results = Processes(2).run([tasks(tmp_path, ["short"]), tasks(tmp_path, [str(i) for i in range(40)], 0.2)])
    next(results)
    wait_for(lambda: len(log(tmp_path)) > 1)
    results.close()  # type: ignore[attr-defined]
    assert new(others) == []


def test_processes_of_the_caller_are_left_alone(others: list[BaseProcess]) -> None:
    """Who calls this from a program of his own has children of his own."""
    own = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(SECONDS,))
    own.start()
    try:
        with pytest.raises(Problem):
            list(Processes(2).run([[Task(name, partial(fails, Problem(name))) for name in "abc"]]))
        assert own.is_alive()
        assert new(others) == [own]
    finally:
        own.kill()
        own.join()


# Where the system starts no more threads


@pytest.mark.parametrize("most", [0, 3])
def test_without_threads_this_process_does_it_all(most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in little address space: there, a pool of processes of the library's waits for ever."""
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def limited(thread: threading.Thread) -> None:
        if sum(each.is_alive() for each in started) >= most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    names = ["a", "b", "c"]
    done = list(Processes(2).run([tasks(tmp_path, names)]))
    assert [(finished.task.name, finished.value) for finished in done] == [(n, (n, os.getpid())) for n in names]
