"""How bad input is refused: by a `loaders.Problem` whose text names the file and the cause, and in time."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import loaders
from loaders import Problem
from loaders.sources.folder import SourceFolder
from tests.kit import contract

SECONDS = 30  # no input of the tests holds more than a few thousand rows


@contextmanager
def in_time() -> Iterator[None]:
    """Stop a loader that does not come to an end."""

    def late(*_: object) -> None:
        raise AssertionError(f"still reading after {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def refused(dataset: str, config: str, folder: Path, partial: bool = True) -> str:
    """Return why a config is refused, by the time that all its rows were read."""
    with pytest.raises(Problem) as caught:
        read_all(dataset, config, folder, partial)
    return str(caught.value)


def read_all(dataset: str, config: str, folder: Path, partial: bool = True) -> None:
    for plan in contract.plans(dataset, config, folder, partial):
        contract.read(plan)


def refused_rows(dataset: str, config: str, folder: Path) -> str:
    """Return why archives of any size are refused when their rows have to be those that are known of."""
    loader = loaders.load(dataset)
    known = loader.config(config)
    found = loader.find(known, SourceFolder(folder))
    assert not found.missing
    with pytest.raises(Problem) as caught:
        loader.plan(known, found, False)
    return str(caught.value)


def says(text: str, *parts: object) -> None:
    for part in parts:
        assert str(part) in text, text


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)
