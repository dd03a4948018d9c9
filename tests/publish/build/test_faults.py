"""A build that cannot go on, or is stopped: a repository is the old one or the new one, never half, and nobody is left.

`python -m tests.kills build` kills many more, at instants that no call decides.
"""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import numpy as np
import pytest

from publish.build import staging
from publish.sample import archives as writers
from tests import kills
from tests.kit import archives, building
from tests.kit.building import (
    COMMAND,
    RESIZED,
    build,
    environment,
    leftovers,
    make,
    publish,
    rows_of,
    tree,
    with_shards,
)

# Where it cannot build


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Be the first builder."""
    folder = out / staging.FOLDER
    folder.mkdir(parents=True)
    with filelock.FileLock(folder / "lock"):
        (folder / "pid").write_text(str(os.getpid()))
        yield


@pytest.mark.keeps("B5")
def test_a_second_builder_leaves_at_once(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with held(out):
        said = build(laid, out, code=1)
    assert f"process {os.getpid()}" in said
    assert tree(out) == {}
    build(laid, out)  # the note that the first one left is no lock


@pytest.mark.keeps("B8")
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_a_place_where_nothing_can_be_made(place: str, laid: archives.Laid, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    said = build(laid, tmp_path / place, code=1)
    named = tmp_path / "file" if place.startswith("file") else place
    assert said.startswith(f"error: {named}")
    assert "--out" in said


@contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """Mount a file system of its own, or skip the test where that is not permitted."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", place], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.keeps("B8")
def test_a_read_only_place(laid: archives.Laid, tmp_path: Path) -> None:
    with mounted(tmp_path / "mounted", "size=4m", "ro") as place:
        said = build(laid, place / "out", code=1)
    assert str(place) in said
    assert "Read-only file system" in said


