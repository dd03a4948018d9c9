"""ILSVRC 2012 as labs have it: how its photographs are called, where they lie, and validation's labels.

All that is known of its names is here. Copies call the photographs by other names (`.jpg`, or with a WordNet id more,
like the Hub's); what comes out is always ILSVRC's own.
"""

import itertools
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

from loaders import classes
from loaders._errors import SourceProblem
from loaders.files.places import entries
from loaders.formats.tars import first_names, read_members, scan
from loaders.formats.untrusted import UNFINISHED, junk, text_of

COUNTS = {"train": 1_281_167, "validation": 50_000, "test": 100_000}
# The test tar as it has been handed out since the patch of 10 October 2019, and under its name from before.
TARS = {
    "train": ("ILSVRC2012_img_train.tar",),
    "validation": ("ILSVRC2012_img_val.tar",),
    "test": ("ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test.tar"),
}
_WORDS = {"train": "train", "validation": "val", "test": "test"}
_FOLDERS = {split: (word, *(tar.removesuffix(".tar") for tar in TARS[split])) for split, word in _WORDS.items()}
# The same in any case and other spellings, which folders of other kinds have as well.
_SPELLED = {
    "train": {"train", "training", "train_blurred", "ilsvrc2012_img_train"},
    "validation": {"val", "valid", "validation", "val_blurred", "ilsvrc2012_img_val"},
    "test": {"test", *(tar.removesuffix(".tar").lower() for tar in TARS["test"])},
}
_TOPS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # a plain copy, then Kaggle's, from where one may stand
_DEEP = 2  # folders of one folder each that are gone through
TRUTH, DEVKIT = "ILSVRC2012_validation_ground_truth.txt", "ILSVRC2012_devkit_t12.tar.gz"
_TRUTH_LIMIT = 1 << 20  # bytes: 50,000 lines come to 0.2 MB
TRAIN_FILE = re.compile(r"(n\d{8})_\d{1,9}\.JPEG", re.ASCII)
_ANY_CASE = re.ASCII | re.IGNORECASE
_CLASS = re.compile(r"n\d{8}", _ANY_CASE)
_CLASS_TAR = re.compile(r"(?:.*/)?(n\d{8})\.tar", _ANY_CASE)
_ENDING = "|".join(ending.removeprefix(".") for ending in UNFINISHED)
_CLASS_OR_PACKED = re.compile(rf"(n\d{{8}})(?:\.(?:tar|tar\.gz|tgz|zip))?(?:\.(?:{_ENDING}))?", _ANY_CASE)
_TRAIN = re.compile(r"(n\d{8})_(\d+)(?:_(n\d{8}))?\.jpe?g", _ANY_CASE)
_HUB_FILE = re.compile(r"(train|validation|test)-(\d{5})-of-(\d{5})\.parquet", re.ASCII)
_HUB_TOPS = ("", "data", "ILSVRC/imagenet-1k/data", "imagenet-1k/data")
_HUB_CACHE = "datasets--ILSVRC--imagenet-1k"
_WNIDS = classes.label_of_wnid("ilsvrc")
_NUMBERED = re.compile(r"ILSVRC2012_(val|test)_(\d{8})(?:_(n\d{8}))?\.jpe?g", _ANY_CASE)


# Names


def train_name(held: str) -> tuple[str, str] | None:
    """Return ILSVRC's own name and the WordNet id of a train photograph as a copy calls it; None if it is none."""
    match = _TRAIN.fullmatch(held)
    if not match or (match[3] and match[3].lower() != match[1].lower()):
        return None
    wnid = match[1].lower()
    return f"{wnid}_{match[2]}.JPEG", wnid


def numbered_name(split: str, held: str) -> tuple[str, int, str | None] | None:
    """Return ILSVRC's own name, the number, and the WordNet id that the name says, of a validation or test photograph.

    None when the name is none of that split's.
    """
    match, word = _NUMBERED.fullmatch(held), _WORDS[split]
    if not match or match[1].lower() != word or not 1 <= int(match[2]) <= COUNTS[split]:
        return None
    return f"ILSVRC2012_{word}_{match[2]}.JPEG", int(match[2]), match[3] and match[3].lower()


