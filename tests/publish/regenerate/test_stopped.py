"""A run that a full disk, a signal or a crash ends leaves no half of a file, and is gone on from where it was."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from publish.regenerate import __main__ as regenerate
from publish.regenerate.chunks import Chunk
from tests.kit import building, holding
from tests.kit.building import environment, tree
from tests.kit.forks import Job
from tests.kit.holding import wait_for
from tests.kit.refusals import says
from tests.kit.regenerating import Originals, children, final_files, is_running, lay_folders, sidecar

SECONDS = 60


def attempt(source: Path, out: Path, *options: object, workers: int = 1) -> int:
    words = ["--source", source, "--out", out, "--workers", workers, "--sizes", 8, *options]
    return regenerate.main([str(word) for word in words])


def files_of(out: Path) -> dict[str, str]:
    return {name: sha for name, sha in tree(out).items() if name.endswith(".zip")}


@pytest.fixture(scope="module")
def straight(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of a run that nothing stops."""
    out = tmp_path_factory.mktemp("straight")
    assert attempt(source, out) == 0
    return files_of(out)


@pytest.mark.keeps("B1")
@pytest.mark.parametrize(("where", "workers"), [("the pixels", 1), ("the zips", 1), ("the pixels", 2)])
def test_a_disk_that_fills_up(
    where: str, workers: int, originals: Originals, source: Path, straight: dict[str, str], tmp_path: Path
) -> None:
    """A limit on the size of a file stands for the disk: the system refuses the write in the same place."""
    pixels = 192 * len(originals.rows("train"))
    limit = pixels // 2 if where == "the pixels" else pixels
    words = ["--source", str(source), "--out", str(tmp_path / "out"), "--workers", str(workers), "--sizes", "8"]
    code, said = building.forks().errors(Job("publish.regenerate", words, os.devnull, largest_file=limit))
    assert code == 1, said
    says(said, "error: ", tmp_path / "out", "File too large", "Nothing under a final name has changed")
    assert "Traceback" not in said
    assert final_files(tmp_path / "out") == []
    assert attempt(source, tmp_path / "out") == 0
    assert files_of(tmp_path / "out") == straight


# Processes


