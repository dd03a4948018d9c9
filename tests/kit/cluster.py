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

SECONDS = 60
# A worker that says nothing for so long is given up; the default is five minutes.
_SILENCE = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s"}


@dataclass
class Process:
    """A process and what it says."""

    process: subprocess.Popen[bytes]
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
    """Start `python COMMAND`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=dict(env or environment()),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return Process(process, log)


@dataclass
class Cluster:
    """A scheduler and its workers; `env` is what each machine knows of itself: logins, credentials."""

    folder: Path
    env: Mapping[str, str]
    address: str = ""
    scheduler: Process | None = None
    workers: list[Process] = field(default_factory=list)
    started: int = 0

    def begin(self, workers: int) -> None:
        """Start the scheduler, at its old address if it had one, and so many workers."""
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        options = ["--host", "127.0.0.1", "--port", port, "--no-dashboard", "--scheduler-file", file]
        env = {**self.env, **_SILENCE}
        self.scheduler = start(self.folder / "scheduler.log", "-m", "distributed.cli.dask_scheduler", *options, env=env)
        self.scheduler.wait_until(lambda: file.is_file() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]
        self.add(workers)

    def add(self, count: int, **changes: str) -> list[Process]:
        """Start more workers, and wait until they are known."""
        new = []
        for n in range(self.started, self.started + count):
            options = [self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
            options += ["--local-directory", self.folder / f"worker{n}", "--name", f"worker{n}"]
            log = self.folder / f"worker{n}.log"
            new.append(start(log, "-m", "distributed.cli.dask_worker", *options, env={**self.env, **changes}))
        self.workers += new
        self.started += count
        for worker in new:
            worker.wait_until(lambda log=worker.log: "Registered to" in log.read_text())  # type: ignore[misc]
        return new

    def end(self) -> None:
        """Stop all of it."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
        self.workers.clear()

    def said(self) -> str:
        """Return all that its processes have said."""
        return "".join(log.read_text() for log in self.folder.glob("*.log"))
