"""The SHA-256 of files, read once and remembered."""

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from loaders.files import cache
from loaders.files.cache import cache_folder
from loaders.files.places import identity, key
from loaders.files.reading import open_file
from loaders.files.typed import Sha256, dumped

_HASH_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Note:
    """The digest of a file, and what it was of that file: its identity then."""

    path: str
    identity: tuple[int | str, ...]
    sha256: Sha256


def sha256_of(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """Return the SHA-256 of a file, in hex. Raises InterruptedError once `stopped` says so."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        block = bytearray(_HASH_BLOCK)
        while count := cast(io.RawIOBase, file).readinto(block):
            digest.update(memoryview(block)[:count])
            if stopped():
                raise InterruptedError(f"hashing of {path} was stopped")
    return digest.hexdigest()


def remembered_sha256(path: Path, facts: list[int | str] | None = None) -> str | None:
    """Return the digest found by an earlier run, if the file has had the same size and mtime since.

    `facts` stand for these two where the path is no file.
    """

    note = cache.load_json(_memory(path), _Note)
    with suppress(OSError):
        return note.sha256 if note and list(note.identity) == (facts or identity(path)) else None
    return None


def known_sha256(path: Path) -> str:
    """Return the SHA-256 of a file that has not changed since it was hashed, or else hash it."""
    facts = identity(path)  # as it is before it is read: what is written to it meanwhile was perhaps not hashed
    if (known := remembered_sha256(path, facts)) is None:
        known = sha256_of(path)
        remember_sha256(path, known, facts)
    return known


def remember_sha256(path: Path, sha256: str, facts: list[int | str] | None = None) -> None:
    """Keep the digest of a file, so that later runs need not read it whole again."""
    note = _Note(str(path), tuple(facts or identity(path)), sha256)
    cache.save(_memory(path), lambda file: file.write(dumped(note).encode()))


def _memory(path: Path) -> Path:
    return cache_folder() / "digests" / f"{hashlib.sha256(key(path)).hexdigest()[:32]}.json"
