"""ILSVRC 2012 as labs have it: the tars, the folders they unpack to, or Kaggle's folders; and validation's labels.

All that is known of its names is here. What each part holds is returned as `Members`: of a folder, the names are paths
within it, and offsets and sizes are -1.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from loaders import classes
from loaders._errors import SourceProblem
from loaders.files.places import entries
from loaders.formats.tars import Members, read_members, scan
from loaders.formats.untrusted import junk
from loaders.ilsvrc.index import Index

COUNTS = {"train": 1_281_167, "validation": 50_000, "test": 100_000}
# The test tar as it has been handed out since the patch of 10 October 2019, and under its name from before.
TARS = {
    "train": ("ILSVRC2012_img_train.tar",),
    "validation": ("ILSVRC2012_img_val.tar",),
    "test": ("ILSVRC2012_img_test_v10102019.tar", "ILSVRC2012_img_test.tar"),
}
_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_TOPS = ("", "ILSVRC/Data/CLS-LOC", "Data/CLS-LOC", "CLS-LOC")  # a plain copy, then Kaggle's, from where one may stand
TRUTH, DEVKIT = "ILSVRC2012_validation_ground_truth.txt", "ILSVRC2012_devkit_t12.tar.gz"
TRAIN_FILE = re.compile(r"(n\d{8})_\d+\.JPEG")
_CLASS_TAR, _CLASS_FOLDER = re.compile(r"(?:\./)?(n\d{8})\.tar"), re.compile(r"(n\d{8})")
_NUMBERED_FILE = {
    "validation": re.compile(r"(?:\./)?(?:(?:val|(n\d{8}))/)?(ILSVRC2012_val_(\d{8})\.JPEG)"),
    "test": re.compile(r"(?:\./)?(?:(?:test|(n\d{8}))/)?(ILSVRC2012_test_(\d{8})\.JPEG)"),
}


def folder(source: Path, split: str) -> Path | None:
    """Return the folder that a split's photographs are in, the likeliest first, or None when there is none.

    An empty one is none: many have one, and Kaggle's beside it. For test, which may be absent, its photographs count:
    a folder of that name may be of another kind.
    """
    start = "ILSVRC2012_test_" if split == "test" else ""
    places = [source / f"{top}/{_FOLDERS[split]}".lstrip("/") for top in _TOPS]
    return next((p for p in places if p.is_dir() and any(name.startswith(start) for name in listed(p))), None)


def place(source: Path, split: str) -> Path | None:
    """Return the tar or else the folder that a split's photographs are in, or None when there is neither."""
    tars = [source / name for name in TARS[split]]
    return next((path for path in tars if path.is_file()), None) or folder(source, split)


# Train: one tar, or one folder, a class


def class_names(root: Path) -> list[str]:
    """Return the WordNet ids that have a tar or a folder in `root`, sorted; raises SourceProblem for any other name."""
    is_tar = root.is_file()
    names = scan(root).names if is_tar else listed(root)
    return sorted(_class(root, name, is_tar) for name in names)


def _class(root: Path, name: str, is_tar: bool) -> str:
    match = (_CLASS_TAR if is_tar else _CLASS_FOLDER).fullmatch(name)
    if not match or match[1] not in classes.label_of_wnid("ilsvrc"):
        what, like = ("tar", "n01440764.tar") if is_tar else ("folder", "n01440764")
        raise SourceProblem(f"{root}: holds {name!r}, expected one {what} a class, named like {like}.{_next(root)}")
    return match[1]


def _next(root: Path) -> str:
    return " Move it away, or to where it belongs." if root.is_dir() else " Download the archive again."


