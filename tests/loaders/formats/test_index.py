"""The index of a tar is made once, kept, and made again when the tar is another."""

import os
from pathlib import Path
from typing import Any

import pytest

from loaders import SourceProblem
from loaders.formats import index, tars
from publish.sample.archives import tar

FILES = [("b", b"1" * 600), ("._b", b"-"), ("a", b"")]


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The tars that were scanned, with a cache of its own."""
    found: list[Path] = []

    def counted(path: Path, *more: Any, **named: Any) -> tars.Members:
        found.append(path)
        return tars.scan(path, *more, **named)

    monkeypatch.setattr(index, "scan", counted)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def written(folder: Path, files: list[tuple[str, bytes]]) -> Path:
    path = folder / "a.tar"
    path.write_bytes(tar(files))
    return path


def test_a_tar_is_scanned_once(scans: list[Path], tmp_path: Path) -> None:
    path = written(tmp_path, FILES)
    assert [index.members(path) for _ in range(3)] == [tars.scan(path)] * 3
    assert scans == [path]


def test_a_tar_of_nothing(scans: list[Path], tmp_path: Path) -> None:
    path = written(tmp_path, [])
    assert [index.members(path).names for _ in range(2)] == [[], []]


def test_another_tar_is_scanned_anew(scans: list[Path], tmp_path: Path) -> None:
    """Of another size, or of the same and another time."""
    path = written(tmp_path, FILES)
    index.members(path)
    for number, name in enumerate(("c", "d"), 1):
        written(tmp_path, [(name, b"2"), *FILES])
        os.utime(path, ns=(number, number))
        assert index.members(path).names[0] == name
    assert len(scans) == 3


def test_a_tar_that_is_replaced_while_it_is_scanned_is_scanned_again(
    scans: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, FILES)
    counted: Any = vars(index)["scan"]

    def replaced(path: Path, **named: Any) -> tars.Members:
        found: tars.Members = counted(path, **named)
        written(tmp_path, [("c", b""), *FILES])
        return found

    monkeypatch.setattr(index, "scan", replaced)
    index.members(path)
    monkeypatch.setattr(index, "scan", counted)
    assert index.members(path).names == ["c", "b", "a"]


def test_a_damaged_note_is_none(scans: list[Path], tmp_path: Path) -> None:
    path = written(tmp_path, FILES)
    index.members(path)
    note = index.note(path, "members")
    for damaged in (b"", note.read_bytes()[:-300]):
        note.write_bytes(damaged)
        assert index.members(path) == tars.scan(path)
    assert len(scans) == 3


def test_a_tar_that_is_refused_is_refused_again(scans: list[Path], tmp_path: Path) -> None:
    path = written(tmp_path, [*FILES, ("../x", b"")])
    for _ in range(2):
        with pytest.raises(SourceProblem, match="leads out"):
            index.members(path)
