"""Arrays on disk: whole or not there, made once for all processes, of the repository as it is now."""

import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest

from loaders import Problem
from loaders.training import load_array
from loaders.training.__main__ import main
from tests.kit import building
from tests.loaders.training.conftest import same

Copied = Callable[..., Path]
ARGUMENTS = ("8x8", "train")


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_the_same_rows_from_disk(repository: str) -> None:
    expected = load_array(repository, *ARGUMENTS)
    for _ in ("made", "opened again"):
        data = load_array(repository, *ARGUMENTS, memmap=True)
        same(data, expected)
        with pytest.raises(ValueError, match="read-only"):
            data.images[0] = 0


def test_without_labels(built: Path) -> None:
    for _ in ("made", "opened again"):
        data = load_array(str(built / "downsampled_imagenet"), "32x32", "validation", memmap=True)
        assert (data.labels, data.names) == (None, None)


def test_what_was_made_is_opened_without_the_shards(copied: Copied) -> None:
    folder = copied()
    first = load_array(str(folder), *ARGUMENTS, memmap=True)
    shutil.rmtree(folder / "8x8")
    assert np.array_equal(load_array(str(folder), *ARGUMENTS, memmap=True).images, first.images)


def test_another_process_is_sent_the_path_and_not_the_content(repository: str) -> None:
    data = load_array(repository, *ARGUMENTS, memmap=True)
    sent = pickle.dumps(data)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).images, data.images)
    copy = pickle.loads(pickle.dumps(load_array(repository, *ARGUMENTS)))
    assert np.array_equal(copy.images, data.images)


@pytest.mark.parametrize("what", ["images.npy", "labels.npy", "about.json"])
def test_a_damaged_one_is_made_anew(what: str, repository: str, cache: Path) -> None:
    first = load_array(repository, *ARGUMENTS, memmap=True)
    assert first.folder
    images, path = first.images.copy(), first.folder / what
    for harm in (lambda: path.write_bytes(path.read_bytes()[:-9]), path.unlink):
        harm()
        anew = load_array(repository, *ARGUMENTS, memmap=True)
        assert np.array_equal(anew.images, images)
        assert anew.labels is not None
        assert len(folders(cache)) == 1


# A repository that changes


@pytest.mark.keeps("R4")
def test_a_repository_that_changed_is_read_anew_and_the_old_is_told_and_removed(
    copied: Copied, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied()
    old = load_array(str(folder), *ARGUMENTS, memmap=True)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"train"', '"was"').replace('"validation"', '"train"'))
    new = load_array(str(folder), *ARGUMENTS, memmap=True)
    assert "1 of earlier versions are kept" in capsys.readouterr().err
    assert len(new) != len(old)
    assert np.array_equal(new.images, load_array(str(folder), *ARGUMENTS).images)

    assert main([]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed if line.endswith("stale")] == [old.folder and old.folder.name]
    assert main(["--remove", "stale"]) == 0
    assert folders(cache) == [new.folder and new.folder.name]
    assert old.images.sum() > 0  # who has it open keeps it
    assert main(["--remove", "all"]) == 0
    assert folders(cache) == []
    with pytest.raises(SystemExit):
        main(["--remove", "nothing"])


def test_files_without_a_manifest_are_told_apart_by_their_times(copied: Copied) -> None:
    folder = copied()
    (folder / "manifest.json").unlink()
    first = load_array(str(folder), *ARGUMENTS, memmap=True)
    assert load_array(str(folder), *ARGUMENTS, memmap=True).folder == first.folder
    next((folder / "8x8").glob("train-*")).touch()
    assert load_array(str(folder), *ARGUMENTS, memmap=True).folder != first.folder


# Trouble while it is made


@pytest.mark.keeps("R5")
def test_a_shard_that_rots_leaves_nothing(copied: Copied, cache: Path) -> None:
    folder = copied()
    path = next((folder / "8x8").glob("train-00001*"))
    data = path.read_bytes()
    path.write_bytes(data[:3000] + bytes([data[3000] ^ 1]) + data[3001:])
    with pytest.raises(Problem, match="SHA-256"):
        load_array(str(folder), *ARGUMENTS, memmap=True)
    assert folders(cache) == []


_LOAD = "import sys; from loaders.training import load_array; load_array(sys.argv[1], '8x8', 'train', memmap=True)"


@pytest.mark.keeps("R3")
def test_a_full_disk_is_told_before_a_page_is_written(repository: str, cache: Path) -> None:
    done = building.run(sys.executable, "-c", _LOAD, repository, largest_file=20_000)
    assert done.returncode == 1  # and not killed by SIGBUS
    assert "no room for its array" in done.stderr
    assert folders(cache) == []


_KILLED = """
import os, sys
import numpy as np
from loaders.training import load_array, memmap, shards
from tests.kit.killing import kill_at

expected = load_array(sys.argv[1], "8x8", "train")
for moment in range(1000):
    killed = kill_at(moment, lambda: load_array(sys.argv[1], "8x8", "train", memmap=True))
    whole = [about for _, about in memmap.kept() if about]
    left = [path for path, about in memmap.kept() if not about]
    assert len(whole) + len(left) <= 1, memmap.kept()
    for _ in ("the next process", "and the one after"):
        found = load_array(sys.argv[1], "8x8", "train", memmap=True)
        assert np.array_equal(found.images, expected.images) and np.array_equal(found.labels, expected.labels)
    assert [path for path, about in memmap.kept()] == [found.folder]
    memmap.remove(found.folder)
    if not killed:
        break
print(moment)
"""


@pytest.mark.keeps("R1")
def test_a_kill_at_any_moment_leaves_it_whole_or_not_there(repository: str) -> None:
    done = building.run(sys.executable, "-c", _KILLED, repository)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8  # moments at which it was killed


_AT_ONCE = """
import os, sys, pathlib
from loaders.training import load_array, memmap, shards

read, log = shards.read, os.open(sys.argv[2], os.O_CREAT | os.O_APPEND | os.O_WRONLY)
shards.read = lambda *arguments: (os.write(log, b"made "), read(*arguments))[1]
children = []
for _ in range(4):
    if not (child := os.fork()):
        data = load_array(sys.argv[1], "8x8", "train", memmap=True)
        os.write(log, b"%d " % (data.folder / "images.npy").stat().st_ino)
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@pytest.mark.keeps("R2")
def test_of_processes_at_once_one_makes_it(repository: str, tmp_path: Path) -> None:
    done = building.run(sys.executable, "-c", _AT_ONCE, repository, tmp_path / "log")
    assert done.returncode == 0, done.stderr
    words = (tmp_path / "log").read_text().split()
    assert words.count("made") == 1
    assert len(words) == 5
    assert len({*words}) == 2


@pytest.mark.keeps("R2")
def test_one_that_is_being_made_is_not_removed(
    repository: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = load_array(repository, *ARGUMENTS, memmap=True).folder
    assert folder
    with filelock.FileLock(f"{folder}.lock"):
        assert main(["--remove", folder.name]) == 1
    assert "just making it" in capsys.readouterr().err
    assert folder.is_dir()
