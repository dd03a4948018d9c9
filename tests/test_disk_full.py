"""A disk that is full at the n-th byte of any file: the old state or the new one, said plainly, and gone on from there.

A limit on the size of a file stands for the disk: the system refuses the write in the same place, whoever runs it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import kills
from tests.kit import archives, building
from tests.kit.forks import Forked

LIMITS = (0, 6_000, 100_000)
SETTLED = {0: {"new"}, 1: {"old", "in between, and not vouched for"}}


@pytest.fixture(scope="module", params=list(kills.CASES))
def case(request: pytest.FixtureRequest) -> Iterator[kills.Case]:
    with tempfile.TemporaryDirectory(prefix="full-") as folder, kills.CASES[request.param](Path(folder), 1) as case:
        yield case


def limited(case: kills.Case, limit: int) -> tuple[int, str]:
    """Run the command where no file may grow beyond a limit, in bytes; return its exit code and what it said."""
    return case.forks.errors(replace(case.command, largest_file=limit))


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
    assert case.forks.run(case.command) == 0
    assert case.settled()


@pytest.mark.keeps("B8")
def test_a_cache_that_cannot_be_written_to_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    laid = archives.subset(building.make(tmp_path / "archives"))
    wanted = ("--config", "imagenet2012_subset/1pct", "--source", laid.folder, "--out", tmp_path / "out")
    building.publish(*wanted, "--allow-partial", "--workers", 1, XDG_CACHE_HOME=str(tmp_path / "cache"))


@pytest.mark.keeps("B5")
@pytest.mark.parametrize("case", ["build", "regenerate"], indirect=True)
def test_two_runs_at_once_on_one_folder(case: kills.Case, tmp_path: Path) -> None:
    """Each does the work, or finds it done, or says that the other does; the folder is that of one run."""
    case.reset()
    said = [tmp_path / name for name in ("one", "other")]
    both = [Forked(case.forks, replace(case.command, errors=str(path))) for path in said]
    codes = [process.wait(120) for process in both]
    for code, path in zip(codes, said, strict=True):
        assert code == 0 or "another run (process " in path.read_text()
    assert 0 in codes
    assert case.settled()
