"""Workers of a Dask cluster (https://distributed.dask.org), which the user starts with Dask's own tools.

A task travels as the job it is: paths, numbers, names. No login and no credential does; each machine has its own.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from loaders import Problem
from publish.work.processes import keep_memory
from publish.work.schedule import Schedule, Slot
from publish.work.tasks import Finished, Task, died

try:
    from distributed import Client, KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import registry
except ImportError as error:
    raise Problem(
        f"--scheduler needs Dask ({error}). Install it here and on every worker: pip install 'imagenet-variants[dask]'."
    ) from error

# What it has to say of a lost scheduler is said here, in a line.
for _name in ("distributed", "distributed.client", "distributed.core"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)
T = TypeVar("T")
CONNECT = 10.0  # seconds within which a scheduler answers
WORKERS = 60.0  # seconds within which a cluster has a worker, at the start and when all are gone
# What decides about the bytes of a shard or of a regenerated file.
LIBRARIES = ("numpy", "pillow", "pyarrow", "simplejpeg", "zlib-ng")
_INSTALL = "Install there what is installed here: this release of imagenet-variants[dask], and {}"


class Cluster:
    """A `tasks.Crew` of Dask workers."""

    is_remote, tries = True, 3
    patience: float | None = 1.0

    def __init__(self, address: str) -> None:
        """Connect; raises Problem when no scheduler answers there, it has no workers, or one is of another version."""
        self._address = address
        self._client = _connect(address)
        self._executors: dict[str, Executor] = {}
        self._refused: set[str] = set()
        self._empty_since: float | None = None
        self._checks: list[Callable[[], object]] = []
        try:
            self._wait_for_workers()
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()  # the scheduler forgets our tasks; those that run now end by themselves

    def __str__(self) -> str:
        slots = self.slots()
        workers, link = len({slot.worker for slot in slots}), self._client.dashboard_link
        return f"{workers} workers with {len(slots)} threads at {self._address}; dashboard: {link}"

    def run(self, runs: Sequence[Sequence[Task[T]]]) -> Iterator[Finished[T]]:
        plain = [[replace(task, work=partial(plainly, task.work)) for task in tasks] for tasks in runs]
        given = {task.name: task for tasks in runs for task in tasks}
        for finished in Schedule(plain, self).results():
            yield finished._replace(task=given[finished.task.name])

    def check(self, make: Callable[[], Callable[[], object]]) -> None:
        sees = make()
        self._refuse(self._faults(list(self._executors), [sees]))
        self._checks.append(sees)  # for workers that come later

    def slots(self) -> Mapping[Slot, Executor]:
        """Return a slot for each thread of each worker, those that have come since the last time after a check."""
        threads = self._threads()
        for gone in (set(self._executors) | self._refused) - set(threads):
            self._executors.pop(gone, None)
            self._refused.discard(gone)
        self._admit(set(threads) - set(self._executors) - self._refused)
        slots = {
            Slot(worker, n): self._executors[worker]
            for worker, count in threads.items()
            if worker in self._executors
            for n in range(count)
        }
        self._tell_if_empty(bool(slots))
        return slots

    def _tell_if_empty(self, has_slots: bool) -> None:
        if has_slots:
            self._empty_since = None
            return
        self._empty_since = self._empty_since or time.monotonic()
        if time.monotonic() - self._empty_since > WORKERS:
            raise Problem(
                f"{self._address}: no worker is left, for {WORKERS:.0f} s now. What is finished is kept: start workers "
                "and run the same command again."
            )

    def lost(self, task: Task[Any], error: BaseException) -> BaseException | None:
        if isinstance(error, KilledWorker):
            return died(task)
        if isinstance(error, CancelledError | FutureCancelledError) or self._client.status != "running":
            return _gone(self._address)
        return None

    def _threads(self) -> dict[str, int]:
        """Return the threads of each worker. The client itself goes on with its last answer when it is cut off."""
        try:
            workers = self._client.scheduler_info()["workers"]
        except Exception as error:
            raise _gone(self._address) from error
        if self._client.status != "running":
            raise _gone(self._address)
        return {address: int(facts["nthreads"]) for address, facts in sorted(workers.items())}

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + WORKERS
        while not (threads := self._threads()):
            if time.monotonic() > deadline:
                raise Problem(f"{self._address}: the scheduler has no workers. Start some: dask worker {self._address}")
            time.sleep(0.5)
        self._refuse(self._faults(list(threads), []))
        self._executors = {worker: self._executor(worker) for worker in threads}

    def _admit(self, workers: set[str]) -> None:
        """Take up workers that came later; those that would do harm are told of and not used."""
        if not workers:
            return
        for worker, fault in self._faults(sorted(workers), self._checks).items():
            self._refused.add(worker)
            print(f"{worker}: not used: {fault}", file=sys.stderr)
        for worker in workers - self._refused:
            self._executors[worker] = self._executor(worker)

    def _executor(self, worker: str) -> Executor:
        executor: Executor = self._client.get_executor(workers=[worker], allow_other_workers=False, pure=False)
        return executor

    def _refuse(self, faults: Mapping[str, str]) -> None:
        if faults:
            raise Problem("\n".join(f"{worker}: {fault}" for worker, fault in faults.items()))

    def _faults(self, workers: Sequence[str], checks: Sequence[Callable[[], object]]) -> dict[str, str]:
        """Say, by worker, why it may not be used."""
        here = installed()()
        there = self._call(installed(), workers)
        faults = {worker: fault for worker, found in there.items() if (fault := _version_fault(found, here))}
        for call in (keep_memory, *checks):
            well = [worker for worker in workers if worker not in faults]
            found = self._call(partial(plainly, call), well)
            faults |= {worker: str(error) for worker, error in found.items() if isinstance(error, BaseException)}
        return faults

    def _call(self, function: Callable[..., object], workers: Sequence[str]) -> dict[str, object]:
        if not workers:
            return {}
        found: dict[str, object] = self._client.run(function, workers=list(workers), on_error="return")
        return found


def plainly(work: Callable[[], T]) -> T:
    """Do it where this is called, and let an error travel as its words alone.

    An error of a client holds the request it is about, and that holds the login of the machine.
    """
    try:
        return work()
    except OSError as error:
        plain: Exception = OSError(error.errno, error.strerror or str(error), error.filename)
    except Problem as error:
        plain = type(error)(str(error))
    except Exception as error:
        plain = Problem(f"{type(error).__name__}: {error}")
    raise plain


def installed() -> Callable[[], dict[str, str]]:
    """Return what says which versions and which code of ours are installed where it is called.

    It is a function within a function so that it travels by its code: on a worker that has not got this module, too.
    """
    names = LIBRARIES

    def versions() -> dict[str, str]:
        import hashlib
        import importlib.util
        from importlib import metadata
        from pathlib import Path

        found = {}
        for name in names:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = ""
        digest = hashlib.sha256()
        for package in ("loaders", "publish"):
            spec = importlib.util.find_spec(package)
            root = Path(spec.origin).parent if spec and spec.origin else Path()
            for path in sorted(root.rglob("*.py")) if spec else ():
                digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
        return found | {"code": digest.hexdigest()}

    return versions


def _version_fault(found: object, here: Mapping[str, str]) -> str | None:
    install = _INSTALL.format(" ".join(f"'{name}=={here[name]}'" for name in LIBRARIES))
    if not isinstance(found, dict):
        return f"did not answer ({type(found).__name__}: {found}). Is it still running?"
    for name, version in here.items():
        if found.get(name) != version:
            if name == "code":
                return f"has other code of imagenet-variants. {install}"
            has = f"has {name} {found[name]}, not {version}" if found[name] else f"{name} is not installed"
            return f"{has}. {install}"
    return None


def _connect(address: str) -> Client:
    """Connect within the time; the client's own patience does not cover what accepts and says nothing."""
    _check_form(address)
    answer: list[Client | BaseException] = []

    def connect() -> None:
        try:
            answer.append(Client(address, timeout=CONNECT, set_as_default=False, name="imagenet-variants"))
        except BaseException as error:
            answer.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT + 2)
    if answer and isinstance(answer[0], Client):
        return answer[0]
    reason = type(answer[0]).__name__ if answer else "silence"
    raise Problem(
        f"{address}: no Dask scheduler answers there ({reason}). Start one with `dask scheduler` "
        "and give the address it prints, such as tcp://10.0.0.5:8786."
    )


def _check_form(address: str) -> None:
    """Raise Problem for what no scheduler can be at. As in Dask's client, tcp:// may be left out."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        registry.get_backend(parts.scheme)
        is_one = bool(parts.hostname and parts.port)
    except ValueError:
        is_one = False
    if not is_one:
        raise Problem(
            f"{address or 'an empty address'}: expected the address of a Dask scheduler, with its port, as `dask "
            "scheduler` prints it: such as tcp://10.0.0.5:8786."
        )


def _gone(address: str) -> Problem:
    return Problem(
        f"{address}: the scheduler is gone. What is finished is kept: start it and its workers, and run the same "
        "command again."
    )
