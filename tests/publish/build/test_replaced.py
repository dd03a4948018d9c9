"""An archive that another takes the place of during a build: noticed before anything is put in force."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from loaders import Problem, SourceProblem
from loaders.files.seen import Seen
from publish.build import plan
from publish.build.run import Options, run
from publish.repository.folder import Folder
from publish.work.processes import Processes
from publish.work.shared import sees
from publish.work.tasks import Finished, T, Task
from tests.kit import archives
from tests.kit.building import make, tree

TRAIN = "Imagenet8_train_npz.zip"


class Changing(Processes):
    """Processes that are one step behind: something is done before any of their work is taken."""

    def __init__(self, count: int, change: Callable[[], object]) -> None:
        super().__init__(count)
        self._change = change

    def run(self, runs: Sequence[Sequence[Task[T]]]) -> Iterator[Finished[T]]:
        done = list(super().run(runs))
        self._change()
        yield from done


def built(made: plan.Plan, out: Path, crew: Processes) -> None:
    run(made, Options(out, crew, partial=True), Folder(out))


def touched(path: Path) -> None:
    os.utime(path)


@pytest.mark.keeps("S27")
@pytest.mark.parametrize("workers", [1, 2])
def test_an_archive_replaced_after_the_plan(workers: int, tmp_path: Path) -> None:
    laid = archives.resized(make(tmp_path / "in"), [8])
    made = plan.make({laid.dataset: ["8x8"]}, laid.folder, True)
    touched(laid.folder / TRAIN)
    with pytest.raises(SourceProblem, match=f"{TRAIN}: was replaced or written to"):
        built(made, make(tmp_path / "out"), Processes(workers))
    assert tree(tmp_path / "out") == {}
    built(plan.make({laid.dataset: ["8x8"]}, laid.folder, True), tmp_path / "out", Processes(1))
    assert tree(tmp_path / "out")


@pytest.mark.keeps("S27")
@pytest.mark.parametrize("name", ["ILSVRC2012_img_train.tar", "1percent.txt", "ILSVRC2012_validation_ground_truth.txt"])
def test_a_file_replaced_behind_the_last_shard(name: str, tmp_path: Path) -> None:
    """Lists and ground truths, too, which no shard is held to."""
    laid = archives.subset(make(tmp_path / "in"))
    (laid.folder / "ILSVRC2012_validation_ground_truth.txt").write_bytes(archives.truth_text(archives.truth_ids()))
    made = plan.make({laid.dataset: ["1pct"]}, laid.folder, True)
    with pytest.raises(SourceProblem, match=f"{name}: was replaced or written to"):
        built(made, make(tmp_path / "out"), Changing(1, lambda: touched(laid.folder / name)))
    assert tree(tmp_path / "out") == {}


@pytest.mark.keeps("S27")
def test_a_worker_that_sees_another_archive_is_refused(tmp_path: Path) -> None:
    """As one on another machine would be, before it is given anything to do."""
    (tmp_path / "a.tar").write_bytes(b"first")
    seen = Seen.of(tmp_path / "a.tar")
    sees([seen], [tmp_path])
    touched(tmp_path / "a.tar")
    with pytest.raises(Problem, match=r"sees no .*/a.tar as it is here: expected the same archives"):
        sees([seen], [])
    with pytest.raises(Problem, match=r"sees no .*/val as it is here"):
        sees([], [tmp_path / "val"])