def listed(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without known litter."""
    return sorted(name for name in entries(folder) if not junk(name))


def class_tars(root: Path, index: Index, wanted: Collection[str]) -> Iterator[tuple[str, Members]]:
    """Yield (WordNet id, photographs) of the wanted classes; raises SourceProblem for a name of another class."""
    for tar_name, inner in index.tars.items():
        wnid = _class(root, tar_name, is_tar=True)
        if wnid in wanted:
            _check_names(f"{root}: {tar_name}", wnid, inner.names)
            yield wnid, inner


def class_folders(root: Path, wanted: Collection[str]) -> Iterator[tuple[str, Members]]:
    """Yield the same of folders."""
    for wnid in wanted:
        names = listed(root / wnid)
        _check_names(str(root / wnid), wnid, names)
        yield wnid, _in_folder(names)


def _check_names(where: str, wnid: str, names: list[str]) -> None:
    for name in names:
        match = TRAIN_FILE.fullmatch(name)
        if not match or match[1] != wnid:
            raise SourceProblem(f"{where} holds {name!r}, expected names like {wnid}_1.JPEG.")


def _in_folder(names: list[str], skipped: Counter[str] | None = None) -> Members:
    return Members(names, [-1] * len(names), [-1] * len(names), skipped or Counter())


# Validation and test: one flat tar or folder, or one folder a class


def numbered(root: Path) -> Members:
    """Return the photographs of a split that are numbered through.

    Raises SourceProblem for what `tars.scan` does, a folder among photographs, and a photograph among folders.
    """
    if root.is_file():
        return scan(root)
    is_folder = entries(root)
    skipped = Counter(kind for name in is_folder if (kind := junk(name)))
    names = sorted(name for name in is_folder if not junk(name))
    inner = [name for name in names if is_folder[name]]
    if 2 * len(inner) < len(names) and inner:
        raise SourceProblem(f"{root}: holds the folder {inner[0]!r}, expected photographs alone.{_next(root)}")
    if inner:
        names = [f"{wnid}/{name}" for wnid in class_names(root) for name in listed(root / wnid)]
    return _in_folder(names, skipped)


def labelled(root: Path, split: str, names: Sequence[str], labels: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield (file name, label) for names within a tar or folder; `labels` are ILSVRC's, in the order of the numbers.

    Raises SourceProblem for a name that ILSVRC does not have, and for a photograph in the folder of another class.
    """
    stem = f"ILSVRC2012_{_FOLDERS[split]}_"
    for name in names:
        match = _NUMBERED_FILE[split].fullmatch(name)
        if not match or not 1 <= int(match[3]) <= len(labels):
            raise SourceProblem(
                f"{root}: holds {name!r}, expected {stem}00000001.JPEG to ...{len(labels):08d}.JPEG.{_next(root)}"
            )
        label = labels[int(match[3]) - 1]
        if match[1] and match[1] != (wnid := classes.wnids("ilsvrc")[label] if label >= 0 else "no class"):
            raise SourceProblem(f"{root}: {match[2]} is of {wnid}, found it in the folder {match[1]}.{_next(root)}")
        yield match[2], label


def validation_labels() -> list[int]:
    """Return the ILSVRC labels of the 50,000 validation photographs, in the order of their names."""
    return [int(label) for label in (files(__package__) / "validation_labels.txt").read_text().split()]


def truth_labels(path: Path) -> list[int]:
    """Return the same from the development kit, whose ids are 1-based in the order of map_clsloc.txt.

    Raises SourceProblem unless it says of every photograph what the package does: files of that name in other orders
    are about, and nothing else would tell.
    """
    text = path.read_bytes() if path.name == TRUTH else _from_devkit(path)
    order = classes.clsloc_to_ilsvrc()
    ids = [int(word) if word.isdigit() else -1 for word in text.split()]
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
    members = scan(path)
    for name, offset, size in zip(members.names, members.offsets, members.sizes, strict=True):
        if name.rpartition("/")[2] == TRUTH:
            return next(read_members(path, [offset], [size]))
    raise SourceProblem(f"{path}: holds no {TRUTH}. Delete it to use the labels that come with the package.")
