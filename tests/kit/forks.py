"""Commands run in processes that start in no time: a server that has imported everything forks one for each.

What is run is a module's `main`, in a process of its own with its own variables, exit code and output, that a signal
can kill. The server's environment at its start is what the libraries saw when they were imported. Four things can be
turned here that no option turns: `hurry` divides every wait of the process, `timeout` is its patience with a silent
server (seconds), `shards` is how many shards a train split is cut into, and `sample` a folder with what `--sample`
would draw, which takes seconds.
"""

import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from unittest import mock

import yaml

import loaders
from loaders.base.dataset import Split
from loaders.base.sharding import shard_rows

SECONDS, _PIPE = 120, 1 << 16


@dataclass(frozen=True)
class Job:
    """A command: `python -m MODULE ARGUMENTS`, with what is typed into it and the file its output goes to.

    Or, of the module `-c`, a program. `errors` is a file for what is said on stderr, where that is not one with stdout;
    `largest_file` is what no file may grow beyond, in bytes. One that `leads` is killed with all that it starts.
    """

    module: str
    arguments: list[str]
    output: str
    variables: Mapping[str, str] = field(default_factory=dict)
    typed: str = ""
    hurry: float = 1.0
    timeout: float | None = None
    shards: int | None = None
    sample: str = ""
    cwd: str = "."
    errors: str = ""
    largest_file: int | None = None
    leads: bool = False


# What each command imports, and what a read-back by `datasets` imports when it comes to it.
BUILDING = ("datasets", "publish.__main__", "publish.build.run", "publish.card.render", "publish.regenerate.run")
PUBLISHING = (
    *BUILDING,
    "publish.hub.push",
    "publish.check",
    "publish.withdraw",
    "aiohttp",
    "fsspec.implementations.http",
)
READING = ("datasets", *(["torch.utils.data"] if find_spec("torch") else []))
PREVIEW = ("publish.preview.place", "publish.preview.serve", "publish.preview.page")


class Forks:
    """The server's handle: commands one after the other, or begun and stopped, as many at once as one likes."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, modules: Sequence[str] = PUBLISHING) -> None:
        command = [sys.executable, "-m", "tests.kit.forks", *modules]
        self._server = subprocess.Popen(
            command, env=dict(environment), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = 0

    def run(self, job: Job) -> int:
        """Run a command to its end and return its exit code, the signal's negative number if it was killed."""
        self.pid = self.begin(job)
        return self.end(self.pid)

    def errors(self, job: Job) -> tuple[int, str]:
        """Do the same, and return what it said on stderr, too: by a pipe, which no limit on files holds up."""
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(path := f"{folder}/pipe")
            pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            code = self.run(replace(job, errors=path))
            said = os.read(pipe, _PIPE).decode()
            os.close(pipe)
        return code, said

    def begin(self, job: Job) -> int:
        """Start a command, and return the number of its process."""
        return self._asked(asdict(job))

    def end(self, pid: int) -> int:
        """Wait for the end of a command that was begun, and return its exit code."""
        return self._asked(pid)

    def _asked(self, what: object) -> int:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(what) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(SECONDS)
        if self._server.stdout:
            self._server.stdout.close()


class Forked:
    """A command that was begun, to be waited for and killed as a `subprocess.Popen` is."""

    def __init__(self, forks: Forks, job: Job) -> None:
        self._forks, self.pid = forks, forks.begin(job)
        self._handle = os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float) -> int:
        """Wait for its end, so many seconds at most, and return its exit code."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill one that leads, and all that it started."""
        os.killpg(self.pid, signal.SIGKILL)

    def _ended(self, seconds: float) -> int | None:
        if self.returncode is None and select.select([self._handle], [], [], seconds)[0]:
            self.returncode = self._forks.end(self.pid)
            os.close(self._handle)
        return self.returncode


def serve(modules: Sequence[str], lines: IO[str]) -> None:
    """Fork a process for each line that is a job, and wait for the one that another line names."""
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # as `tests.conftest`
    for module in modules:
        importlib.import_module(module)
    if "publish.card.render" in modules:
        from publish.card import prose

        list(map(prose.compiled, loaders.names()))  # or each process would do it that writes a card
    gc.freeze()  # or each process would copy what it looks through
    for asked in map(json.loads, lines):
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
            continue
        pid = os.fork()
        if asked["leads"]:
            os.setpgid(pid, pid)  # here and there: whoever comes first
        if not pid:
            os._exit(_become(Job(**asked)))
        print(pid, flush=True)


def _become(job: Job) -> int:
    code: object = 1
    for number, path in ((1, job.output), (2, job.errors)):
        os.dup2(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY) if path else 1, number)
    read, write = os.pipe()
    os.write(write, job.typed.encode())
    os.close(write)
    sys.stdin = os.fdopen(read)
    os.environ |= job.variables
    os.chdir(job.cwd)
    try:
        _turn(job)
        code = _main(job)(job.arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1 if code else 0


def _main(job: Job) -> Callable[[list[str]], int | None]:
    if job.module == "-c":
        sys.argv = ["-c", *job.arguments[1:]]
        return lambda words: exec(words[0], {"__name__": "__main__"})
    is_folder = job.module in ("publish", "publish.regenerate", "publish.preview")
    name = f"{job.module}.__main__" if is_folder else job.module
    main: Callable[[list[str]], int] = importlib.import_module(name).main
    return main


def _turn(job: Job) -> None:
    if job.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest_file, job.largest_file))
        sys.dont_write_bytecode = True  # it would not be noticed that a module was cut short
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
    sleep = time.sleep
    if job.hurry != 1.0:
        mock.patch.object(time, "sleep", lambda seconds: sleep(seconds / job.hurry)).start()
    if job.timeout:
        mock.patch("publish.hub.session.SILENCE", job.timeout).start()
        if "distributed" in sys.modules:
            mock.patch("publish.work.cluster.CONNECT", job.timeout).start()
    if job.shards:
        mock.patch("loaders.imagenet_resized.shard_rows", partial(_cut, job.shards)).start()
    if job.sample:
        mock.patch("publish.sample.archives.write", partial(shutil.copytree, job.sample, dirs_exist_ok=True)).start()


def _cut(count: int, rows: int, split: Split) -> list[int]:
    return (
        shard_rows(rows, split)
        if split.name != "train"
        else [rows * (i + 1) // count - rows * i // count for i in range(count)]
    )


if __name__ == "__main__":
    serve(sys.argv[1:], sys.stdin)
