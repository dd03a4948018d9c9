"""The photographs of ILSVRC 2012 as labs have them: the two tars, the folders they unpack to, or Kaggle's folders.

Labels are those of Chrabaszcz et al.: the order of the development kit's `map_clsloc.txt`, here from 0.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from loaders import classes
from loaders._errors import MissingSources, SourceProblem
from loaders.files.places import identity, is_local, key
from loaders.formats import folders, tars
from loaders.formats.tars import Members
from loaders.ilsvrc import index, layout

I64 = npt.NDArray[np.int64]
Names = npt.NDArray[np.bytes_]
Kind = Literal["tar", "flat", "classes"]
_Part = tuple[Names, I64, I64, I64]  # names, labels, offsets, sizes


@dataclass(frozen=True)
class Photos:
    """Photographs of one split, sorted by file name.

    `names` is bytes [N]; `labels` int64 [N], 0 to 999 in the order of map_clsloc.txt. `root` is a tar, where `offsets`
    and `sizes` (int64 [N], bytes) say where each lies; or a folder, flat or with one folder a class.
    """

    root: Path
    kind: Kind
    names: Names
    labels: I64
    offsets: I64
    sizes: I64

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: "slice | I64 | npt.NDArray[np.bool_]") -> "Photos":
        """Return some of them, in the order asked for."""
        parts = {name: getattr(self, name)[rows] for name in ("names", "labels", "offsets", "sizes")}
        return replace(self, **parts)

    def read(self) -> Iterator[tuple[str, bytes]]:
        """Yield the path of each within the source, and its bytes. Raises SourceProblem, OSError."""
        if self.kind == "tar":
            files = tars.read_members(self.root, self.offsets.tolist(), self.sizes.tolist())
            yield from ((f"{self.root}:{name.decode()}", file) for name, file in zip(self.names, files, strict=True))
            return
        for place, file in zip(self._places, folders.contents(self.root, self._places), strict=True):
            yield str(self.root / place), file

    @cached_property
    def _places(self) -> list[str]:
        """Where each is within the folder."""
        return list(map(self._within, self.names, self.labels))

    def _within(self, name: bytes, label: int) -> str:
        folder = f"{classes.wnids('clsloc')[label]}/" if self.kind == "classes" else ""
        return f"{folder}{name.decode()}"

    @property
    def place(self) -> tuple[Path, int | None]:
        """The tar and its bytes, or the folder."""
        return self.root, self.root.stat().st_size if self.kind == "tar" else None

    @property
    def identity(self) -> str:
        """What changes when the photographs do: for a tar its size and mtime, for folders the names in them."""
        facts = [key(self.root).decode(errors="replace"), identity(self.root) if self.kind == "tar" else self.kind]
        digest = hashlib.sha256(repr(facts).encode())
        for part in (self.names, self.labels, self.offsets, self.sizes):
            digest.update(part.tobytes())
        return digest.hexdigest()

    @property
    def stamp(self) -> str:
        """What changes when a file in a folder does: its name, size or mtime. Raises SourceProblem, OSError.

        It asks after every file, so that it is for a part at a time. Nothing of a tar, which `identity` tells; nor of a
        folder in a store, where each file asked after is a request: those are known by their names.
        """
        if self.kind == "tar" or not is_local(self.root):
            return ""
        return folders.Files.of(folders.survey(self.root, self._places)).stamp


def find(source: Path, every: int = 1) -> dict[str, Photos]:
    """Return the photographs of "train" and "validation" in a folder, of every `every`-th class by sorted WordNet id.

    Raises MissingSources when a split is not there; SourceProblem for a name that ILSVRC does not have, a name that is
    there twice, a tar cut short, and a validation photograph in the folder of another class.
    """
    places = {split: layout.place(source, split) for split in ("train", "validation")}
    if absent := [split for split, place in places.items() if place is None]:
        raise MissingSources(
            f"{source}: no photographs of {' and '.join(absent)} there. Expected {layout.TARS['train'][0]} and "
            f"{layout.TARS['validation'][0]}, the folders train/ and val/ they unpack to, or Kaggle's "
            "ILSVRC/Data/CLS-LOC."
        )
    train, validation = places["train"], places["validation"]
    assert train is not None
    assert validation is not None
    kept = layout.class_names(train)[::every]
    found = {"train": _train(train, kept), "validation": _validation(validation, source)}
    if every > 1:
        labels = [classes.label_of_wnid("clsloc")[wnid] for wnid in kept]
        found["validation"] = found["validation"].take(np.isin(found["validation"].labels, labels))
    for split, photos in found.items():
        if not len(photos):
            raise SourceProblem(f"{photos.root}: holds no {split} photograph of the classes asked for.")
    return found


# Train: one tar, or one folder, a class


def _train(root: Path, kept: list[str]) -> Photos:
    if root.is_file():
        parts = [_part(wnid, each) for wnid, each in layout.class_tars(root, index.members_by_tar(root), set(kept))]
    else:
        parts = [_part(wnid, each) for wnid, each in layout.class_folders(root, kept)]
    return _joined(root, "tar" if root.is_file() else "classes", parts)


def _part(wnid: str, members: Members) -> _Part:
    labels = np.full(len(members.names), classes.label_of_wnid("clsloc")[wnid])
    return np.array(members.names, np.bytes_), labels, *_spans(members)


def _spans(members: Members) -> tuple[I64, I64]:
    return np.array(members.offsets, np.int64), np.array(members.sizes, np.int64)


# Validation: one flat tar or folder, or one folder a class


def _validation(root: Path, source: Path) -> Photos:
    truth = next((source / name for name in (layout.TRUTH, layout.DEVKIT) if (source / name).is_file()), None)
    known = layout.truth_labels(truth) if truth else layout.validation_labels()
    members = layout.numbered(root)
    photos = list(layout.labelled(root, "validation", members.names, known))
    is_nested = root.is_dir() and any("/" in name for name in members.names)
    kind: Kind = "tar" if root.is_file() else "classes" if is_nested else "flat"
    names = np.array([name for name, _ in photos], np.bytes_)
    labels = np.argsort(classes.clsloc_to_ilsvrc())[np.array([label for _, label in photos], np.int64)]
    return _joined(root, kind, [(names, labels, *_spans(members))])


def _joined(
    root: Path,
    kind: Kind,
    parts: list[_Part],
) -> Photos:
    """Put parts together, sorted by name; raises SourceProblem for a name that is there twice."""
    if not parts:
        raise SourceProblem(f"{root}: holds no photographs.")
    names, labels, offsets, sizes = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(names, kind="stable")
    names = names[order]
    if (twice := np.flatnonzero(names[1:] == names[:-1])).size:
        raise SourceProblem(f"{root}: holds {names[twice[0]].decode()!r} more than once.")
    return Photos(root, kind, names, labels[order], offsets[order], sizes[order])
