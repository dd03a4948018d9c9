"""Photographs as columns: what each is called, its label, and where it lies, whatever it lies in.

Millions of them are sorted, chosen, sent to a worker and read alike: from one tar, from a folder of tars, from folders,
from Parquet, and from files that they were put aside in.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loaders._errors import Problem, SourceProblem
from loaders.files.places import is_local, key
from loaders.files.reading import read_ranges
from loaders.files.seen import Seen, held
from loaders.files.threads import mapped
from loaders.formats import folders, parquet, tars
from loaders.formats.folders import UNASKED, Files, Status
from loaders.formats.holder import Holder

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
Names = npt.NDArray[np.bytes_]
UNKNOWN = -1  # the size of a photograph that is not known before it is read
_MEAN = 115_000  # bytes of ILSVRC's mean photograph, for an estimate
# Of Parquet, so many photographs are read in the order of the file and held: more than a shard has.
_HELD, _HELD_BYTES, _THREADS = 2048, 1 << 30, 4
_PIECES = 64  # of what was put aside, asked for at once


@dataclass(frozen=True)
class Photos:
    """Photographs of one split.

    `names` is bytes [N], what each is called in a row; `labels` int64 [N]. Photograph i lies in `holders[inside[i]]`,
    in a tar or put aside at byte `offsets[i]`, in Parquet in that row, everywhere under the name `held[i]`. `sizes` are
    bytes, `UNKNOWN` until a file was asked after; `marks` (uint64 [N]) are those of files in folders, to which they are
    held from then on.
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
        holders = tuple(dict.fromkeys(holder for part in parts for holder in part.holders))
        numbers = {holder: number for number, holder in enumerate(holders)}
        inside = [np.array([numbers[each] for each in part.holders], np.int32)[part.inside] for part in parts]
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

    def as_stored(self) -> "Photos":
        """Return them in the order in which Parquet is read once; others as they are."""
        is_stored = any(holder.kind == "parquet" for holder in self.holders)
        return self.take(np.lexsort((self.offsets, self.inside))) if is_stored else self

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

        Raises SourceProblem, also for an archive that has changed since it was indexed and for a file that has since
        it was asked after; OSError.
        """
        readers = {
            "tar": Photos._from_tars,
            "folder": Photos._from_folders,
            "parquet": Photos._from_parquet,
            "aside": Photos._from_aside,
        }
        kinds = np.array([holder.kind for holder in self.holders])[self.inside]
        for run in _runs(kinds):
            yield from readers[str(kinds[run.start])](self.take(run))

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

    def _from_parquet(self) -> Iterator[tuple[str, bytes]]:
        for at in range(0, len(self), _HELD):
            part, found = self.take(slice(at, at + _HELD)), dict[int, bytes]()
            for some in mapped(part._held_of, range(len(part.holders)), _THREADS):
                found.update(some)
                _check_held(self.root, found)
            for row, (place, name) in enumerate(zip(part.places, part.held.tolist(), strict=True)):
                yield f"{self.root / place}:{name.decode()}", found.pop(row)

    def _held_of(self, holder: int) -> dict[int, bytes]:
        found = dict[int, bytes]()
        for row, file in self.rows_of(holder):
            found[row] = file
            _check_held(self.holders[holder].within(self.root), found)
        return found

    def rows_of(self, holder: int) -> Iterator[tuple[int, bytes]]:
        """Yield those of one Parquet file, by their number here, in its order; raises SourceProblem as `read` does."""
        rows = np.flatnonzero(self.inside == holder)
        rows = rows[np.argsort(self.offsets[rows])]
        seen = Seen(self.holders[holder].within(self.root), self.holders[holder].state)
        with held([seen]):
            files = parquet.read(seen.path, self.offsets[rows].tolist())
            for row, (name, file) in zip(rows.tolist(), files, strict=True):
                if name.encode() != self.held[row]:
                    raise SourceProblem(
                        f"{seen.path}: row {self.offsets[row]:,} was {self.held[row].decode()} when names were read, "
                        f"and is {name[:80]!r} now. Is it still being copied? Run again when it is whole."
                    )
                yield row, file

    def _from_aside(self) -> Iterator[tuple[str, bytes]]:
        for at in range(0, len(self), _PIECES):
            part = self.take(slice(at, at + _PIECES))
            paths, sizes = [self.root / place for place in part.places], part.sizes.tolist()
            files = read_ranges(paths, part.offsets.tolist(), sizes)
            for path, name, size, file in zip(paths, part.held.tolist(), sizes, files, strict=True):
                if len(file) != size:
                    raise Problem(f"{path}: was cut short while it was read. Run the same command again.")
                yield f"{path}:{name.decode()}", file

    @cached_property
    def places(self) -> list[str]:
        """Where each is within the root: its file, or the archive that holds it."""
        starts = [f"{holder.place}/" if holder.place else "" for holder in self.holders]
        where = zip(self.inside.tolist(), self.held.tolist(), strict=True)
        return [
            f"{starts[n]}{held.decode()}" if self.holders[n].kind == "folder" else self.holders[n].place
            for n, held in where
        ]

    # What tells one state of them from another

    def files(self) -> dict[str, Status]:
        """Return what is known, without reading it, of every file that they lie in, and is there. Raises OSError.

        It asks after every file, so that it is for a part of a large folder at a time.
        """
        return folders.survey(self.root, list(dict.fromkeys(self.places)), [h.place for h in self._archives()])

    def there(self, files: dict[str, Status]) -> "Photos":
        """Return those whose files are there, with what is known of each."""
        return self.take(np.array([place in files for place in self.places], np.bool_)).known(files)

    def known(self, files: dict[str, Status]) -> "Photos":
        """Return the same photographs with what is known of their files: of one that is not there, nothing."""
        absent = Status(UNKNOWN, UNASKED)
        found = [files.get(place, absent) for place in self.places]
        is_inside = ~self._loose
        sizes = np.where(is_inside, self.sizes, np.array([each.size for each in found], np.int64))
        marks = np.where(is_inside, self.marks, np.array([each.mark for each in found], np.uint64))
        return replace(self, sizes=sizes, marks=marks)

    @property
    def _loose(self) -> npt.NDArray[np.bool_]:
        """Which of them are files in a folder."""
        return np.array([holder.kind == "folder" for holder in self.holders], np.bool_)[self.inside]

    def _archives(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.kind != "folder"]

    @property
    def seen(self) -> tuple[Seen, ...]:
        """The archives that they lie in, as they were before these were indexed."""
        return tuple(Seen(holder.within(self.root), holder.state) for holder in self._archives())

    @property
    def identity(self) -> str:
        """What changes when the photographs do: for archives their size and times, for folders the names in them."""
        held = [(holder.kind, holder.place, holder.state) for holder in self.holders]
        digest = hashlib.sha256(repr([key(self.root).decode(errors="replace"), held]).encode())
        for name in _COLUMNS[:-1]:
            digest.update(getattr(self, name).tobytes())
        return digest.hexdigest()

    def stamped(self) -> tuple["Photos", str]:
        """Return them held to their files as these are now, and a stamp: what changes when such a file does.

        Nothing of archives, which `identity` tells; nor of a folder in a store, where each file asked after is a
        request: those are known by their names. Raises SourceProblem, OSError.
        """
        loose = self._loose
        if not is_local(self.root) or not loose.any():
            return self, ""
        files = self.take(loose).files()
        return self.known(files), Files.of(files).stamp


_COLUMNS = ("names", "labels", "inside", "offsets", "sizes", "held", "marks")


def _check_held(path: Path, found: Mapping[int, bytes]) -> None:
    if (total := sum(map(len, found.values()))) > _HELD_BYTES:
        raise SourceProblem(
            f"{path}: {len(found):,} photographs have {total:,} bytes together, expected a tenth of a megabyte apiece."
        )


def _bytes(names: Sequence[str]) -> Names:
    return np.array([name.encode() for name in names], np.bytes_)


def _runs(values: npt.NDArray[np.generic]) -> Iterator[slice]:
    """Yield the stretches of equal values."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    yield from (slice(start, stop) for start, stop in itertools.pairwise(edges) if stop > start)