def hub_files(folder: Path, split: str) -> list[str]:
    """Return the Parquet files of a split, as the Hub calls them, in a folder; none when there are none.

    Raises SourceProblem when not all of them are there, or files of several revisions.
    """
    names = sorted(entries(folder)) if folder.is_dir() else []
    named = [match for name in names if (match := _HUB_FILE.fullmatch(name)) and match[1] == split]
    if not named:
        return []
    if len(totals := {match[3] for match in named}) > 1:
        told = " and of ".join(sorted(totals))
        raise SourceProblem(f"{folder}: holds {split} files of several revisions, of {told}. Keep those of one.")
    total, there = int(named[0][3]), {int(match[2]) for match in named}
    if absent := [number for number in range(min(total, 100_000)) if number not in there]:
        raise SourceProblem(
            f"{folder}: {len(absent):,} of the {total:,} {split} files are not there, first {split}-{absent[0]:05d}-of-"
            f"{total:05d}.parquet. Was a download stopped? Start it again."
        )
    return [match[0] for match in named]


def like(split: str) -> str:
    """Return what the names of a split are like, for a message."""
    stem = f"ILSVRC2012_{_WORDS[split]}_"
    return f"{stem}00000001.JPEG to ...{COUNTS[split]:08d}.JPEG"


def is_class(name: str) -> bool:
    """Say whether a folder is named like one of a class; `class_of` says whether there is that class."""
    return _CLASS.fullmatch(name) is not None


def class_of(root: Path, name: str, is_tar: bool) -> str:
    """Return the WordNet id of a class's tar or folder by its name; raises SourceProblem for any other name."""
    match = (_CLASS_TAR if is_tar else _CLASS).fullmatch(name)
    wnid = match[1 if is_tar else 0].lower() if match else ""
    if wnid not in _WNIDS:
        if wnid_in(name) in _WNIDS and not name.lower().endswith(".tar"):
            raise SourceProblem(
                f"{root}: holds {name!r}, which is packed or not whole; expected tars or folders. Unpack it, or end "
                "its download."
            )
        what, like = ("tar", "n01440764.tar") if is_tar else ("folder", "n01440764")
        raise SourceProblem(f"{root}: holds {name!r}, expected one {what} a class, named like {like}.{advice(root)}")
    return wnid


def wnid_in(name: str) -> str:
    """Return the WordNet id that a class's folder, tar or whatever packs one is called by, in whichever case."""
    match = _CLASS_OR_PACKED.fullmatch(name)
    return match[1].lower() if match else ""


def has_class_tars(root: Path) -> bool:
    """Say whether there are tars of classes in a tar, by its first names, or in a folder."""
    names = first_names(root, 1) if root.is_file() else listed(root)
    return any(_CLASS_TAR.fullmatch(name) for name in names)


def is_packed_again(root: Path) -> bool:
    """Say whether a tar holds photographs in folders, as ILSVRC's do not."""
    names = first_names(root, 1)
    return any("/" in name and not name.endswith(".tar") for name in names)


def is_of_another_split(folders: str, split: str) -> bool:
    """Say whether the folders before a name are those of another split."""
    return any(part in _WORDS.values() and part != _WORDS[split] for part in folders.split("/"))


def advice(root: Path) -> str:
    """Return what to do about a name that does not belong there."""
    return " Move it away, or to where it belongs." if root.is_dir() else " Download the archive again."


# Places


def folder(source: Path, split: str, below: Callable[[], Iterable[Path]], *, blurred: bool = False) -> Path | None:
    """Return the folder that a split's photographs are in, the likeliest first, or None when there is none.

    An empty one is none: many have one, and Kaggle's beside it. For test, which may be absent, its photographs count:
    a folder of that name may be of another kind. So may one among those that `below` lists in the source, which is
    spelled otherwise, or lies elsewhere. `blurred` asks for those alone whose faces were blurred, or for no such.

    Raises SourceProblem when there are several elsewhere.
    """
    named = [source / f"{top}/{name}".lstrip("/") for top in _TOPS for name in _FOLDERS[split]]
    likely = (_inner(place) for place in named if is_blurred(source, place) == blurred and place.is_dir())
    if found := next((place for place in likely if _has(place, split)), None):
        return found
    spelled = [place for place in below() if place.name.lower() in _SPELLED[split] and place not in named]
    others = [place for place in map(_inner, spelled) if is_blurred(source, place) == blurred and _holds(place, split)]
    if len(others) > 1:
        told = " and ".join(map(str, others[:2]))
        raise SourceProblem(
            f"{source}: holds several folders of {split}, {told}. Name what one of them lies in by --source."
        )
    return others[0] if others else None


def _holds(place: Path, split: str) -> bool:
    names = listed(place)
    is_train = split == "train"
    return any(wnid_in(name) in _WNIDS if is_train or is_class(name) else numbered_name(split, name) for name in names)


