"""Finished shards taken up again, what is damaged built anew, and folders that change places in one step."""

import ctypes
import errno
import os
import pickle
import select
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import Job, Problem
from publish.build import staging
from publish.build.shard import Receipt
from publish.repository import exchange
from publish.work import lock
from tests.kit import contract


@pytest.fixture
def job(sample: Path) -> Job:
    return contract.plans("imagenet2012_subset", "1pct", sample, partial=False)[1].jobs[0]


@pytest.fixture
def shard(job: Job, tmp_path: Path) -> Path:
    path = tmp_path / "key" / "validation-00000-of-00001.parquet"
    staging.build(job, path)
    return path


def receipt_of(shard: Path) -> Path:
    (path,) = shard.parent.glob("*.npz")
    return path


def same(one: Receipt | None, two: Receipt | None) -> None:
    assert one is not None
    assert two is not None
    for name in ("rows", "bytes", "nbytes", "sha256"):
        assert getattr(one, name) == getattr(two, name)
    for name in ("sums", "squares", "mean_sums", "labels", "fingerprints", "first"):
        assert np.array_equal(getattr(one.statistics, name), getattr(two.statistics, name))
        assert getattr(one.statistics, name).dtype == getattr(two.statistics, name).dtype
    for name in ("rows", "pixels", "oddities"):
        assert getattr(one.statistics, name) == getattr(two.statistics, name)


def test_a_finished_shard_is_taken_up_with_all_that_was_measured(job: Job, shard: Path, tmp_path: Path) -> None:
    same(staging.finished(shard), staging.build(job, tmp_path / "other" / shard.name).receipt)


@pytest.mark.keeps("B6")
def test_what_a_worker_hands_over_goes_through_a_pipe_in_one_piece(job: Job, tmp_path: Path) -> None:
    """Of more, a worker that is killed in the middle leaves the driver waiting for the rest."""
    done = staging.build(job, tmp_path / "a" / "train-00000-of-00001.parquet")
    assert done.receipt is not None
    assert done.receipt.statistics.fingerprints.nbytes > select.PIPE_BUF
    again = staging.build(job, tmp_path / "a" / "train-00000-of-00001.parquet")
    assert len(pickle.dumps(again)) < select.PIPE_BUF


def test_a_finished_shard_is_not_built_again(job: Job, shard: Path) -> None:
    before = shard.stat()
    assert staging.build(job, shard).receipt is not None
    assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "shard flipped": flipped,
    "shard cut": lambda shard: os.truncate(shard, 100),
    "shard empty": lambda shard: os.truncate(shard, 0),
    "shard longer": lambda shard: os.truncate(shard, shard.stat().st_size + 1),
    "shard gone": lambda shard: shard.unlink(),
    "receipt gone": lambda shard: receipt_of(shard).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_built_anew(damage: str, job: Job, shard: Path) -> None:
    before = shard.read_bytes()
    DAMAGES[damage](shard)
    assert staging.finished(shard) is None
    staging.build(job, shard)
    assert shard.read_bytes() == before
    assert staging.finished(shard) is not None


@pytest.mark.keeps("B2")
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.99])
def test_half_a_receipt_is_none(part: float, job: Job, shard: Path) -> None:
    """As a kill leaves it that comes while the receipt is written."""
    path = receipt_of(shard)
    os.truncate(path, int(path.stat().st_size * part))
    assert staging.finished(shard) is None
    staging.build(job, shard)
    assert staging.finished(shard) is not None


@pytest.mark.parametrize(
    "change", [{"first": None}, {"sums": None}, {"later": np.zeros(3)}], ids=lambda change: next(iter(change))
)
def test_a_receipt_of_another_release_is_none(change: dict[str, Any], job: Job, shard: Path) -> None:
    """One that lacks what is measured today, or has what is not: the shard is built anew."""
    path = receipt_of(shard)
    with np.load(path) as file:
        arrays = {name: array for name, array in {**file, **change}.items() if array is not None}
    np.savez(path, **arrays)
    assert staging.finished(shard) is None
    staging.build(job, shard)
    assert staging.finished(shard) is not None


def test_a_receipt_that_is_gone_is_told_from_one_that_cannot_be_read(job: Job, shard: Path) -> None:
    """What a worker just wrote is never taken for none."""
    done, path = staging.build(job, shard), receipt_of(shard)
    np.savez(path, facts=np.array("{}"))
    with pytest.raises(Problem, match=r"\.receipt\.npz: was whole and cannot be read now \(ValueError: .*`rows`"):
        _ = done.receipt
    path.unlink()
    with pytest.raises(Problem, match=r"\.receipt\.npz: was there and is gone"):
        _ = done.receipt


@pytest.mark.parametrize("content", [b"not an archive", b"\x93NUMPY\x01\x00", b"\x80\x04}."])
def test_something_else_under_the_name_of_a_receipt(content: bytes, shard: Path) -> None:
    receipt_of(shard).write_bytes(content)
    assert staging.finished(shard) is None


