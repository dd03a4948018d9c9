"""The pool: every task once, errors and dead workers told, and nobody left behind."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders import Problem, SourceProblem
from publish.build.staging import Done
from publish.work import schedule as runner
from publish.work.processes import Processes
from publish.work.tasks import Task

pytestmark = pytest.mark.usefixtures("importable")
_SECONDS, _TOLD = 20, 10


# What workers do


def noted(folder: Path, name: str, seconds: float = 0) -> Done:
    """Leave a line: who did what."""
    with (folder / "log").open("a") as log:
        log.write(f"{os.getpid()} {name}\n")
    time.sleep(seconds)
    return Done(upload=(name, os.getpid()))


def noted_together(folder: Path, name: str, others: int) -> Done:
    """The same, and wait until so many have begun."""
    done = noted(folder, name)
    wait_for(lambda: len(log(folder)) >= others)
    return done


def fails(error: Exception) -> Done:
    raise error


def dies(number: int) -> Done:
    os.kill(os.getpid(), number)
    time.sleep(60)
    return Done()


def tasks(folder: Path, names: Sequence[str], seconds: float = 0) -> list[Task[Any]]:
    return [Task(name, partial(noted, folder, name, seconds)) for name in names]


def log(folder: Path) -> list[tuple[int, str]]:
    path = folder / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), name) for pid, name in (line.split(" ") for line in lines)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
def test_every_task_is_done_once(workers: int, tmp_path: Path) -> None:
    runs = [tasks(tmp_path, [f"{run}-{i}" for i in range(length)]) for run, length in enumerate((5, 0, 1, 3))]
    results = list(Processes(workers).run(runs))
    names = sorted(task.name for run in runs for task in run)
    assert sorted(task.name for task, _, _ in results) == names
    assert sorted(name for _, name in log(tmp_path)) == names
    assert all(task.name == done.upload[0] for task, done, _ in results)
    assert len({pid for pid, _ in log(tmp_path)}) <= workers


def test_one_worker_is_this_process_and_keeps_the_order(tmp_path: Path) -> None:
    list(Processes(1).run([tasks(tmp_path, "abc"), tasks(tmp_path, "de")]))
    assert log(tmp_path) == [(os.getpid(), name) for name in "abcde"]


@pytest.mark.parametrize("runs", [[], [[]], [[], []]])
@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_to_do(runs: list[list[Task[Any]]], workers: int) -> None:
    assert list(Processes(workers).run(runs)) == []


def test_several_workers_share_one_run(tmp_path: Path) -> None:
    list(Processes(2).run([tasks(tmp_path, [str(i) for i in range(8)], 0.05)]))
    assert len({pid for pid, _ in log(tmp_path)}) == 2


def test_a_worker_keeps_to_consecutive_tasks(tmp_path: Path) -> None:
    """Each takes up the run where it stands: their streams are read forwards."""
    together = partial(noted_together, tmp_path)  # in step, so that neither is done first and helps the other
    runs = [[Task(f"{run}{i}", partial(together, f"{run}{i}", 2 * i + 2)) for i in range(3)] for run in "ab"]
    list(Processes(2).run(runs))
    done: dict[int, list[str]] = {}
    for pid, name in log(tmp_path):
        done.setdefault(pid, []).append(name)
    assert sorted(done.values()) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


# Where a run is cut


def of(continues: str) -> deque[Task[Any]]:
    """Return tasks, of which those marked "." go on where the one before stopped."""
    return deque(Task(str(i), Done, continues=mark == ".") for i, mark in enumerate(continues))


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


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "error", [SourceProblem("x.tar: cut short"), OSError(28, "No space left on device", "x"), KeyError(1)]
)
def test_what_a_task_raises_reaches_the_caller(error: Exception, workers: int, tmp_path: Path) -> None:
    runs = [[Task("bad", partial(fails, error))], tasks(tmp_path, [str(i) for i in range(40)], 0.5)]
    with pytest.raises(type(error)) as caught:
        list(Processes(workers).run(runs))
    assert caught.value.args == error.args
    done = log(tmp_path)
    time.sleep(0.7)
    assert log(tmp_path) == done  # nobody goes on
    assert [pid for pid, _ in done if pid != os.getpid() and is_alive(pid)] == []


@pytest.mark.keeps("B6")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_that_dies_is_told_with_its_shard(number: signal.Signals, tmp_path: Path) -> None:
    runs = [tasks(tmp_path, ["long"], 30), [Task("set/8x8/train-3", partial(dies, number))]]
    started = time.monotonic()
    with pytest.raises(Problem, match=r"set/8x8/train-3: the worker process died.*--workers"):
        list(Processes(2).run(runs))
    assert time.monotonic() - started < _TOLD
    assert [pid for pid, _ in log(tmp_path) if is_alive(pid)] == []


def size(content: bytes) -> int:
    return len(content)


@pytest.mark.keeps("B6")
def test_a_worker_that_dies_while_it_is_handed_more_than_a_pipe_takes() -> None:
    """Killed as soon as it is there, while its interpreter starts: nobody reads from its pipe."""
    runs = [[Task(f"set/8x8/train-{n}", partial(size, bytes(20_000_000)))] for n in range(2)]

    others = {child.pid for child in multiprocessing.active_children()}

    def workers() -> list[int]:
        return [child.pid for child in multiprocessing.active_children() if child.pid and child.pid not in others]

    def kill() -> None:
        wait_for(workers)
        os.kill(workers()[0], signal.SIGKILL)

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
    time.sleep(0.5)  # its result has come, and its next task is only given when the caller comes back
    os.kill(next(pid for pid, name in log(folder) if name == f"{other}0"), signal.SIGKILL)
    time.sleep(0.5)
    yield first
    yield from results


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_leaving_stops_the_workers(tmp_path: Path) -> None:
    results = Processes(2).run([tasks(tmp_path, ["short"]), tasks(tmp_path, [str(i) for i in range(40)], 0.2)])
    next(results)
    wait_for(lambda: len(log(tmp_path)) > 1)
    results.close()  # type: ignore[attr-defined]
    done = log(tmp_path)
    assert [pid for pid, _ in done if is_alive(pid)] == []
    time.sleep(0.5)
    assert log(tmp_path) == done


def test_processes_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    """Who calls this from a program of his own has children of his own."""
    others = multiprocessing.active_children()
    own = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(_SECONDS,))
    own.start()
    try:
        with pytest.raises(Problem):
            list(Processes(2).run([[Task(name, partial(fails, Problem(name))) for name in "abc"]]))
        assert own.is_alive()
        assert [child for child in multiprocessing.active_children() if child not in others] == [own]
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
    assert [(finished.task.name, finished.value.upload) for finished in done] == [(n, (n, os.getpid())) for n in names]
