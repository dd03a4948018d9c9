"""A file is held to what it was: whatever takes its place is noticed, and nothing else is."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders import SourceProblem
from loaders.files.seen import Seen, held


def in_place(path: Path) -> None:
    path.write_bytes(b"other")


def in_place_with_its_time(path: Path) -> None:
    """As `rsync --inplace -t` does."""
    before = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_another(path: Path) -> None:
    """As `mv` does; with its time, as `cp -p` and `wget` do before."""
    shutil.copy2(path, path.with_name("new"))
    path.with_name("new").replace(path)


def by_another_and_back(path: Path) -> None:
    path.rename(path.with_name("aside"))
    path.write_bytes(b"other")
    path.with_name("aside").replace(path)


def by_a_link(path: Path) -> None:
    by_another(path)
    path.rename(path.with_name("target"))
    path.symlink_to(path.with_name("target"))


def cut(path: Path) -> None:
    os.truncate(path, 2)


CHANGES = [in_place, in_place_with_its_time, by_another, by_another_and_back, by_a_link, cut]


@pytest.mark.keeps("S27")
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_told(change: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"first")
    seen = Seen.of(tmp_path / "a.tar")
    change(tmp_path / "a.tar")
    with pytest.raises(SourceProblem, match=r"a.tar: was replaced or written to while it was read: it was 5 bytes"):
        seen.check()


@pytest.mark.keeps("S27")
def test_a_link_that_is_led_elsewhere(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"first")
    (tmp_path / "link").symlink_to("a")
    seen = Seen.of(tmp_path / "link")
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(tmp_path / "link")
    with pytest.raises(SourceProblem, match="link: was replaced"):
        seen.check()


def test_what_is_only_read_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"first")
    with held([Seen.of(tmp_path / "a.tar")]):
        assert (tmp_path / "a.tar").read_bytes() == b"first"


@pytest.mark.keeps("S27")
def test_what_is_raised_over_a_file_that_changed_is_told_as_the_change(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"first")
    for change, told in ((in_place, "was replaced"), (Path.read_bytes, "cut short")):
        with pytest.raises(SourceProblem, match=told):
            found_cut_short(tmp_path / "a.tar", change)


def found_cut_short(path: Path, change: Callable[[Path], object]) -> None:
    with held([Seen.of(path)]):
        change(path)
        raise SourceProblem("cut short. Download it again.")


@pytest.mark.keeps("S27")
def test_a_file_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"first")
    seen = Seen.of(tmp_path / "a.tar")
    (tmp_path / "a.tar").unlink()
    with pytest.raises(SourceProblem, match="was there at the start, and is gone"):
        seen.check()
