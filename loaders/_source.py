"""Upstream's files: what each should be, whether it is there, and whether it is what it should be.

Facts about a file come from the dataset's module (what upstream published) or from a sidecar beside the archives,
written by whoever made them (`SIDECAR`: a sample, a regeneration). A sidecar wins: it tells of the very files it lies
beside.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from loaders import _folder, _notes
from loaders._errors import MissingSources, SourceProblem
from loaders._folder import Files
from loaders._places import identity, key, open_file
from loaders._sidecar import checked

SIDECAR = "imagenet-variants.json"
_HASH_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file as upstream published it: size in bytes, SHA-256 (0 and "" where nobody says), and how to get it.

    `url` is where a program may fetch it; without one a person has to, from `page`. A file too large to hash each time
    has `hashed` False: its size, its index and every image used are checked instead.
    """

    name: str
    bytes: int
    sha256: str
    page: str
    url: str | None = None
    hashed: bool = True


@dataclass(frozen=True)
class Expected:
    """What a file should be, and who says so: "upstream", or a sidecar's origin such as "sample" or "regenerated"."""

    bytes: int
    sha256: str
    origin: str
    hashed: bool = True


@dataclass(frozen=True)
class Archive:
    """A file that is there. `expected` is None where nobody published a size or digest for it.

    Or a folder that an archive was unpacked to; a plan says in `files` which of its files rows come from.
    """

    path: Path
    expected: Expected | None
    files: Files | None = None
    unexpected_origin: str = "unregistered"

    @property
    def name(self) -> str:
        """The file's name, with the folder it lies in where upstream has it in one; a folder's ends in "/"."""
        return f"{self.path.name}/" if self.files else self.path.name

    @property
    def origin(self) -> str:
        """Who vouches for the file: "unregistered" when nobody does, "folder" for one that was unpacked."""
        return self.expected.origin if self.expected else self.unexpected_origin

    @property
    def bytes(self) -> int:
        """Its size, or that of all files of the folder that rows come from."""
        return self.files.bytes if self.files else self.path.stat().st_size

    @property
    def identity(self) -> list[int | str]:
        """What changes when it does, found without reading it."""
        return [self.files.bytes, self.files.stamp] if self.files else [*identity(self.path)]

    def sha256(self, stopped: Callable[[], bool] = lambda: False) -> str:
        """Return its SHA-256, by reading it if no earlier run did. Raises InterruptedError once `stopped` says so."""
        note = self.path / self.files.stamp if self.files else self.path  # a note for each choice of files
        facts = self.identity  # as it is before it is read: what is written to it meanwhile was perhaps not hashed
        if known := remembered_sha256(note, facts):
            return known
        found = _folder.sha256_of(self.path, self.files.names, stopped) if self.files else sha256_of(self.path, stopped)
        remember_sha256(note, found, facts)
        return found


@dataclass(frozen=True)
class Found:
    """The archives of one config by role ("train", "validation", "lists" ...), and the sources that are not there."""

    archives: Mapping[str, tuple[Archive, ...]]
    missing: tuple[Source, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)

    def all(self) -> list[Archive]:
        """Every archive, each once."""
        return list(dict.fromkeys(archive for group in self.archives.values() for archive in group))


class SourceFolder:
    """A folder of upstream files and, where there is one, the sidecar beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sidecar = read_sidecar(path / SIDECAR)

    @property
    def origin(self) -> str:
        """Where its files come from: "upstream" unless a sidecar says otherwise."""
        return str(self._sidecar.get("origin", "upstream"))

    def rows(self, dataset: str, config: str) -> dict[str, int]:
        """Return the rows by split that the sidecar gives for a config; empty without one."""
        rows: dict[str, int] = self._sidecar.get("rows", {}).get(f"{dataset}/{config}", {})
        return rows

    def find(self, source: Source) -> Archive | None:
        """Return the source's file, here or where it was downloaded to instead, or None when it is not there."""
        places = [self.path, default_folder()] if source.url else [self.path]
        path = next((place / source.name for place in places if (place / source.name).is_file()), None)
        if path is None:
            return None
        facts = self._sidecar.get("files", {}).get(source.name) if path.parent == self.path else None
        if facts:
            return Archive(path, Expected(facts["bytes"], facts["sha256"], self.origin))
        return Archive(path, Expected(source.bytes, source.sha256, "upstream", source.hashed))

    def find_unregistered(self, name: str) -> Archive | None:
        """Return a file that upstream never published a digest of, or None when it is not there."""
        path = self.path / name
        facts = self._sidecar.get("files", {}).get(name)
        expected = Expected(facts["bytes"], facts["sha256"], self.origin) if facts else None
        return Archive(path, expected) if path.is_file() else None

    def unpacked(self, path: Path) -> Archive:
        """Return a folder that an archive was unpacked to. Of what lies in it, nobody published a digest."""
        return Archive(path, None, unexpected_origin=self.origin if self._sidecar else "folder")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says, nothing when there is none; raises SourceProblem when it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SourceProblem(f"{path}: expected a JSON sidecar, but it cannot be read ({error}).") from error
    try:
        return checked(content)
    except ValueError as error:
        raise SourceProblem(
            f"{path}: expected bytes and sha256 of files, and rows of configs; found {error}. Make the folder anew, or "
            "move this file away to have the archives held against upstream's."
        ) from error


