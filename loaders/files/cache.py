"""What an earlier run kept to spare the next one work: a damaged note is the same as none."""

import io
import json
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


def cache_folder() -> Path:
    """Return the folder for what only spares work, and for downloads that no folder of sources takes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagenet-variants"


T = TypeVar("T")

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


def load_json(path: Path, make: Callable[[Any], T]) -> T | None:
    """Return what `make` makes of a JSON file, or None when it is not there or damaged."""
    try:
        return make(json.loads(path.read_text(encoding="utf-8")))
    except _DAMAGE:
        return None


def load_arrays(path: Path, make: Callable[[Any, Arrays], T]) -> T | None:
    """Return what `make` makes of the JSON array `facts` and the other arrays of an npz, or None as above."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = dict(file)
        return make(json.loads(str(arrays.pop("facts"))), arrays)
    except _DAMAGE:
        return None
