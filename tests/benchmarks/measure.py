"""What a command costs: wall time, processor time and memory of its whole process tree (Linux)."""

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import IO

INTERVAL = 0.05  # seconds between two samples of memory
SHARE = 0.03  # of one core, the most that sampling may take: walking the pages of large processes is not free
LAST_LINES = 15  # of the output, shown when a command fails


class CommandFailed(RuntimeError):
    """A measured command ended with an exit code other than 0, or took too long."""


@dataclass(frozen=True)
class Measurement:
    """Cost of one run.

    `wall` and `cpu` are seconds; `cpu` is user + system time of the command and of all descendants that were waited
    for. `peak` is the largest sum in bytes of the PSS of all its processes at one moment: shared pages count once.
    `largest` is the largest peak RSS in bytes of any one of them. `output` is what it wrote to stdout. The memory is
    sampled, so that of a command of a fraction of a second means little.
    """

    wall: float
    cpu: float
    peak: int
    largest: int
    exit_code: int
    output: str


def _tree(pid: int) -> list[int]:
    found, pending = [], [pid]
    while pending:
        found.append(parent := pending.pop())
        with suppress(OSError):  # a process may end between two reads
            for task in Path(f"/proc/{parent}/task").iterdir():
                pending += map(int, (task / "children").read_text().split())
    return found


def _field(pid: int, file: str, name: str) -> int:
    """Bytes of one `name: 123 kB` line of a file in /proc; 0 for a process that has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _memory(pid: int) -> tuple[int, int]:
    pids = _tree(pid)
    return sum(_field(p, "smaps_rollup", "Pss:") for p in pids), max(_field(p, "status", "VmHWM:") for p in pids)


def _sampled(pid: int, deadline: float) -> tuple[int, int, bool]:
    """Sample until the process `pid` ends; its peak, its largest process, and whether it ended before the deadline."""
    peak = largest = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if (start := time.perf_counter()) > deadline:
            return peak, largest, False
        now, one = _memory(pid)
        peak, largest = max(peak, now), max(largest, one)
        _wait(pid, max(INTERVAL, (time.perf_counter() - start) / SHARE))
    return peak, largest, True


def _waited(pid: int, timeout: float) -> tuple[int, int, bool]:
    _wait(pid, timeout)
    return 0, 0, os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _wait(pid: int, seconds: float) -> None:
    """Sleep, but wake at once when the process ends, so that the wall time is not rounded up to a sample."""
    descriptor = os.pidfd_open(pid)
    try:
        select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)


def _spawn(
    command: Sequence[str], env: Mapping[str, str] | None, out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    merged = {**os.environ, **(env or {})}
    return subprocess.Popen(
        command, env=merged, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
    )


def run(
    command: Sequence[str], env: Mapping[str, str] | None = None, timeout: float = 3600.0, memory: bool = True
) -> Measurement:
    """Run a command to its end and measure it; `env` is added to this process's environment, `timeout` is seconds.

    Without `memory` its memory is left alone, and `peak` and `largest` are 0: to read it, the system holds up every
    process that is just asking for more, which lengthens the time of those that ask for much.

    Raises:
        CommandFailed: it failed or took longer than `timeout`; the message holds the last lines of its output.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = _spawn(command, env, out, err)
        try:
            peak, largest, ended = _sampled(process.pid, start + timeout) if memory else _waited(process.pid, timeout)
        finally:
            with suppress(ProcessLookupError):  # what outlives the command would disturb the next measurement
                os.killpg(process.pid, SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = code = os.waitstatus_to_exitcode(status)
        output, errors = _text(out), _text(err)
    if code or not ended:
        raise CommandFailed(_explained(command, code if ended else None, timeout, output + errors))
    return Measurement(wall, usage.ru_utime + usage.ru_stime, peak, largest, code, output)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _explained(command: Sequence[str], code: int | None, timeout: float, output: str) -> str:
    what = f"took longer than {timeout:g} s" if code is None else f"exit code {code}, expected 0"
    return "\n".join([f"{' '.join(command)}: {what}; its last lines:", *output.splitlines()[-LAST_LINES:]])


def interleaved(n: int, runs: Mapping[str, Callable[[], Measurement]]) -> dict[str, list[Measurement]]:
    """Run each of `runs` n times in turn (a, b, c, a, b, c ...), so that a slow minute falls on all of them alike."""
    results: dict[str, list[Measurement]] = {name: [] for name in runs}
    for _ in range(n):
        for name, call in runs.items():
            results[name].append(call())
    return results


def median_of(n: int, runs: Mapping[str, Callable[[], Measurement]]) -> dict[str, Measurement]:
    """Of n interleaved runs of each, the one of median wall time (the faster of the middle two when n is even)."""
    results = interleaved(n, runs)
    return {name: sorted(found, key=lambda m: m.wall)[(n - 1) // 2] for name, found in results.items()}
