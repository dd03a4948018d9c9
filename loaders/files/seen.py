"""Files held to what they were when they were first looked at: another may take their place while they are read."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from loaders._errors import SourceProblem
from loaders.files.places import state

State = tuple[int | str, ...]


@dataclass(frozen=True)
class Seen:
    """A file, and its `state` (see `places.state`) when it was first looked at."""

    path: Path
    state: State

    @classmethod
    def of(cls, path: Path) -> "Seen":
        """Return a file as it is now; raises OSError."""
        return cls(path, state(path))

    def check(self) -> None:
        """Raise SourceProblem when it is another file now, or was written to; OSError."""
        try:
            now = state(self.path)
        except FileNotFoundError as error:
            raise SourceProblem(f"{self.path}: was there at the start, and is gone. Put it back.") from error
        if now != self.state:
            raise changed(self.path, f"it was {_told(self.state)}, and is now {_told(now)}")


def changed(path: Path, how: str) -> SourceProblem:
    """Return the error of a file that is not what it was."""
    return SourceProblem(
        f"{path}: was replaced or written to while it was read: {how}. Is it being copied or downloaded? Run the same "
        "command again when it is whole."
    )


def _told(state: State) -> str:
    size, *marks = state
    times = ("written", "changed") if len(marks) == 2 else ("marked",)
    said = [f"{word} {_time(mark)}" for word, mark in zip(times, marks, strict=True)]
    return ", ".join([f"{size:,} bytes", *said])


def _time(mark: int | str) -> str:
    return datetime.fromtimestamp(mark / 1e9, UTC).isoformat() if isinstance(mark, int) else mark


@contextmanager
def held(files: Sequence[Seen]) -> Iterator[None]:
    """Hold files to what they were, before and after the block.

    What it raises over a file that has changed is told as the change. Raises SourceProblem, OSError.
    """
    check(files)
    try:
        yield
    except Exception:
        check(files)
        raise
    check(files)


def check(files: Iterable[Seen]) -> None:
    """Raise SourceProblem for the first that is not what it was; OSError."""
    for file in files:
        file.check()