def test_a_receipt_of_another_shard_is_not_believed(job: Job, shard: Path, sample: Path) -> None:
    other = contract.plans("imagenet2012_subset", "1pct", sample, partial=False)[0].jobs[0]
    staging.build(other, shard.with_name("train-00000-of-00002.parquet"))
    shutil.copy(shard.with_name("train-00000-of-00002.receipt.npz"), shard.with_suffix(".receipt.npz"))
    assert staging.finished(shard) is None


def test_what_fails_leaves_nothing(job: Job, tmp_path: Path) -> None:
    wrong = Job(job.dataset, job.config, job.rows + 1, job.parts)
    path = tmp_path / "key" / "shard.parquet"
    with pytest.raises(Exception, match="rows"):
        staging.build(wrong, path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.keeps("B3")
def test_leftovers_are_removed_and_finished_shards_kept(shard: Path, tmp_path: Path) -> None:
    for path in ("old-key/shard.parquet", "new/README.md", "new/8x8/deep.parquet", f"{shard.name}.99.tmp"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    shard.with_name(f"{shard.name}.123.tmp").write_text("half")
    (tmp_path / f"{shard.name}.99.tmp").rename(shard.with_name(f"{shard.name}.99.tmp"))
    lock.clean(tmp_path, ["key"])
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == {
        shard.relative_to(tmp_path),
        receipt_of(shard).relative_to(tmp_path),
    }
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_cleaning_what_is_not_there(tmp_path: Path) -> None:
    lock.clean(tmp_path / "nothing", ["key"])


def test_a_stray_file_is_removed_too(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").write_text("")
    lock.clean(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


# Putting a repository together


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def content(path: Path) -> dict[str, str]:
    return {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_files_are_linked_or_where_that_cannot_be_copied(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    origin = folder(tmp_path / "origin", a="A")
    exchange.place(folder(tmp_path / "new"), {"x/y/a": origin / "a"}, {"README.md": b"text", "x/b": b"B"})
    assert content(tmp_path / "new") == {"x/y/a": "A", "README.md": "text", "x/b": "B"}
    one, two = (path.stat() for path in (origin / "a", tmp_path / "new" / "x" / "y" / "a"))
    assert (one.st_ino == two.st_ino) == links
    assert one.st_mtime_ns == two.st_mtime_ns


def without_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system, or a file system, that has no renameat2."""
    monkeypatch.setattr(exchange, "_exchanged", lambda new, final: False)


@pytest.mark.parametrize("system", ["renameat2", "none"])
def test_two_folders_change_places(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if system == "none":
        without_the_call(monkeypatch)
    new, final = folder(tmp_path / "new", a="new", b="new"), folder(tmp_path / "final", a="old", c="old")
    exchange.exchange(new, final)
    assert content(final) == {"a": "new", "b": "new"}
    assert content(new) == {"a": "old", "c": "old"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "new"]


@pytest.mark.parametrize("system", ["renameat2", "none"])
def test_the_first_folder_is_moved(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if system == "none":
        without_the_call(monkeypatch)
    exchange.exchange(folder(tmp_path / "new", a="new"), tmp_path / "final")
    assert content(tmp_path) == {"final/a": "new"}


def test_linux_has_the_call(tmp_path: Path) -> None:
    """Or the tests above would show one way twice."""
    assert exchange._exchanged(folder(tmp_path / "new"), folder(tmp_path / "final"))


def test_a_missing_call_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    assert not exchange._exchanged(folder(tmp_path / "new"), folder(tmp_path / "final"))


@pytest.mark.keeps("B2")
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_between_the_renames_is_put_right(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no such call there are three renames: after each, the next run finds the old or the new."""
    without_the_call(monkeypatch)
    new, final = folder(tmp_path / "new", a="new"), folder(tmp_path / "final", a="old")
    rename = Path.rename
    done: list[Path] = []

    def dying(path: Path, target: Path) -> Path:
        if len(done) == step - 1:
            raise KeyboardInterrupt
        done.append(target)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(KeyboardInterrupt):
        exchange.exchange(new, final)
    monkeypatch.setattr(Path, "rename", rename)
    exchange.restore(final)
    assert content(final) == {"a": "new" if step == 3 else "old"}


def test_a_kill_before_the_last_rename_is_not_in_the_way_of_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_call(monkeypatch)
    new, final = folder(tmp_path / "new", a="newer"), folder(tmp_path / "final", a="new")
    folder(exchange._aside(final), a="old")
    exchange.restore(final)
    exchange.exchange(new, final)
    assert content(final) == {"a": "newer"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["final", "new"]


@pytest.mark.keeps("B8")
def test_a_staging_folder_on_another_device_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_the_call(monkeypatch)
    new, final = folder(tmp_path / "new", a="new"), folder(tmp_path / "final", a="old")
    rename = Path.rename

    def between_devices(path: Path, target: Path) -> Path:
        if path == new:
            raise OSError(errno.EXDEV, "Invalid cross-device link", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", between_devices)
    with pytest.raises(OSError, match="cross-device"):
        exchange.exchange(new, final)
    assert content(final) == {"a": "old"}


def test_restoring_what_is_in_place_changes_nothing(tmp_path: Path) -> None:
    final = folder(tmp_path / "final", a="A")
    exchange.restore(final)
    exchange.restore(tmp_path / "never was")
    assert content(tmp_path) == {"final/a": "A"}
