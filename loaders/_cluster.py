"""Workers of a Dask cluster (https://distributed.dask.org), which the user starts with Dask's own tools.

A task travels as the job it is: paths, numbers, names. No login and no credential does; each machine has its own.
"""

import hashlib
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from loaders._errors import Problem
from loaders._processes import keep_memory
from loaders._runner import Finished, Schedule, Slot, Task, died

try:
    from distributed import Client, KilledWorker
    from distributed.client import FutureCancelledError
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
LIBRARIES = ("numpy", "pillow", "pyarrow", "zlib-ng")
_INSTALL = "Install there what is installed here: this release of imagenet-variants[dask], and {}"


class Cluster:
    """A `_runner.Crew` of Dask workers."""

    is_remote, tries = True, 3
    patience: float | None = 1.0

    def __init__(self, address: str) -> None:
        """Connect; raises Problem when no scheduler answers there, it has no workers, or one is of another version."""
        self._address = address
        self._client = _connect(address)
        self._executors: dict[str, Executor] = {}
        self._refused: set[str] = set()
        self._seen = time.monotonic()
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
        yield from Schedule(runs, self).results()

    def check(self, sees: Callable[[], object]) -> None:
        self._checks.append(sees)  # also for workers that come later
        self._refuse(self._faults(list(self._executors), [sees]))

    def slots(self) -> Mapping[Slot, Executor]:
        """Return a slot for each thread of each worker, those that have come since the last time after a check."""
        threads = self._threads()
        self._admit(set(threads) - set(self._executors) - self._refused)
        slots = {
            Slot(worker, n): self._executors[worker]
            for worker, count in threads.items()
            if worker in self._executors
            for n in range(count)
        }
        self._seen = time.monotonic() if slots else self._seen
        if time.monotonic() - self._seen > WORKERS:
            raise Problem(
                f"{self._address}: no worker is left, for {WORKERS:.0f} s now. What is finished is kept: start workers "
                "and run the same command again."
            )
        return slots

    def lost(self, task: Task[Any], error: BaseException) -> BaseException | None:
        if isinstance(error, KilledWorker):
            return died(task)
        return _gone(self._address) if isinstance(error, CancelledError | FutureCancelledError) else None

    def _threads(self) -> dict[str, int]:
        try:
            workers = self._client.scheduler_info()["workers"]
        except (OSError, TimeoutError, RuntimeError) as error:
            raise _gone(self._address) from error
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
        for worker, fault in self._faults(sorted(workers), self._checks).items():
            self._refused.add(worker)
            print(f"{worker}: not used: {fault}", file=sys.stderr)
        for worker in workers - self._refused:
            self._executors[worker] = self._executor(worker)

    def _executor(self, worker: str) -> Executor:
        executor: Executor = self._client.get_executor(workers=[worker], allow_other_workers=True, pure=False)
        return executor

    def _refuse(self, faults: Mapping[str, str]) -> None:
        if faults:
            raise Problem("\n".join(f"{worker}: {fault}" for worker, fault in faults.items()))

    def _faults(self, workers: Sequence[str], checks: Sequence[Callable[[], object]]) -> dict[str, str]:
        """Say, by worker, why it may not be used."""
        faults = self._version_faults(workers)
        for call in (keep_memory, *checks):
            well = [worker for worker in workers if worker not in faults]
            faults |= {
                worker: str(error)
                for worker, error in self._call(call, well).items()
                if isinstance(error, BaseException)
            }
        return faults

    def _version_faults(self, workers: Sequence[str]) -> dict[str, str]:
        """Compare what is installed; our own code is only called where it is known to be the same."""
        faults: dict[str, str] = {}
        here = {name: metadata.version(name) for name in ("imagenet-variants", *LIBRARIES)}
        install = _INSTALL.format(" ".join(f"'{name}=={here[name]}'" for name in LIBRARIES))
        for name, version in here.items():
            for worker, found in self._call(metadata.version, workers, name).items():
                if found != version:
                    has = (
                        f"{name} is not installed"
                        if isinstance(found, BaseException)
                        else f"has {name} {found}, not {version}"
                    )
                    faults.setdefault(worker, f"{has}. {install}")
        same = [worker for worker in workers if worker not in faults]
        digests = self._call(code_digest, same)
        return faults | {
            w: f"has other code of imagenet-variants. {install}" for w in same if digests[w] != code_digest()
        }

    def _call(self, function: Callable[..., object], workers: Sequence[str], *arguments: object) -> dict[str, object]:
        if not workers:
            return {}
        found: dict[str, object] = self._client.run(function, *arguments, workers=list(workers), on_error="return")
        return found


def _connect(address: str) -> Client:
    try:
        return Client(address, timeout=CONNECT, set_as_default=False, name="imagenet-variants")
    except (OSError, TimeoutError, ValueError) as error:
        raise Problem(
            f"{address}: no Dask scheduler answers there ({type(error).__name__}). Start one with `dask scheduler` and "
            "give the address it prints, such as tcp://10.0.0.5:8786."
        ) from error


def _gone(address: str) -> Problem:
    return Problem(
        f"{address}: the scheduler is gone. What is finished is kept: start it and its workers, and run the same "
        "command again."
    )


def code_digest() -> str:
    """Return a digest of this project's own code as it is installed here."""
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for path in sorted(path for package in ("loaders", "publish") for path in (root / package).rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