def is_blurred(source: Path, place: Path) -> bool:
    """Say whether a folder in the source, or the source, is called like those whose faces were blurred (2021)."""
    return "blur" in f"{source.name}{str(place)[len(str(source)) :]}".lower()


def _inner(place: Path) -> Path:
    """Return the folder itself, or the one that is all there is in it, as when a tar was unpacked with its own."""
    for _ in range(_DEEP):
        found = {name: is_folder for name, is_folder in entries(place).items() if not junk(name)}
        if len(found) != 1 or not all(found.values()) or is_class(name := next(iter(found))):
            break
        place = place / name
    return place


def _has(place: Path, split: str) -> bool:
    names = listed(place)
    return any(numbered_name(split, name) for name in names) if split == "test" else bool(names)


def hub_folder(source: Path, split: str, below: Callable[[], Iterable[Path]]) -> Path | None:
    """Return the folder with a split's Parquet files as the Hub has them: a snapshot, or the Hub's cache; or None.

    `below` lists folders in the source.

    Raises SourceProblem when a cache holds several revisions and does not say which is the newest.
    """
    cached = [source, source / _HUB_CACHE, source / "hub" / _HUB_CACHE]
    snapshots = [found for place in cached if (found := _snapshot(place))]
    tops = [source / top if top else source for top in _HUB_TOPS] + [snapshot / "data" for snapshot in snapshots]
    places = itertools.chain((top for top in tops if top.is_dir()), below())
    return next((place for place in places if _has_hub_file(place, split)), None)


def _has_hub_file(folder: Path, split: str) -> bool:
    return any((match := _HUB_FILE.fullmatch(name)) and match[1] == split for name in entries(folder))


def _snapshot(place: Path) -> Path | None:
    if not (place / "snapshots").is_dir():
        return None
    names = listed(place / "snapshots")
    newest = place / "refs" / "main"
    chosen = newest.read_text(encoding="utf-8", errors="replace").strip() if newest.is_file() else ""
    if chosen not in names and len(names) > 1:
        raise SourceProblem(f"{place}/snapshots: holds {len(names)} revisions. Name one of them as --source.")
    return place / "snapshots" / (chosen if chosen in names else names[0]) if names else None


def listed(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without known litter."""
    return sorted(name for name in entries(folder) if not junk(name))


# Labels


def validation_labels() -> list[int]:
    """Return the ILSVRC labels of the 50,000 validation photographs, in the order of their names."""
    return list(_validation_labels())


@cache
def _validation_labels() -> tuple[int, ...]:
    return tuple(map(int, (files(__package__) / "validation_labels.txt").read_text().split()))


def truth_labels(path: Path) -> list[int]:
    """Return the same from the development kit, whose ids are 1-based in the order of map_clsloc.txt.

    Raises SourceProblem unless it says of every photograph what the package does: files of that name in other orders
    are about, and nothing else would tell.
    """
    text = text_of(path, _TRUTH_LIMIT) if path.name == TRUTH else _from_devkit(path)
    order = classes.clsloc_to_ilsvrc()
    ids = [int(word) if word.isdigit() and len(word) < 5 else -1 for word in text[:_TRUTH_LIMIT].split()]
    if (strange := next((i for i in ids if not 1 <= i <= classes.COUNT), None)) is not None:
        raise SourceProblem(f"{path}: holds the class id {strange}, expected ids from 1 to 1000, one a line.")
    if len(ids) != COUNTS["validation"]:
        raise SourceProblem(f"{path}: holds {len(ids):,} class ids, expected {COUNTS['validation']:,}.")
    labels, known = [order[i - 1] for i in ids], validation_labels()
    if wrong := [number for number, pair in enumerate(zip(labels, known, strict=True), 1) if pair[0] != pair[1]]:
        raise SourceProblem(
            f"{path}: gives {len(wrong):,} of {len(ids):,} photographs another class than the development kit does, "
            f"first ILSVRC2012_val_{wrong[0]:08d}.JPEG; expected its ids, in the order of map_clsloc.txt. "
            "Delete it to use the labels that come with the package."
        )
    return labels


def _from_devkit(path: Path) -> bytes:
    found = scan(path)
    for name, offset, size in zip(found.names, found.offsets, found.sizes, strict=True):
        if name.rpartition("/")[2] == TRUTH:
            return next(read_members(path, [offset], [size]))
    raise SourceProblem(f"{path}: holds no {TRUTH}. Delete it to use the labels that come with the package.")
