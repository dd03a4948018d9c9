"""The photographs of ILSVRC 2012 as labs have them: the two tars, the folders they unpack to, or Kaggle's folders.

Labels are those of Chrabaszcz et al.: the order of the development kit's `map_clsloc.txt`, here from 0.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from loaders import _index, _tar, classes, imagenet2012_subset
from loaders._archives import junk
from loaders._errors import MissingSources, SourceProblem
from loaders._source import identity

I64 = npt.NDArray[np.int64]
Names = npt.NDArray[np.bytes_]
Kind = Literal["tar", "flat", "classes"]
_Part = tuple[Names, I64, I64, I64]  # names, labels, offsets, sizes
TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
PUBLISHED = {"train": 1_281_167, "validation": 50_000}
_TRUTHS = ("ILSVRC2012_validation_ground_truth.txt", "ILSVRC2012_devkit_t12.tar.gz")
_TOPS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # a plain copy, then Kaggle's, from where one may stand
_CLASS_TAR = re.compile(r"(?:\./)?(n\d{8})\.tar")
_TRAIN_FILE = re.compile(r"(n\d{8})_\d+\.JPEG")
_VALIDATION_FILE = re.compile(r"(?:\./)?(?:val/)?(ILSVRC2012_val_(\d{8})\.JPEG)")


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
            files = _tar.read_members(self.root, self.offsets.tolist(), self.sizes.tolist())
            yield from ((f"{self.root}:{name.decode()}", file) for name, file in zip(self.names, files, strict=True))
            return
        for name, label in zip(self.names, self.labels, strict=True):
            folder = self.root / classes.wnids("clsloc")[label] if self.kind == "classes" else self.root
            path = folder / name.decode()
            yield str(path), path.read_bytes()

    @property
    def identity(self) -> str:
        """What changes when the photographs do: for a tar its size and mtime, for folders the names in them."""
        facts = [str(self.root.resolve()), identity(self.root) if self.kind == "tar" else self.kind]
        digest = hashlib.sha256(repr(facts).encode())
        for part in (self.names, self.labels, self.offsets, self.sizes):
            digest.update(part.tobytes())
        return digest.hexdigest()


def find(source: Path, every: int = 1) -> dict[str, Photos]:
    """Return the photographs of "train" and "validation" in a folder, of every `every`-th class by sorted WordNet id.

    Raises MissingSources when a split is not there; SourceProblem for a name that ILSVRC does not have, a name that is
    there twice, a tar cut short, and a validation photograph in the folder of another class.
    """
    places = {"train": _place(source, TRAIN_TAR, "train"), "validation": _place(source, VALIDATION_TAR, "val")}
    if absent := [split for split, place in places.items() if place is None]:
        raise MissingSources(
            f"{source}: no photographs of {' and '.join(absent)} there. Expected {TRAIN_TAR} and {VALIDATION_TAR}, the "
            "folders train/ and val/ they unpack to, or Kaggle's ILSVRC/Data/CLS-LOC."
        )
    train, validation = places["train"], places["validation"]
    assert train is not None
    assert validation is not None
    kept = _classes_of(train)[::every]
    found = {"train": _train(train, kept), "validation": _validation(validation, source)}
    if every > 1:
        labels = [classes.label_of_wnid("clsloc")[wnid] for wnid in kept]
        found["validation"] = found["validation"].take(np.isin(found["validation"].labels, labels))
    for split, photos in found.items():
        if not len(photos):
            raise SourceProblem(f"{photos.root}: holds no {split} photograph of the classes asked for.")
    return found


def _place(source: Path, tar: str, folder: str) -> Path | None:
    if (source / tar).is_file():
        return source / tar
    return next((source / top / folder for top in _TOPS if (source / top / folder).is_dir()), None)


# Train: one tar, or one folder, a class


def _classes_of(root: Path) -> list[str]:
    """Return the WordNet ids that are there, sorted."""
    names = _tar.scan(root).names if root.is_file() else _listed(root)
    pattern, like = (_CLASS_TAR, "n01440764.tar") if root.is_file() else (re.compile(r"(n\d{8})"), "n01440764")
    found = []
    for name in names:
        match = pattern.fullmatch(name)
        if not match or match[1] not in classes.label_of_wnid("clsloc"):
            what = "tar" if root.is_file() else "folder"
            raise SourceProblem(f"{root}: holds {name!r}, expected one {what} a class, named like {like}.")
        found.append(match[1])
    return sorted(found)


def _listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not junk(path.name))


def _train(root: Path, kept: list[str]) -> Photos:
    parts = list(_train_tars(root, set(kept)) if root.is_file() else _train_folders(root, kept))
    return _joined(root, "tar" if root.is_file() else "classes", parts)


def _train_tars(root: Path, kept: set[str]) -> Iterator[_Part]:
    for tar_name, inner in _index.members_by_tar(root).tars.items():
        wnid = tar_name.rpartition("/")[2].removesuffix(".tar")
        if wnid in kept:
            _check_names(f"{root}: {tar_name}", wnid, inner.names)
            yield _part(inner.names, inner.offsets, inner.sizes, wnid)


def _train_folders(root: Path, kept: list[str]) -> Iterator[_Part]:
    for wnid in kept:
        names = _listed(root / wnid)
        _check_names(str(root / wnid), wnid, names)
        yield _part(names, [-1] * len(names), [-1] * len(names), wnid)


def _check_names(where: str, wnid: str, names: list[str]) -> None:
    for name in names:
        match = _TRAIN_FILE.fullmatch(name)
        if not match or match[1] != wnid:
            raise SourceProblem(f"{where} holds {name!r}, expected names like {wnid}_1.JPEG.")


def _part(names: list[str], offsets: list[int], sizes: list[int], wnid: str) -> _Part:
    labels = np.full(len(names), classes.label_of_wnid("clsloc")[wnid])
    return np.array(names, np.bytes_), labels, np.array(offsets, np.int64), np.array(sizes, np.int64)


# Validation: one flat tar or folder, or one folder a class


def _validation(root: Path, source: Path) -> Photos:
    if root.is_file():
        members = _tar.scan(root)
        return _labelled(root, "tar", members.names, members.offsets, members.sizes, source)
    if any(path.is_dir() for path in root.iterdir()):
        places = [(wnid, name) for wnid in _classes_of(root) for name in _listed(root / wnid)]
        names = [name for _, name in places]
        photos = _labelled(root, "classes", names, [-1] * len(names), [-1] * len(names), source)
        _check_folders(root, photos, {name: wnid for wnid, name in places})
        return photos
    names = _listed(root)
    return _labelled(root, "flat", names, [-1] * len(names), [-1] * len(names), source)


def _labelled(
    root: Path,
    kind: Kind,
    names: list[str],
    offsets: list[int],
    sizes: list[int],
    source: Path,
) -> Photos:
    truth = next((source / name for name in _TRUTHS if (source / name).is_file()), None)
    ilsvrc = imagenet2012_subset._truth_labels(truth) if truth else imagenet2012_subset.validation_labels()
    clsloc = np.argsort(classes.clsloc_to_ilsvrc())[np.array(ilsvrc)]
    matches = [_VALIDATION_FILE.fullmatch(name) for name in names]
    for name, match in zip(names, matches, strict=True):
        if not match or not 1 <= int(match[2]) <= len(clsloc):
            raise SourceProblem(f"{root}: holds {name!r}, expected ILSVRC2012_val_00000001.JPEG to ...00050000.JPEG.")
    plain = np.array([match[1] for match in matches if match], np.bytes_)
    labels = clsloc[[int(match[2]) - 1 for match in matches if match]]
    return _joined(root, kind, [(plain, labels, np.array(offsets, np.int64), np.array(sizes, np.int64))])


def _check_folders(root: Path, photos: Photos, places: dict[str, str]) -> None:
    for name, label in zip(photos.names, photos.labels, strict=True):
        wnid, found = classes.wnids("clsloc")[label], places[name.decode()]
        if found != wnid:
            raise SourceProblem(f"{root}: {name.decode()} is of {wnid}, found it in the folder {found}.")


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
