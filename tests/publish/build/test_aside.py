"""Of Parquet, whose rows lie in another order than a shard's, each row group is read once a split."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from loaders import Problem
from loaders.formats import parquet
from loaders.formats.photos import Photos
from publish.__main__ import main
from publish.build import aside
from publish.build import run as building
from publish.build.run import Options
from publish.manifest import read
from publish.repository.folder import Folder
from publish.work.processes import Processes
from tests.kit import archives, ilsvrc

CONFIG = "imagenet2012_subset/10pct"
Groups = Counter[tuple[Path, int]]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = archives.subset(tmp_path_factory.mktemp("hub"), test=True).folder
    ilsvrc.hub_parquet("data", files=2)(folder)
    return folder


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """How often the photographs of each row group are read."""
    found: Groups = Counter()
    real = parquet._read_group

    def counted(path: Path, file: Any, group: int, wanted: Sequence[int]) -> Any:
        found[path, group] += 1
        return real(path, file, group, wanted)

    monkeypatch.setattr(parquet, "_read_group", counted)
    return found


def publish(source: Path, out: Path, *options: str, code: int = 0) -> None:
    given = ["--config", CONFIG, "--source", str(source), "--out", str(out), "--allow-partial", "--workers", "1"]
    assert main([*given, *options]) == code


def shards(out: Path) -> dict[str, str]:
    found = read(out / "imagenet2012_subset")
    assert found
    return {shard.path: shard.sha256 for entry in found.entries() for shard in entry.shards}


@pytest.mark.keeps("S34")
def test_each_row_group_is_read_once_and_the_shards_are_those_of_the_tars(
    snapshot: Path, groups: Groups, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(archives.subset(tmp_path, test=True).folder, tmp_path / "tars")
    publish(snapshot, tmp_path / "hub")
    assert set(groups.values()) == {1}
    assert shards(tmp_path / "hub") == shards(tmp_path / "tars")
    assert "10pct train: 62 photographs (about 7.1 MB) are put aside in" in capsys.readouterr().err
    assert not (tmp_path / "hub" / ".partial" / "imagenet2012_subset").exists()


HARMS: dict[str, Callable[[Path], object]] = {
    "none": lambda path: None,
    "no index": lambda path: path.with_suffix(".npz").unlink(),
    "half an index": lambda path: os.truncate(path.with_suffix(".npz"), 100),
    "cut": lambda path: os.truncate(path, 100),
    "a byte": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"),
}


@pytest.mark.keeps("B2")
@pytest.mark.parametrize("harm", HARMS)
def test_what_a_killed_run_put_aside_is_taken_up(
    harm: str, snapshot: Path, groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(building._Run, "_carry_out", killed)
        publish(snapshot, tmp_path, code=130)
    first, _ = sorted(tmp_path.rglob("*.photographs"))
    HARMS[harm](first)
    before = set(groups)
    groups.clear()
    publish(snapshot, tmp_path)
    again = {path.name for path, _ in groups if path.name.startswith("train")}
    assert again == (set() if harm == "none" else {min(path.name for path, _ in before if "train" in path.name)})


@pytest.mark.keeps("B1")
def test_a_disk_without_room_is_told_before_the_work(
    snapshot: Path, groups: Groups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    need = 1.1 * sum(_photographs(snapshot)) * 115_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(need)))
    publish(snapshot, tmp_path, code=1)
    assert " are needed there, " in capsys.readouterr().err
    assert not groups
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=int(need * 2)))
    publish(snapshot, tmp_path)


def _photographs(snapshot: Path) -> list[int]:
    """Return the photographs of each split: 62 of train are wanted, which are put aside, too."""
    return [62, *(sum(map(parquet.rows, snapshot.rglob(f"{split}-*"))) for split in ("validation", "test"))]


class _Strangers(Processes):
    """Workers that share no folder with the driver."""

    is_remote = True

    def check(self, make: Callable[[], Callable[[], object]]) -> None:
        if "takes" in repr(make):
            raise Problem("does not see the folder")


@pytest.mark.keeps("S34")
def test_workers_that_share_no_folder_read_parquet_itself(
    snapshot: Path, groups: Groups, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from publish.build import plan

    class Sent(Folder):
        def check(self) -> Callable[[], object]:
            return bool

    made = plan.make({"imagenet2012_subset": ["10pct"]}, snapshot, True)
    building.run(made, Options(tmp_path, _Strangers(1), True), Sent(tmp_path))
    assert "each shard reads row groups of Parquet anew" in capsys.readouterr().err
    assert max(groups.values()) == 2
    assert sum(entry.rows for entry in _entries(tmp_path)) == sum(_photographs(snapshot))


def _entries(out: Path) -> Any:
    found = read(out / "imagenet2012_subset")
    assert found
    return found.entries()


def test_a_dry_run_says_how_much_of_parquet_is_read(snapshot: Path, tmp_path: Path) -> None:
    from publish.build import plan

    made = plan.make({"imagenet2012_subset": ["1pct"]}, snapshot, True)
    train, validation, _ = (aside.told(build) for build in made.splits)
    sizes = sum(path.stat().st_size for path in snapshot.rglob("train-*"))
    assert train
    assert validation
    assert train.startswith("imagenet2012_subset/1pct train: reads at most ")
    assert f" in {snapshot}/data, each row group once, and puts about 3.6 MB aside meanwhile" in train
    assert "aside" not in validation  # it is one shard
    photos = Photos.joined([part for job in made.splits[0].plan.jobs for part in job.parts])
    assert 0 < aside.Aside("", Path(), dict(enumerate(made.splits[0].plan.jobs))).reads() < sizes  # type: ignore[arg-type]
    assert len(photos) == 31
