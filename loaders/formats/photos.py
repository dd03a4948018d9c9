"""Photographs as columns: what each is called, its label, and where it lies, whatever it lies in.

Millions of them are sorted, chosen, sent to a worker and read alike: from one tar, from a folder of tars, from folders.
"""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from loaders.files.places import is_local, key, state
from loaders.files.seen import Seen, State, held
from loaders.formats import folders, tars
from loaders.formats.folders import UNASKED, Files, Status

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
Names = npt.NDArray[np.bytes_]
Kind = Literal["tar", "folder"]
UNKNOWN = -1  # the size of a photograph that is not known before it is read
_MEAN = 115_000  # bytes of ILSVRC's mean photograph, for an estimate


@dataclass(frozen=True)
class Holder:
    """What photographs lie in: a tar or a folder, by its place in a root; the root itself has none.

    `state` is that of a tar before its headers were read: what is read of it is held to that.
    """

    kind: Kind
    place: str = ""
    state: State = ()

    @classmethod
    def tar(cls, root: Path, place: str = "") -> "Holder":
        """Return a tar as it is now; raises OSError."""
        return cls("tar", place, state(root / place if place else root))

    def within(self, root: Path) -> Path:
        """Return where it is."""
        return root / self.place if self.place else root


@dataclass(frozen=True)
class Photos:
    """Photographs of one split.

    `names` is bytes [N], what each is called in a row; `labels` int64 [N]. Photograph i lies in `holders[inside[i]]`,
    in a tar at `offsets[i]`, under `held[i]` in a folder. `sizes` are bytes, `UNKNOWN` until a file was asked after;
    `marks` (uint64 [N]) are those of files in folders, to which they are held from then on.
    """

    root: Path
    holders: tuple[Holder, ...]
    names: Names
    labels: I64
    inside: I32
    offsets: I64
    sizes: I64
    held: Names
    marks: U64

    @classmethod
    def of(
        cls,
        root: Path,
        holder: Holder,
        names: Sequence[str],
        labels: "Sequence[int] | I64",
        offsets: Sequence[int] | None = None,
        sizes: Sequence[int] | None = None,
        held: Sequence[str] | None = None,
    ) -> "Photos":
        """Return those that lie in one holder; by default under their own names."""
        count = len(names)
        called = _bytes(names)
        return cls(
            root,
            (holder,),
            called,
            np.array(labels, np.int64),
            np.zeros(count, np.int32),
            np.zeros(count, np.int64) if offsets is None else np.array(offsets, np.int64),
            np.full(count, UNKNOWN, np.int64) if sizes is None else np.array(sizes, np.int64),
            called if held is None or held == names else _bytes(held),
            np.full(count, UNASKED, np.uint64),
        )

    @classmethod
    def joined(cls, parts: Sequence["Photos"]) -> "Photos":
        """Return the photographs of one root, put together in the order given; there is at least one part."""
        starts = np.cumsum([0, *(len(part.holders) for part in parts[:-1])])
        inside = [part.inside + np.int32(start) for part, start in zip(parts, starts, strict=True)]
        holders = tuple(holder for part in parts for holder in part.holders)
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        if all(part.held is part.names for part in parts):
            columns["held"] = columns["names"]
        return cls(parts[0].root, holders, **{**columns, "inside": np.concatenate(inside)})

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: "slice | I64 | npt.NDArray[np.bool_]") -> "Photos":
        """Return some of them, in the order asked for, and of what holds them no more than is needed."""
        inside = self.inside[rows]
        used = np.unique(inside)
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        columns["inside"] = np.searchsorted(used, inside).astype(np.int32)
        if self.held is self.names:
            columns["held"] = columns["names"]
        return replace(self, holders=tuple(self.holders[n] for n in used.tolist()), **columns)

    def by_hash(self) -> "Photos":
        """Return them in the order of a hash of their names: the same everywhere, whatever it was before."""
        keys = [hashlib.blake2b(name, digest_size=8).digest() for name in self.names.tolist()]
        return self.take(np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64))

    @property
    def nbytes(self) -> int:
        """How many bytes they have together, about that many where sizes are not known."""
        return int(np.where(self.sizes == UNKNOWN, _MEAN, self.sizes).sum())

    def twice(self) -> str | None:
        """Return a name that is there more than once, or None."""
        names = np.sort(self.names)
        again = np.flatnonzero(names[1:] == names[:-1])
        return names[again[0]].decode() if again.size else None

    # Reading

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield where each lies, in words, and its bytes.

        Raises SourceProblem, also for a tar that has changed since its headers were read and for a file that has since
        it was asked after; OSError.
        """
        kinds = np.array([holder.kind == "tar" for holder in self.holders])[self.inside]
        for run in _runs(kinds):
            photos = self.take(run)
            yield from photos._from_tars() if kinds[run.start] else photos._from_folders()

    def _from_tars(self) -> Iterator[tuple[str, bytes]]:
        for run in _runs(self.inside):
            (seen,) = self.take(run).seen
            with held([seen]):
                files = tars.read_members(seen.path, self.offsets[run].tolist(), self.sizes[run].tolist())
                for name, file in zip(self.held[run].tolist(), files, strict=True):
                    yield f"{seen.path}:{name.decode()}", file

    def _from_folders(self) -> Iterator[tuple[str, bytes]]:
        files = folders.read(self.root, self.places, self.marks.tolist())
        for place, file in zip(self.places, files, strict=True):
            yield str(self.root / place), file

    @cached_property
    def places(self) -> list[str]:
        """Where each is within the root: its file, or the tar that holds it."""
        starts = [f"{holder.place}/" if holder.place else "" for holder in self.holders]
        where = zip(self.inside.tolist(), self.held.tolist(), strict=True)
        return [
            self.holders[n].place if self.holders[n].kind == "tar" else f"{starts[n]}{held.decode()}"
            for n, held in where
        ]

    # What tells one state of them from another

    def files(self) -> dict[str, Status]:
        """Return what is known, without reading it, of every file that they lie in, and is there. Raises OSError.

        It asks after every file, so that it is for a part of a large folder at a time.
        """
        return folders.survey(self.root, list(dict.fromkeys(self.places)), [h.place for h in self._tars()])

    def there(self, files: dict[str, Status]) -> "Photos":
        """Return those whose files are there, with what is known of each."""
        return self.take(np.array([place in files for place in self.places], np.bool_)).known(files)

    def known(self, files: dict[str, Status]) -> "Photos":
        """Return the same photographs with what is known of their files: of one that is not there, nothing."""
        absent = Status(UNKNOWN, UNASKED)
        found = [files.get(place, absent) for place in self.places]
        is_tar = ~self._loose
        sizes = np.where(is_tar, self.sizes, np.array([each.size for each in found], np.int64))
        marks = np.where(is_tar, self.marks, np.array([each.mark for each in found], np.uint64))
        return replace(self, sizes=sizes, marks=marks)

    @property
    def _loose(self) -> npt.NDArray[np.bool_]:
        """Which of them are files in a folder."""
        return np.array([holder.kind == "folder" for holder in self.holders], np.bool_)[self.inside]

    def _tars(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.kind == "tar"]

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The tars that they lie in, as they were before their headers were read."""
        return tuple(Seen(holder.within(self.root), holder.state) for holder in self._tars())

    @property
    def identity(self) -> str:
        """What changes when the photographs do: for a tar its size and times, for folders the names in them."""
        held = [(holder.kind, holder.place, holder.state) for holder in self.holders]
        digest = hashlib.sha256(repr([key(self.root).decode(errors="replace"), held]).encode())
        for name in _COLUMNS[:-1]:
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()

    def stamped(self) -> tuple["Photos", str]:
        """Return them held to their files as these are now, and a stamp: what changes when such a file does.

        Nothing of a tar, which `identity` tells; nor of a folder in a store, where each file asked after is a request:
        those are known by their names. Raises SourceProblem, OSError.
        """
        loose = self._loose
        if not is_local(self.root) or not loose.any():
            return self, ""
        files = self.take(loose).files()
        return self.known(files), Files.of(files).stamp


_COLUMNS = ("names", "labels", "inside", "offsets", "sizes", "held", "marks")


def _bytes(names: Sequence[str]) -> Names:
    return np.array([name.encode() for name in names], np.bytes_)


def _runs(values: npt.NDArray[np.generic]) -> Iterator[slice]:
    """Yield the stretches of equal values."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    yield from (slice(start, stop) for start, stop in itertools.pairwise(edges) if stop > start)
