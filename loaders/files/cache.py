"""What an earlier run kept to spare the next one work: a damaged note is the same as none."""

import io
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from loaders._errors import Problem
from loaders.files.typed import dumped, parsed


def cache_folder() -> Path:
    """Return the folder for what only spares work, and for downloads that no folder of sources takes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagenet-variants"


T = TypeVar("T")
F = TypeVar("F")
Arrays = dict[str, Any]

_DAMAGE: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError)
_DAMAGE += (zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError)
_DAMAGE += (OverflowError, RuntimeError, MemoryError)  # of what a damaged header claims, such as encryption


def save(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Keep a note, if it can be kept: a full disk or a folder that may not be written to is no reason to stop."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_json(path: Path, kind: type[T]) -> T | None:
    """Return a JSON file as a value of that type, or None when it is not there or damaged."""
    try:
        return parsed(path.read_bytes(), kind)
    except _DAMAGE:
        return None


def save_arrays(facts: Any, arrays: Arrays) -> bytes:
    """Return an npz of arrays, and of a dataclass of facts about them as JSON in the array `facts`."""
    content = io.BytesIO()
    np.savez(content, facts=np.array(dumped(facts)), **arrays)
    return content.getvalue()


def load_arrays(path: Path, kind: type[F], make: Callable[[F, Arrays], T]) -> T | None:
    """Return what `make` makes of the facts and the arrays of an npz, or None when it is not there or damaged."""
    try:
        return _arrays(path, kind, make)
    except _DAMAGE:
        return None


def take_arrays(path: Path, kind: type[F], make: Callable[[F, Arrays], T]) -> T:
    """Return the same of an npz that was written or found whole a moment ago. Raises Problem when it is not now."""
    try:
        return _arrays(path, kind, make)
    except FileNotFoundError as error:
        raise Problem(
            f"{path}: was there and is gone. Does something else clean up there? Run the same command again."
        ) from error
    except _DAMAGE as error:
        raise Problem(
            f"{path}: was whole and cannot be read now ({type(error).__name__}: {error}). Is the disk sound, and does "
            "every machine run the same releases? Run the same command again."
        ) from error


def _arrays(path: Path, kind: type[F], make: Callable[[F, Arrays], T]) -> T:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        arrays = dict(file)
    return make(parsed(str(arrays.pop("facts")), kind), arrays)