def write_sidecar(folder: Path, origin: str, rows: Mapping[str, Mapping[str, int]]) -> None:
    """Write the sidecar of every file now in the folder, so that a build needs no leave to take them."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SIDECAR
    }
    content = {"origin": origin, "files": files, "rows": rows}
    (folder / SIDECAR).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def check_size(archive: Archive, siblings: Iterable[Source], partial: bool) -> None:
    """Raise SourceProblem when the file is a web page, or has another size than expected and `partial` is not set."""
    path, expected = archive.path, archive.expected
    if path.is_dir():
        return
    with open_file(path, ahead=False) as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        raise SourceProblem(
            f"{path}: expected an archive, got text/html. The server sent a page instead of the file: "
            "sign in at https://image-net.org in a browser, download it again and check its size."
        )
    size = path.stat().st_size
    if partial or expected is None or size == expected.bytes:
        return
    same = next((s.name for s in siblings if s.bytes == size), None)
    hint = f" It has the size of {same}: was it renamed?" if same else ""
    raise SourceProblem(
        f"{path}: expected {expected.bytes:,} bytes ({expected.origin}'s size), found {size:,}.{hint} "
        "Download it again, or pass --allow-partial (allow_partial=True) to build from it as it is."
    )


def check_digest(archive: Archive, sha256: str, partial: bool) -> None:
    """Raise SourceProblem when the digest is not the expected one and `partial` is not set."""
    expected = archive.expected
    if partial or expected is None or sha256 == expected.sha256:
        return
    raise SourceProblem(
        f"{archive.path}: expected SHA-256 {expected.sha256} ({expected.origin}'s), found {sha256}. "
        "The file is damaged or another one: download it again, or pass --allow-partial (allow_partial=True) "
        "to build from it as it is."
    )


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

    def sha256(note: Any) -> str | None:
        return str(note["sha256"]) if note["identity"] == (facts or identity(path)) else None

    return _notes.load_json(_memory(path), sha256)


def remember_sha256(path: Path, sha256: str, facts: list[int | str] | None = None) -> None:
    """Keep the digest of a file, so that later runs need not read it whole again."""
    note = json.dumps({"path": str(path), "identity": facts or identity(path), "sha256": sha256})
    _notes.save(_memory(path), lambda file: file.write(note.encode()))


def cache_folder() -> Path:
    """Return the folder for what only spares work, and for downloads that no folder of sources takes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imagenet-variants"


def default_folder() -> Path:
    """Return where archives are looked for, and downloaded to, when no folder is named or it may not be written to."""
    return cache_folder() / "archives"


def _memory(path: Path) -> Path:
    return cache_folder() / "digests" / f"{hashlib.sha256(key(path)).hexdigest()[:32]}.json"


def missing_message(missing: Iterable[tuple[str, Source]], folder: Path) -> MissingSources:
    """Return the error that lists every (config, source) that only a person can fetch."""
    by_source: dict[Source, list[str]] = {}
    for config, source in missing:
        by_source.setdefault(source, []).append(config)
    lines = [
        f"  {source.name}{f'  ({source.bytes:,} bytes, sha256 {source.sha256})' if source.sha256 else ''}\n"
        f"      for {', '.join(configs)}\n      from {source.page}"
        for source, configs in by_source.items()
    ]
    return MissingSources(
        f"These files are missing; each has to be fetched by hand and put into {folder}/ under its own name:\n\n"
        + "\n".join(lines)
        + "\n\nThe folder is set with --source. To see the whole build without any of them, run with --sample."
    )
