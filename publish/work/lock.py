"""One run at a time in a folder of results, and nothing half written left in it."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from loaders import Problem
from loaders.files.places import is_local
from publish.results import PARTIAL, check_store, remove_tree


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder that results go to; after an error, nothing half written is left in it.

    A store has no locks: two runs into one are their owner's to keep apart. Raises Problem when another run is there.
    """
    if not is_local(out):
        check_store(out)
        yield
        return
    partial, is_new = out / PARTIAL, not out.exists()
    partial.mkdir(parents=True, exist_ok=True)
    pid = partial / "pid"
    try:
        with filelock.FileLock(partial / "lock", timeout=0), _tidied(partial):
            pid.write_text(str(os.getpid()))
            yield
    except filelock.Timeout:
        who = pid.read_text() if pid.is_file() else "unknown"
        raise Problem(
            f"{out}: another run (process {who}) is writing there. Wait for it, or choose another --out."
        ) from None
    finally:
        with suppress(OSError):  # it is not empty
            if is_new:
                out.rmdir()


@contextmanager
def _tidied(partial: Path) -> Iterator[None]:
    """Remove what was half written when a run failed; and the folder itself where it made nothing."""
    try:
        yield
    except BaseException:
        remove_unfinished(partial)
        with suppress(OSError):
            if {entry.name for entry in partial.iterdir()} <= {"lock", "pid"}:
                remove_tree(partial)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove files that were being written when whoever wrote them was stopped."""
    for leftover in list(folder.rglob("*.tmp")) if is_local(folder) else ():
        leftover.unlink(missing_ok=True)


def clean(folder: Path, kept: Collection[str]) -> None:
    """Remove what earlier runs left in a folder of what is in the making, the lock and `kept` left alone."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name not in {"lock", "pid", *kept}:
            remove_tree(entry) if entry.is_dir() else entry.unlink()
    remove_unfinished(folder)
