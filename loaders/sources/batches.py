"""Where the batches of Chrabaszcz et al. lie in a folder: in zips or loose, npz or pickled, however they are sorted.

What a batch is of is told by its own name (upstream's `train_data_batch_1` to `_10` and `val_data`) and by the length
of its rows; of the zip or folder it lies in, the words are read that no content tells (`loaders.sources.variant`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from loaders._errors import SourceProblem
from loaders.files.places import is_remote_error
from loaders.files.reading import open_file
from loaders.formats.batches import BatchFile, image_size
from loaders.formats.untrusted import junk, reading
from loaders.formats.zips import zip_directory
from loaders.sources.listing import Entry, Listing, plain_name

Kind = Literal["npz in a zip", "pickled in a zip", "loose"]
_BATCH = re.compile(r"(?:train_data_batch_(\d{1,9})|val_data)(?:\.(?:npz|pkl|pickle))?")
_SIZE = re.compile(r"imagenet[_-]?(\d{1,3})")
_WORD = re.compile(r"[a-z0-9]+")
MEMBER = re.compile(r"(?:\w[\w .()-]*/)*(?:train_data_batch_\d{1,9}|val_data)(?: ?\(\d+\))?(?:\.\w+)?", re.IGNORECASE)


def batch_number(name: str) -> int | None:
    """Return the number of a batch of train by its name, 0 for validation's, None for no batch's name."""
    match = _BATCH.fullmatch(plain_name(name.rpartition("/")[2]))
    return int(match[1] or 0) if match else None


@dataclass(frozen=True)
class BatchSet:
    """Batches of one split and kind beside each other, by number (0: validation's)."""

    place: Path
    kind: Kind
    batches: Mapping[int, BatchFile]

    @property
    def first(self) -> BatchFile:
        """The batch of the least number."""
        return self.batches[min(self.batches)]

    @cached_property
    def size(self) -> int:
        """The S of S x S images that its first batch holds; by its name, or else 0, when that cannot be read."""
        try:
            return image_size(self.first)
        except (SourceProblem, OSError):
            named = _SIZE.search(self.place.name.lower())
            return int(named[1]) if named else 0

    @property
    def words(self) -> list[str]:
        """The words that its zip or folder is named by, and the folder that this lies in."""
        names = (self.place.name, self.place.parent.name)
        return [word for name in names for word in _WORD.findall(plain_name(name))]


def batch_sets(listing: Listing) -> list[BatchSet]:
    """Return the sets of batches in a folder and up to two below it: zips first, and npz before pickles."""
    places = [(listing.root, listing.within(listing.root))]
    places += [(entry.path, listing.within(entry.path)) for entry in listing.folders]
    loose = [found for place, entries in places for found in _loose(place, entries)]
    zipped = [found for entry in listing.files if entry.path.suffix.lower() == ".zip" for found in _zipped(entry.path)]
    return sorted(zipped, key=lambda found: found.kind) + loose


def _loose(place: Path, entries: list[Entry]) -> Iterator[BatchSet]:
    for ending in (".npz", ""):
        files = [e.path for e in entries if not e.is_folder and (e.path.suffix.lower() == ".npz") == bool(ending)]
        yield from _sets(place, "loose", ((path.name, BatchFile(path)) for path in files))


def _zipped(path: Path) -> Iterator[BatchSet]:
    members = [name for name in _names(path) if batch_number(name) is not None]
    for kind, is_npz in (("npz in a zip", True), ("pickled in a zip", False)):
        chosen = [name for name in members if name.lower().endswith(".npz") == is_npz]
        yield from _sets(path, kind, ((name, BatchFile(path, name)) for name in chosen))  # type: ignore[arg-type]


def _names(path: Path) -> list[str]:
    """Return the members of a zip without litter, none of what is no zip."""
    try:
        with reading(path, "the zip directory"), open_file(path) as file:
            return [info.filename for info in zip_directory(file) if not info.is_dir() and not junk(info.filename)]
    except (SourceProblem, OSError):
        return []
    except Exception as error:  # a store's errors have no common base
        if not is_remote_error(error):
            raise
        return []


def _sets(place: Path, kind: Kind, named: Iterable[tuple[str, BatchFile]]) -> Iterator[BatchSet]:
    train: dict[int, BatchFile] = {}
    validation: dict[int, BatchFile] = {}
    for name, batch in sorted(named, key=lambda pair: (len(pair[0]), pair[0])):  # the plainest spelling first
        number = batch_number(name)
        if number is not None:
            _put(train if number else validation, number, batch)
    yield from (BatchSet(place, kind, found) for found in (train, validation) if found)


def _put(found: dict[int, BatchFile], number: int, batch: BatchFile) -> None:
    """Take a batch in; raises SourceProblem for two files of one number and different sizes."""
    known = found.setdefault(number, batch)
    if known is batch or batch.member:
        return
    sizes = [file.path.stat().st_size for file in (known, batch)]
    if sizes[0] != sizes[1]:
        raise SourceProblem(
            f"{batch.path}: has {sizes[1]:,} bytes, and {known.path} beside it {sizes[0]:,}. Only one can be right: "
            "move the other away."
        )


def whole(sets: list[BatchSet], wanted: frozenset[int]) -> list[list[BatchSet]]:
    """Return each choice of sets that holds exactly the batches wanted: by itself, or parts of it that lie together."""
    found = [[one] for one in sets if set(one.batches) == wanted]
    parts = [one for one in sets if set(one.batches) < wanted]
    while parts:
        first, *parts = parts
        chosen, held = [first], set(first.batches)
        for other in list(parts):
            if other.kind == first.kind and not held & set(other.batches):
                chosen.append(other)
                parts.remove(other)
                held |= set(other.batches)
        if held == wanted:
            found.append(chosen)
    return found