@pytest.mark.keeps("B8")
def test_a_staging_folder_on_another_device(laid: archives.Laid, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = tree(out)
    with mounted(out / staging.FOLDER, "size=40m"):
        said = build(sample, out, code=1)
    assert f"{out / staging.FOLDER}: lies on another disk than {out}" in said
    assert tree(out) == before


@pytest.mark.keeps("B8")
def test_a_file_system_without_locks(laid: archives.Laid, tmp_path: Path) -> None:
    """As NFS without its lock daemon."""
    without = (
        "import errno, fcntl, sys\n"
        "def flock(*_): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = flock\n"
        "from publish.__main__ import main\n"
        "if __name__ == '__main__': sys.exit(main())\n"
    )
    wanted = ("--config", f"{RESIZED}/8x8", "--source", laid.folder, "--out", tmp_path / "out", "--allow-partial")
    done = building.run(sys.executable, "-c", without, *wanted)
    assert (done.returncode, done.stderr.splitlines()[-1][:7]) == (1, "error: ")
    assert "No locks available" in done.stderr
    assert str(tmp_path / "out") in done.stderr
    assert tree(tmp_path / "out") == {}


@pytest.mark.keeps("B1")
def test_a_disk_that_is_too_small_is_noticed_first(laid: archives.Laid, tmp_path: Path) -> None:
    with_shards(laid.folder, 40_000)
    with mounted(tmp_path / "mounted", "size=1m") as place:
        said = build(laid, place / "out", code=1)
        assert tree(place / "out") == {}
    assert "are free" in said


@pytest.mark.keeps("B1")
def test_a_disk_that_fills_up(tmp_path: Path, sample: Path) -> None:
    """The old repository stays as it was, what was begun is removed, and the run goes on once there is room."""
    small = archives.resized(make(tmp_path / "archives"), [64])
    with mounted(tmp_path / "mounted", "size=40m") as place:
        build(small, place, "--config", f"{RESIZED}/64x64")
        before = tree(place)
        (place / "filler").write_bytes(bytes(free(place) - (2 << 20)))
        wanted = ("--config", f"{RESIZED}/64x64", "--source", sample, "--out", place, "--workers", 2)
        said = fail_late(*wanted)
        assert f"error: {place}" in said
        assert "No space left on device" in said
        (place / "filler").unlink()
        assert tree(place) == before
        publish(*wanted)
        assert rows_of(place, "64x64") == 2000


def free(place: Path) -> int:
    return shutil.disk_usage(place).free


def fail_late(*arguments: object) -> str:
    """Run the command where the room is thought to be enough, and is not."""
    code = (
        "import sys, shutil, collections\n"
        "usage = collections.namedtuple('usage', 'total used free')\n"
        "shutil.disk_usage = lambda path: usage(1 << 40, 0, 1 << 40)\n"
        "from publish.__main__ import main\n"
        "if __name__ == '__main__': sys.exit(main())\n"
    )
    done = building.run(sys.executable, "-c", code, *arguments)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.stderr


# Stopped at any instant


# Every call that changes a file system is announced to audit hooks before it is made: kill -9 at the n-th of them.
KILLED = """
import os, signal, sys
from publish.__main__ import main
from publish.build import plan, run
left, arguments = int(sys.argv[1]), sys.argv[2:]
def watch(event, details):
    global left
    writes = event == 'open' and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR)
    if writes or event in ('os.rename', 'os.link', 'os.mkdir', 'os.remove', 'os.rmdir', 'ctypes.dlsym'):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
main(arguments)
print(int(sys.argv[1]) - left)
"""


def killed_at(case: kills.Case, number: int) -> tuple[int, str]:
    """Run the command, to be killed at a call; return its exit code and what it printed."""
    with tempfile.NamedTemporaryFile("r") as output:
        words = [KILLED, str(number), *case.command.arguments]
        code = case.forks.run(dataclasses.replace(case.command, module="-c", arguments=words, output=output.name))
        return code, output.read()


@pytest.mark.keeps("B2")
def test_killed_at_calls_that_change_files(tmp_path: Path) -> None:
    with kills.build(tmp_path, workers=1) as case:
        case.reset()
        count = int(killed_at(case, 1 << 30)[1].splitlines()[-1])
        assert count > 40
        for number in (*random.Random(8).sample(range(1, count + 1), 5), count - 12):
            case.reset()
            assert killed_at(case, number)[0] == -signal.SIGKILL
            assert case.state() in ("old", "new"), number
            assert case.start().wait(30) == 0
            assert case.settled(), number


@dataclasses.dataclass(frozen=True)
class Running:
    """The command in a process group of its own, as a terminal starts it."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self, code: int, seconds: float = 30) -> str:
        """Wait for it, hold its exit code against the expected one and return what it said."""
        assert self.process.wait(seconds) == code, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()
        return self.log.read_text()

    def wait_until(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended before it could be stopped: {self.log.read_text()}"
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def alive(self) -> list[int]:
        """Return the processes it started that have not ended."""
        return alive_in(self.process.pid)

    def all_end(self, seconds: float = 10) -> bool:
        """Wait until all of its processes have ended; say whether they have."""
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.alive()


@contextmanager
def started(arguments: Sequence[str], log: Path) -> Iterator[Running]:
    """Start the command; whatever of it is alive afterwards is killed."""
    with log.open("wb") as file:  # a pipe would be held open by workers that outlive it
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=environment(), stdout=file, stderr=file, start_new_session=True
        )
    running = Running(process, log)
    try:
        yield running
    finally:
        process.kill()
        process.wait()
        for pid in running.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def alive_in(session: int) -> list[int]:
    """Return the processes of a session that are alive."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def writing(out: Path) -> bool:
    """Say whether a worker is in the middle of a shard."""
    return any((out / staging.FOLDER).rglob("*.parquet.*.tmp"))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives that take seconds to build."""
    folder = tmp_path_factory.mktemp("large")
    archives.resized(folder, [64])
    pixels = np.random.default_rng(0).integers(0, 256, (800, 12288), np.uint8)
    labels = np.arange(800) + 1
    writers.write_train_zips(folder, 64, [{"data": np.roll(pixels, n, 0), "labels": labels} for n in range(10)])
    return folder


def arguments(large: Path, out: Path, workers: int) -> list[str]:
    wanted = ["--config", f"{RESIZED}/64x64", "--source", str(large), "--out", str(out)]
    return [*wanted, "--allow-partial", "--workers", str(workers)]


def stopped(number: signal.Signals, whole_group: bool, large: Path, out: Path) -> None:
    """Stop a build in the middle of a shard, and see all of it end."""
    with started(arguments(large, out, 2), out.with_name("log")) as running:
        running.wait_until(lambda: writing(out))
        (os.killpg if whole_group else os.kill)(running.process.pid, number)
        running.end(128 + number)
        assert running.all_end()


@pytest.mark.keeps("B4")
@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "process"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_workers_write(number: signal.Signals, whole_group: bool, large: Path, tmp_path: Path) -> None:
    stopped(number, whole_group, large, tmp_path / "out")
    assert tree(tmp_path / "out") == {}
    assert whole_group or leftovers(tmp_path / "out") == []


@pytest.mark.keeps("B5")
def test_a_second_builder_does_the_first_no_harm(laid: archives.Laid, large: Path, tmp_path: Path) -> None:
    """The first stands still in the middle of a shard while the second is refused."""
    out = tmp_path / "out"
    with started(arguments(large, out, 1), tmp_path / "log") as running:
        running.wait_until(lambda: writing(out))
        os.killpg(running.process.pid, signal.SIGSTOP)
        assert writing(out)
        said = build(laid, out, code=1)
        os.killpg(running.process.pid, signal.SIGCONT)
        running.end(0)
    assert f"process {running.process.pid}" in said
    assert rows_of(out, "64x64") == 8000


@pytest.mark.keeps("B4")
def test_stopped_while_workers_start(large: Path, tmp_path: Path) -> None:
    """Ctrl-C before a worker has got round to leaving it to the driver."""
    out = tmp_path / "out"
    with started(arguments(large, out, 2), tmp_path / "log") as running:
        running.wait_until(lambda: len(running.alive()) >= 3)
        os.killpg(running.process.pid, signal.SIGINT)
        running.end(130)
        assert running.all_end()


@pytest.mark.keeps("B2")
def test_workers_end_when_their_driver_is_killed(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(arguments(large, out, 2), tmp_path / "log") as running:
        running.wait_until(lambda: writing(out))
        running.process.kill()
        assert running.all_end(8)


@pytest.mark.keeps("B6")
def test_a_worker_that_is_killed_is_told_with_its_shard(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started(arguments(large, out, 2), tmp_path / "log") as running:
        running.wait_until(lambda: writing(out))
        partial = next((out / staging.FOLDER).rglob("*.parquet.*.tmp"))
        shard, _, pid = partial.name.removesuffix(".tmp").rpartition(".")
        os.kill(int(pid.partition("-")[0]), signal.SIGKILL)
        said = running.end(1, 10)
        assert running.all_end()
    assert said.startswith(f"error: {RESIZED}/64x64/{shard}: the worker process died")
    assert tree(out) == {}


@pytest.mark.keeps("B4")
def test_a_run_that_was_stopped_keeps_its_finished_shards(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished: list[Path] = []

    def is_one_finished() -> bool:
        finished[:] = (out / staging.FOLDER).rglob("*.parquet")
        return bool(finished)

    with started(arguments(large, out, 1), tmp_path / "log") as running:
        running.wait_until(is_one_finished)
    kept = {path.name: path.stat().st_ino for path in finished}
    publish(*arguments(large, out, 2))
    assert {name: (out / RESIZED / "64x64" / name).stat().st_ino for name in kept} == kept