Start = Callable[[Path, Path], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a run with two workers over a source, into a folder; it is killed when the test ends."""
    started: list[subprocess.Popen[bytes]] = []

    def run(source: Path, out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "publish.regenerate", "--workers", "2", "--sizes", "8", "32"]
        words = [*command, "--source", str(source), "--out", str(out)]
        started.append(subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Held:
    """Unpacked photographs, the last of train held: whoever opens it waits until it is let go."""

    folder: Path
    let_go: Callable[[], None]


@pytest.fixture
def held(originals: Originals, tmp_path: Path) -> Iterator[Held]:
    folder = lay_folders(tmp_path / "in", originals)
    with contextlib.ExitStack() as stack:
        stack.enter_context(holding.held(photograph(folder, originals, -1)))
        yield Held(folder, stack.close)


def photograph(folder: Path, originals: Originals, row: int) -> Path:
    """Return where a photograph of train lies."""
    name, _, _ = originals.rows("train")[row]
    return folder / "train" / name[:9] / name


def chunks_done(out: Path) -> int:
    return len(list(out.glob(".partial/*/train-*.npz")))


@pytest.mark.keeps("B2")
def test_killed_in_the_middle_and_run_again(
    held: Held, originals: Originals, source: Path, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished is not done again."""
    out = tmp_path / "out"
    process = start(held.folder, out)
    whole = -(-len(originals.rows("train")) // 64) - 1  # all chunks but the one that waits
    wait_for(lambda: chunks_done(out) == whole)
    workers = children(process.pid)
    process.kill()
    process.communicate(timeout=SECONDS)
    assert len(workers) >= 2
    wait_for(lambda: not any(map(is_running, workers)))
    assert final_files(out) == []
    held.let_go()
    done = {receipt.name for receipt in out.glob(".partial/*/*.npz")}
    with monkeypatch.context() as patched:
        resize, again = Chunk._resize, list[str]()

        def noted(chunk: Chunk, *more: Any) -> Any:
            again.append(f"{chunk.split}-{chunk.number:05d}.npz")
            return resize(chunk, *more)

        patched.setattr(Chunk, "_resize", noted)
        assert attempt(held.folder, out, "--sizes", 8, 32, workers=1) == 0
    assert again
    assert not done & set(again)
    assert attempt(source, tmp_path / "straight", "--sizes", 8, 32) == 0
    assert files_of(out) == files_of(tmp_path / "straight")
    assert {path.name for path in (out / ".partial").iterdir()} == {"lock", "pid"}


@pytest.mark.keeps("B4")
@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_stopped(number: int, code: int, held: Held, tmp_path: Path, start: Start) -> None:
    process = start(held.folder, tmp_path / "out")
    wait_for(lambda: chunks_done(tmp_path / "out") > 0)
    workers = children(process.pid)
    process.send_signal(number)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert error.endswith(b"run the same command again to go on\n"), error  # and nothing of what a library had open
    wait_for(lambda: not any(map(is_running, workers)))
    assert final_files(tmp_path / "out") == []


@pytest.mark.keeps("B6")
def test_a_worker_that_dies(held: Held, tmp_path: Path, start: Start) -> None:
    process = start(held.folder, tmp_path / "out")
    wait_for(lambda: chunks_done(tmp_path / "out") > 0)
    os.kill(max(children(process.pid)), 9)
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    says(error.decode(), "the worker process died", "run the same command again")
    assert final_files(tmp_path / "out") == []


def test_a_photograph_mended_after_a_kill_is_in_what_was_packed_already(
    originals: Originals, straight: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = lay_folders(tmp_path / "in", originals), tmp_path / "out"
    name, file, _ = originals.rows("train")[0]
    path = folder / "train" / name[:9] / name
    path.write_bytes(file[:100])
    with monkeypatch.context() as patched:
        patched.setattr("publish.regenerate.placing.put", _stop)
        assert attempt(folder, out, "--allow-damaged") == 130
    path.write_bytes(file)
    assert attempt(folder, out) == 0
    assert sidecar(out)["rows"]["imagenet_resized/8x8"]["train"] == len(originals.rows("train"))
    assert files_of(out) == straight


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("row", [0, -1])
def test_a_photograph_that_changes_after_a_kill_is_read_again(
    row: int, originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was packed of it; the other chunks are not read again."""
    folder, out = lay_folders(tmp_path / "in", originals), tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("publish.regenerate.placing.put", _stop)
        assert attempt(folder, out) == 130
    made = {path.name: path.stat().st_mtime_ns for path in out.glob(".partial/*/train-*.npz")}
    photograph(folder, originals, row).write_bytes(photograph(folder, originals, 100).read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr("publish.regenerate.placing.put", _stop)
        assert attempt(folder, out) == 130
    again = {path.name: path.stat().st_mtime_ns for path in out.glob(".partial/*/train-*.npz")}
    assert [name for name in made if again[name] != made[name]] == [sorted(made)[row]]
    assert attempt(folder, out) == 0
    assert attempt(folder, tmp_path / "straight") == 0
    assert files_of(out) == files_of(tmp_path / "straight")


@pytest.mark.keeps("B2")
def test_killed_at_the_end_leaves_nothing_for_ever(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels of a run that was killed when all was in place go with the next one, which has nothing to do."""
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("publish.regenerate.placing.remove_tree", _stop)
        assert attempt(source, out) == 130
    before = files_of(out)
    assert chunks_done(out) > 0
    assert attempt(source, out) == 0
    assert files_of(out) == before
    assert {path.name for path in (out / ".partial").iterdir()} == {"lock", "pid"}


def test_an_error_while_files_move_to_their_place_says_so(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of before are gone then: it must not be said that nothing has changed."""
    out = tmp_path / "out"
    assert attempt(source, out) == 0
    (name, *_) = files_of(out)
    (out / name).unlink()
    (out / name).mkdir()
    assert attempt(source, out, "--seed", 1) == 1
    error = capsys.readouterr().err
    says(error, "error: ", out / name, "Is a directory", "put in place", out / ".partial", "run the same command again")
    assert "Nothing under a final name has changed" not in error
    (out / name).rmdir()
    assert attempt(source, out, "--seed", 1) == 0
    assert attempt(source, tmp_path / "straight", "--seed", 1) == 0
    assert tree(out) == tree(tmp_path / "straight")


def test_killed_while_files_move_to_their_place(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody vouches for is removed, also by a run for other sizes."""
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr("publish.regenerate.placing._replace_sidecar", _stop)
        assert attempt(source, out) == 130
    assert len(final_files(out)) == 2
    assert attempt(source, out, "--sizes", 16) == 0
    assert attempt(source, tmp_path / "straight", "--sizes", 16) == 0
    assert tree(out) == tree(tmp_path / "straight")
