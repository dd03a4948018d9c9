"""A Dask cluster on loopback: a scheduler and workers, each a process of its own that speaks TCP."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.building import environment
from tests.kit.forks import PUBLISHING, Forked, Forks, Job

SECONDS = 60
# What its processes import, and those that use it.
MODULES = (
    *PUBLISHING,
    "publish.regenerate.__main__",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "distributed.http.scheduler",
)


@dataclass
class Process:
    """A process and what it says."""

    process: subprocess.Popen[bytes] | Forked
    log: Path

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be so while it runs."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.01)

    def end(self, code: int) -> str:
        """Wait for its end, hold its exit code against the expected one, and return what it said."""
        assert self.process.wait(2 * SECONDS) == code, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        return self.log.read_text()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it, whatever state it is in."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(SECONDS)


def start(log: Path, *command: object, env: Mapping[str, str] | None = None) -> Process:
    """Start `python -m COMMAND`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *map(str, command)],
            env=dict(env or environment()),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Process(process, log)


def fork(forks: Forks, log: Path, *command: object, **changes: str) -> Process:
    """Start the same in a process that has nothing left to import; `changes` are variables of its own."""
    module, *arguments = map(str, command)
    return Process(Forked(forks, Job(module, arguments, str(log), changes, cwd=str(log.parent))), log)


@dataclass
class Cluster:
    """A scheduler and its workers; `env` is what each machine knows of itself: logins, credentials.

    `forks`, if any, were started with the same, and start what has no variables of its own: libraries are imported.
    """

    folder: Path
    env: Mapping[str, str]
    forks: Forks | None = None
    address: str = ""
    scheduler: Process | None = None
    workers: list[Process] = field(default_factory=list)
    started: int = 0

    def begin(self, workers: int, **changes: str) -> None:
        """Start the scheduler, at its old address if it had one, and so many workers."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        options = ["--host", "127.0.0.1", "--port", port, "--no-dashboard", "--scheduler-file", file]
        self.scheduler = self._start("scheduler", *options, **changes)
        self.scheduler.wait_until(lambda: file.is_file() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]
        self.add(workers)

    def add(self, count: int, **changes: str) -> list[Process]:
        """Start more workers, and wait until they are known."""
        new = []
        for n in range(self.started, self.started + count):
            options = [self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
            options += ["--local-directory", self.folder / f"worker{n}", "--name", f"worker{n}"]
            new.append(self._start("worker", *options, log=f"worker{n}.log", **changes))
        self.workers += new
        self.started += count
        for worker in new:
            worker.wait_until(lambda log=worker.log: "Registered to" in log.read_text())  # type: ignore[misc]
        return new

    def _start(self, what: str, *options: object, log: str = "scheduler.log", **changes: str) -> Process:
        module, path = f"distributed.cli.dask_{what}", self.folder / log
        if self.forks and not changes:
            return fork(self.forks, path, module, *options)
        return start(path, module, *options, env={**self.env, **changes})

    def end(self) -> None:
        """Stop all of it."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
        self.workers.clear()

    def said(self) -> str:
        """Return all that its processes have said."""
        return "".join(log.read_text() for log in self.folder.glob("*.log"))
