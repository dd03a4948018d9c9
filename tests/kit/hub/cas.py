"""What the storage of Xet knows: xorbs as runs of chunks, files as runs of chunks of xorbs."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Chunk:
    """A chunk in a xorb: where its header starts, its compression, and its length before and after compression."""

    offset: int
    compression: int
    packed: int
    unpacked: int


@dataclass(frozen=True)
class Term:
    """A run of chunks [start, end) of a xorb that makes `length` bytes of a file."""

    xorb: str
    start: int
    end: int
    length: int


@dataclass
class Cas:
    """Xorbs and files by their hash, and the tokens handed out: token -> (repository, "read" or "write")."""

    xorbs: dict[str, list[Chunk]] = field(default_factory=dict)
    files: dict[str, list[Term]] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
