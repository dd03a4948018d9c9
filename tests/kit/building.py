"""The command run as a person runs it, one build of the sample that tests share, and folders compared whole."""

import atexit
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from signal import SIGABRT
from typing import Any

import datasets
import numpy as np
import pytest
from filelock import FileLock

from publish.build import staging
from publish.sample import archives as writers
from tests.kit import archives
from tests.kit.forks import BUILDING, READING, Forks, Job

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "publish")
_SECONDS = 120
# A process that ends within milliseconds of the first row of a tiny local stream may abort while all cores are busy: a
# thread of pyarrow 26 is still at its end (apache/arrow#45214). Shards of the real size are held to it strictly, in
# test_streaming; a reader of the sample is given another try.
_ABORT, _LEFT_TOO_SOON = "terminate called without an active exception", 3

Tree = dict[str, str]  # path -> SHA-256


def environment(**changes: str) -> dict[str, str]:
    """Return the variables for a process that imports this checkout, whatever its working directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **changes}


def run(
    *arguments: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    largest_file: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its exit code and what it said; no file may grow beyond a limit, in bytes.

    Under a limit Python keeps no module that it compiles: it would not notice that one was cut short.
    """
    limit = None if largest_file is None else (largest_file, largest_file)
    variables = (environment() if env is None else dict(env)) | ({"PYTHONDONTWRITEBYTECODE": "1"} if limit else {})
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)),
    )


def run_reader(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program that leaves streams of the sample early; again when that made pyarrow abort."""
    done = run(*arguments, cwd=cwd, env=env)
    for _ in range(_LEFT_TOO_SOON):
        if done.returncode == -SIGABRT and _ABORT in done.stderr:
            done = run(*arguments, cwd=cwd, env=env)
    return done


def publish(*arguments: object, code: int = 0, **changes: str) -> str:
    """Run `python -m publish`, hold its exit code against the expected one, and return all that it said.

    In a process that has nothing left to import; `changes` are variables of its own.
    """
    with tempfile.NamedTemporaryFile("r") as output:
        words = [str(argument) for argument in arguments]
        job = Job("publish", words, output.name, environment(**changes), cwd=str(Path.cwd()))
        found = forks().run(job)
        said = output.read()
    assert found == code, said
    assert "Traceback" not in said, said
    return said


def pasted(code: str, cwd: Path) -> str:
    """Run a program as who pastes it in a folder does, and return what it prints: 0 is its exit code."""
    with tempfile.NamedTemporaryFile("r") as output, tempfile.NamedTemporaryFile("r") as errors:
        job = Job("-c", [code], output.name, environment(), cwd=str(cwd), errors=errors.name)
        found = readers().run(job)
        assert found == 0, errors.read()
        return output.read()


def readers() -> Forks:
    """Return what programs that read are forked from."""
    return _forks(READING, "default")


def forks() -> Forks:
    """Return what builds are forked from, with warnings that are errors."""
    return _forks(BUILDING, "error")


@cache
def _forks(modules: Sequence[str], warnings: str) -> Forks:
    # Torch's threads wait for each other by turning in circles, where others want the cores.
    forks = Forks(environment(PYTHONWARNINGS=warnings, OMP_NUM_THREADS="1"), ROOT, modules)
    atexit.register(forks.close)
    return forks


def shared(archives: Path, factory: pytest.TempPathFactory, worker: str) -> Path:
    """Return the folder with all fifteen configs of the sample, built by the first that asks. Not to be changed."""
    base = factory.getbasetemp()
    folder = (base if worker == "master" else base.parent) / "built"
    done = folder.with_name("built.done")
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            publish("--config", "all", "--source", archives, "--out", folder, "--workers", 2)
            done.touch()
    return folder


def tree(folder: Path) -> Tree:
    """Return every file of a folder of repositories, what is being built left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and staging.FOLDER not in path.relative_to(folder).parts
    }


def leftovers(folder: Path) -> list[str]:
    """Return what a run that was stopped should have removed."""
    return sorted(path.name for path in folder.rglob("*.tmp"))


# Small builds of the same few archives


RESIZED = "imagenet_resized"


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def build(laid: archives.Laid | Path, out: Path, *options: object, code: int = 0) -> str:
    folder = laid if isinstance(laid, Path) else laid.folder
    wanted = (
        options if "--config" in options else ("--config", f"{RESIZED}/8x8", "--config", f"{RESIZED}/16x16", *options)
    )
    return publish(*wanted, "--source", folder, "--out", out, "--allow-partial", "--workers", 1, code=code)


def with_shards(folder: Path, rows: int) -> None:
    """Lay out so many rows of 8x8 that the split has more than two shards."""
    batches: list[dict[str, Any]] = [
        {"data": np.full((rows // 10, 192), n, np.uint8), "labels": np.ones(rows // 10, np.int64)} for n in range(10)
    ]
    writers.write_train_zips(folder, 8, batches)


def undecoded(rows: Any) -> Any:
    return rows.cast_column("image", datasets.Image(decode=False))


def rows_of(out: Path, config: str, split: str = "train", dataset: str = RESIZED) -> int:
    return sum(1 for _ in undecoded(datasets.load_dataset(str(out / dataset), config, split=split, streaming=True)))
