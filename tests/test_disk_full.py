"""A disk that is full at the n-th byte of any file: the old state or the new one, said plainly, and gone on from there.

A limit on the size of a file stands for the disk: the system refuses the write in the same place, whoever runs it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests import kills
from tests.kit import archives, building

LIMITS = (0, 6_000, 100_000)
SETTLED = {0: {"new"}, 1: {"old", "in between, and not vouched for"}}


@pytest.fixture(scope="module", params=list(kills.CASES))
def case(request: pytest.FixtureRequest) -> Iterator[kills.Case]:
    with tempfile.TemporaryDirectory(prefix="full-") as folder, kills.CASES[request.param](Path(folder), 1) as case:
        yield case


def limited(case: kills.Case, limit: int) -> tuple[int, str]:
    """Run the command where no file may grow beyond a limit, in bytes; return its exit code and what it said."""
    done = building.run(sys.executable, "-m", *case.command, env=case.variables, largest_file=limit)
    return done.returncode, done.stderr


@pytest.mark.keeps("B1")
@pytest.mark.parametrize("limit", LIMITS)
def test_a_disk_that_is_full_at_a_write(limit: int, case: kills.Case) -> None:
    case.reset()
    code, said = limited(case, limit)
    assert code in SETTLED, said
    assert case.state() in SETTLED[code]
    assert "Traceback" not in said
    if code:
        assert said.splitlines()[-1].startswith("error: "), said
    assert kills._start(case).wait(120) == 0
    assert case.settled()


@pytest.mark.keeps("B8")
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    laid = archives.subset(building.make(tmp_path / "archives"))
    wanted = ("--config", "imagenet2012_subset/1pct", "--source", laid.folder, "--out", tmp_path / "out")
    building.publish(*wanted, "--allow-partial", "--workers", 1, XDG_CACHE_HOME=str(tmp_path / "cache"))


@pytest.mark.keeps("B5")
@pytest.mark.parametrize(
    ("make", "word"), [(kills.build, "another run (process "), (kills.regenerate, "another run (process ")]
)
def test_two_runs_at_once_on_one_folder(
    make: Callable[[Path], AbstractContextManager[kills.Case]], word: str, tmp_path: Path
) -> None:
    """Each does the work, or finds it done, or says that the other does; the folder is that of one run."""
    with make(tmp_path) as case:
        case.reset()
        command, variables = [sys.executable, "-m", *case.command], dict(case.variables)
        both = [subprocess.Popen(command, env=variables, stderr=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate(timeout=120)[1].decode() for process in both]
        for process, text in zip(both, said, strict=True):
            assert process.returncode == 0 or word in text, said
        assert 0 in [process.returncode for process in both]
        assert case.settled()
