"""Upstream's files: what each should be, and what is there of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loaders.files.places import state
from loaders.files.seen import Seen, State, held
from loaders.formats import folders
from loaders.formats.folders import Files
from loaders.sources.digests import remember_sha256, remembered_sha256, sha256_of
from loaders.sources.sidecar import Regenerated

_TOO_LARGE = 50_000_000_000  # bytes of what nobody published a digest of: none to hold it against


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
    """A file that is there, and its `state` when it was found, to which it is held from then on.

    `expected` is None where nobody published a size or digest for it.

    Or a folder that an archive was unpacked to; a plan says in `files` which of its files rows come from.
    """

    path: Path
    expected: Expected | None
    state: State
    files: Files | None = None
    unexpected_origin: str = "unregistered"
    form: str = ""  # the form that it is in, as its dataset's table calls it

    @classmethod
    def found(cls, path: Path, expected: Expected | None, unexpected_origin: str = "unregistered") -> "Archive":
        """Return what is at a path, as it is now; raises OSError."""
        return cls(path, expected, state(path), unexpected_origin=unexpected_origin)

    @property
    def name(self) -> str:
        """The file's name, with the folder it lies in where upstream has it in one; a folder's ends in "/"."""
        return f"{self.path.name}/" if self.files else self.path.name

    @property
    def origin(self) -> str:
        """Who vouches for the file: "unregistered" when nobody does, "folder" for one that was unpacked."""
        return self.expected.origin if self.expected else self.unexpected_origin

    @property
    def hashed(self) -> bool:
        """Say whether it is hashed each time; what is too large for that is when that is asked for."""
        return self.expected.hashed if self.expected else self.bytes < _TOO_LARGE

    @property
    def bytes(self) -> int:
        """Its size, or that of all files of the folder that rows come from."""
        return self.files.bytes if self.files else int(self.state[0])

    @property
    def identity(self) -> list[int | str]:
        """What changes when it does, known without reading it."""
        return [self.files.bytes, self.files.stamp] if self.files else [*self.state]

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The file as it was found; nothing of a folder, whose files are held one by one as they are read."""
        return () if self.files else (Seen(self.path, self.state),)

    def sha256(self, stopped: Callable[[], bool] = lambda: False) -> str:
        """Return its SHA-256, by reading it if no earlier run did.

        Raises SourceProblem when it is not what was found any more, InterruptedError once `stopped` says so.
        """
        note = self.path / self.files.stamp if self.files else self.path  # a note for each choice of files
        with held(self.seen):
            if known := remembered_sha256(note, self.identity):
                return known
            digest = folders.sha256_of(self.path, self.files, stopped) if self.files else sha256_of(self.path, stopped)
        remember_sha256(note, digest, self.identity)
        return digest


Archives = tuple[Archive, ...]


@dataclass(frozen=True)
class Found:
    """The archives of one config by role ("train", "validation", "lists" ...), and the sources that are not there.

    `others` are the forms, by split, in which it lies there too, and which are not read; `regenerated` what a sidecar
    says of how it was made.
    """

    archives: Mapping[str, Archives]
    missing: tuple[Source, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, tuple[Archives, ...]] = field(default_factory=dict)
    regenerated: Regenerated | None = None

    def all(self) -> list[Archive]:
        """Every archive, each once."""
        return list(dict.fromkeys(archive for group in self.archives.values() for archive in group))
