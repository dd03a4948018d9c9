"""How a finished folder takes the place of the old one, in one step."""

import ctypes
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def place(new: Path, links: Mapping[str, Path], texts: Mapping[str, bytes]) -> None:
    """Put a repository together in the empty folder `new`: files that exist elsewhere by a link, the others written."""
    for path, origin in links.items():
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        _link(origin, new / path)
    for path, content in texts.items():
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        (new / path).write_bytes(content)


def _link(origin: Path, path: Path) -> None:
    try:
        os.link(origin, path, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(origin, path, follow_symlinks=False)


def exchange(new: Path, final: Path) -> None:
    """Let the folder `new` take the place of `final`; what `final` was is at `new` afterwards, to be removed.

    In one step on Linux: a reader, or a kill at any instant, sees the one folder or the other. Where the system has no
    such call, the old folder is moved aside first; `restore` puts it back if the run ends there.
    """
    if not final.exists():
        new.rename(final)
    elif not _exchanged(new, final):
        aside = _aside(final)
        final.rename(aside)
        try:
            new.rename(final)
        except OSError:  # the staging folder is on another device
            aside.rename(final)
            raise
        aside.rename(new)


def restore(final: Path) -> None:
    """Put back a folder that a killed run had moved aside, or remove it when the new one had taken its place."""
    if _aside(final).is_dir() and not final.exists():
        _aside(final).rename(final)
    shutil.rmtree(_aside(final), ignore_errors=True)


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")


def _exchanged(one: Path, other: Path) -> bool:
    """Linux's renameat2(2), which Python does not offer."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return call is not None and not call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
