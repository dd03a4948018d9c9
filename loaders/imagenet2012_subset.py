"""imagenet2012_subset: the 1 % and 10 % of ILSVRC 2012 that SimCLR trains on (Chen et al. 2020), and one's own lists.

Paper: https://arxiv.org/abs/2002.05709; lists: https://github.com/google-research/simclr, `imagenet_subsets`. Sizes and
digests of the files: TensorFlow Datasets 4.9.10. Labels are ILSVRC's: 0 is tench. Validation is ILSVRC's, whole, and so
is test, whose labels were never published (-1).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from loaders._errors import SourceProblem, UnknownConfig
from loaders.base import forms, photos
from loaders.base.dataset import Batch, Config, Dataset, Form, Job, Split, SplitPlan, check_rows
from loaders.base.lazy import lazy_builder
from loaders.base.sharding import shard_rows
from loaders.files.places import is_local
from loaders.formats import folders
from loaders.formats.folders import Files
from loaders.formats.naming import is_list
from loaders.formats.photos import Photos
from loaders.ilsvrc import layout, lists
from loaders.ilsvrc import photos as originals
from loaders.ilsvrc.choice import labels_there, of_classes
from loaders.ilsvrc.known import known
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Archive, Archives, Found, Source

_PAGE = "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php (sign in and accept the terms); "
_PAGE += "the folders it unpacks to (train/WNID/, val/) or Kaggle's ILSVRC/Data/CLS-LOC do as well"
_OWN_LIST = "own list"  # the origin of a list that a person gave
_SIMCLR = "https://raw.githubusercontent.com/google-research/simclr/master/imagenet_subsets"

# fmt: off
_FILES = {
    "ILSVRC2012_img_train.tar": (147897477120, "b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb"),
    "ILSVRC2012_img_val.tar": (6744924160, "c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0"),
}
_LIST_FILES = {
    "1percent.txt": (260323, "71e82a48ba78252683ae334c4d019ebd5c6e855b9599c1389fbe83eb9549cf17"),
    "10percent.txt": (2603168, "6d09de11e7bdaf5b1f3b1f249b6183695f97310cdd20f0c03e7235b6b9392091"),
}
# fmt: on
SOURCES = {
    # 148 GB: its size, its index and every image used are checked; its digest when asked for
    name: Source(name, size, sha256, _PAGE, hashed=size < 100e9)
    for name, (size, sha256) in _FILES.items()
} | {name: Source(name, size, sha256, _SIMCLR, f"{_SIMCLR}/{name}") for name, (size, sha256) in _LIST_FILES.items()}
_Rows = tuple[Photos, tuple[Archive, ...], Counter[str]]
# Both configs name the same files: 6.7 GB of validation once, and 14 GB of test.
_SHARED = (
    Split("validation", layout.COUNTS["validation"], 48, folder="validation"),
    Split("test", layout.COUNTS["test"], 96, folder="test", optional=True),
)
DATASET = Dataset(
    name="imagenet2012_subset",
    title="Subsets of ImageNet (ILSVRC 2012)",
    configs=(
        Config("1pct", (Split("train", 12_811, 16), *_SHARED)),  # 92 MB a shard
        Config("10pct", (Split("train", 128_116, 96), *_SHARED)),  # 153 MB a shard
    ),
    image_mode="RGB",
    label_order="ilsvrc",
    has_file_name=True,
    others="what a list of yours names, such as few by --names few.txt",
)
_LISTS = {name: SOURCES[f"{name.removesuffix('pct')}percent.txt"] for name in ("1pct", "10pct")}
_OWN = Split("train", layout.COUNTS["train"], 1024, listed=True)  # 144 MB a shard


def config(name: str) -> Config:
    """Return a config by name; raises KeyError.

    Beside the published ones there is one for each list of a person's own: built when it is asked for by name, and only
    with its list as `Config.names`.
    """
    if name not in _LISTS and not is_list(name):
        raise KeyError(name)
    return DATASET.config(name) if name in _LISTS else Config(name, (_OWN, *_SHARED))


def find(config: Config, folder: SourceFolder) -> Found:
    """Take each split in the first of the `FORMS` that it is there in; the config's list; the ground truth if it is.

    The test split is there when its tar is, or a folder with its photographs. Raises UnknownConfig for a config of a
    person's own list without that; OSError.
    """
    found = photographs(folder, config)
    listed = folder.find(_LISTS[config.name]) if config.name in _LISTS else _own_list(config)
    truth = folder.find_unregistered(layout.TRUTH) or folder.find_unregistered(layout.DEVKIT)
    named = listed and replace(listed, form=lists.FORM)
    beside = {role: (archive,) for role, archive in (("list", named), ("truth", truth)) if archive}
    missing = () if listed else (_LISTS[config.name],)
    rows = found.rows if config.name in _LISTS else _rows_beside(folder, found)
    return replace(found, archives={**found.archives, **beside}, missing=found.missing + missing, rows=rows)


def _own_list(config: Config) -> Archive:
    if config.names is None:
        raise UnknownConfig(
            f"{DATASET.name}/{config.name}: published are {' and '.join(_LISTS)}; any other is one's own list, and "
            f"none of that name is given. Name its file with --names {config.name}.txt (names=...): {lists.LIKE}."
        )
    return Archive.found(config.names, None, _OWN_LIST)


def _rows_beside(folder: SourceFolder, found: Found) -> dict[str, int]:
    """Return the rows that a sidecar gives of what all configs share."""
    rows = folder.rows(DATASET.name, DATASET.default.name, found.archives)
    return {split.name: rows[split.name] for split in _SHARED if split.name in rows}


def photographs(folder: SourceFolder, config: Config) -> Found:
    """Take each split of a config in the first of the `FORMS` that it is there in; its list is not looked for."""
    return forms.find(DATASET, FORMS, config, folder, _sources)


def _sources(config: Config, split: Split) -> list[Source]:
    return [SOURCES[layout.TARS[split.name][0]]]


def _find_tar(folder: SourceFolder, config: Config, split: Split) -> Archives:
    names = layout.TARS[split.name]
    tars = [folder.find(SOURCES[name]) if name in SOURCES else folder.find_unregistered(name) for name in names]
    return next(((tar,) for tar in tars if tar and not _is_packed_again(tar)), ())


def _find_packed_again(folder: SourceFolder, config: Config, split: Split) -> Archives:
    tars = [folder.find_unregistered(name) for name in layout.TARS[split.name]]
    return next(((tar,) for tar in tars if tar and tar.expected is None and _is_packed_again(tar)), ())


def _is_packed_again(tar: Archive) -> bool:
    """Say whether a tar is none of upstream's, nor one that a sidecar tells of, and holds photographs in folders."""
    if tar.path.stat().st_size in (size for size, _ in _FILES.values()) or tar.path.name in layout.TARS["test"]:
        return False
    try:
        return layout.is_packed_again(tar.path)
    except (SourceProblem, OSError):
        return False  # what is wrong with it is said when it is read


def _find_class_tars(folder: SourceFolder, config: Config, split: Split) -> Archives:
    found = layout.folder(folder.path, split.name, lambda: _below(folder)) if split.name == "train" else None
    return (folder.unpacked(found),) if found and layout.has_class_tars(found) else ()


def _find_folder(folder: SourceFolder, config: Config, split: Split) -> Archives:
    found = layout.folder(folder.path, split.name, lambda: _below(folder))
    return (folder.unpacked(found),) if found and not layout.has_class_tars(found) else ()


def _find_blurred(folder: SourceFolder, config: Config, split: Split) -> Archives:
    found = layout.folder(folder.path, split.name, lambda: _below(folder), blurred=True)
    return (folder.unpacked(found),) if found and not layout.has_class_tars(found) else ()


def _below(folder: SourceFolder) -> list[Path]:
    """Return the folders in a folder; in a store, where each that is listed costs a request, none."""
    return [entry.path for entry in folder.listing.folders] if is_local(folder.path) else []


def _find_parquet(folder: SourceFolder, config: Config, split: Split) -> Archives:
    found = layout.hub_folder(folder.path, split.name, lambda: _below(folder))
    return (Archive.found(found, None),) if found else ()


FORMS = (
    Form(
        "ILSVRC's tars",
        "`ILSVRC2012_img_train.tar`, `ILSVRC2012_img_val.tar`; `ILSVRC2012_img_test_v10102019.tar` for a `test` split",
        _find_tar,
    ),
    Form(
        "tars packed again",
        "the same names, each a tar of photographs in folders: `train/n01440764/*.JPEG`, `val/*.JPEG`",
        _find_packed_again,
    ),
    Form(
        "class tars",
        "`train/n01440764.tar` ... beside each other, and beside folders unpacked from them",
        _find_class_tars,
    ),
    Form(
        "unpacked folders",
        "`train/n01440764/*.JPEG`, `val/*.JPEG` or `val/n01440764/*.JPEG`, `test/*.JPEG`; or from Kaggle, "
        "`ILSVRC/Data/CLS-LOC/{train,val,test}`; `.jpg`, other case, `validation` and the Hub's names do as well",
        _find_folder,
    ),
    Form(
        "face-blurred folders",
        "the same in `train_blurred` and `val_blurred`, or below a folder with `blur` in its name: the ILSVRC of 2021, "
        "whose pixels are others",
        _find_blurred,
    ),
    Form(
        "Parquet of the Hub",
        "`ILSVRC/imagenet-1k` downloaded, in the Hub's cache or as `hf://datasets/ILSVRC/imagenet-1k`: "
        "`data/{train,validation,test}-*-of-*.parquet`",
        _find_parquet,
    ),
)


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut each split that is there into shards of equal rows, in a pseudo-random order."""
    return [_plan(config, split, found, partial) for split in config.splits if split.name in found.archives]


def _plan(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    rows, archives, skipped = _train(found, partial) if split.name == "train" else _numbered(found, split, partial)
    check_others(found, split)
    check_rows(DATASET.name, config.name, split, len(rows), found, partial)
    jobs = photos.jobs(DATASET.name, config.name, rows, shard_rows(len(rows), split))
    return SplitPlan(config.name, split, tuple(jobs), archives, rows.nbytes, skipped)


def _train(found: Found, partial: bool) -> _Rows:
    (archive,), (list_file,) = found.archives["train"], found.archives["list"]
    listed = set(lists.read(list_file.path))
    held = originals.train(archive.path, only=listed)
    archive, rows = _surveyed(archive, held.photos)
    skipped = held.skipped
    absent = sorted(listed - {name.decode() for name in rows.names.tolist()})
    if absent and (not partial or not len(rows)):
        leave = ", or pass --allow-partial (allow_partial=True) to build from what is there" if len(rows) else ""
        lacking = lists.lacking(archive.path, list_file.path, listed, absent)
        raise SourceProblem(f"{lacking} {_again(archive, list_file)}{leave}.")
    if absent:
        place = "folder" if archive.files else "archive"
        skipped[f"{lists.ABSENT} {list_file.path.name}, not in the {place}"] = len(absent)
    return rows, (archive, list_file), skipped


def _again(archive: Archive, list_file: Archive) -> str:
    again = "Unpack its archive again, a folder a class" if archive.files else "Download it again"
    return f"Mend the list, or {again[0].lower()}{again[1:]}" if list_file.origin == _OWN_LIST else again


def check_others(found: Found, split: Split) -> None:
    """Raise SourceProblem when a split is there in two forms that cannot be the same photographs."""
    (taken,) = found.archives[split.name]
    size, _ = _FILES.get(layout.TARS[split.name][0], (None, ""))
    for (other,) in found.others.get(split.name, ()):
        here, there = (known(archive.path, split.name, size) for archive in (taken, other))
        for what in here.keys() & there.keys():
            if here[what] != there[what]:
                raise SourceProblem(
                    f"{taken.path} ({taken.form}) has {here[what]:,} {what} of {split.name}, and {other.path} "
                    f"({other.form}) has {there[what]:,}. Only one can be right: move the other away."
                )


def _numbered(found: Found, split: Split, partial: bool) -> _Rows:
    (archive,) = found.archives[split.name]
    truth = found.archives.get("truth", ()) if split.name == "validation" else ()
    labels = _truth(truth) if split.name == "validation" else [-1] * layout.COUNTS[split.name]
    held = originals.numbered(archive.path, split.name, labels, strict=not partial)
    if split.name == "validation" and partial:
        held = of_classes(held, labels_there(found.archives["train"][0].path), or_all=True)
    archive, rows = _surveyed(archive, held.photos)
    if lost := set(held.photos.places) - set(rows.places):
        raise folders.broken_link(archive.path / min(lost))
    return rows, (archive, *truth), held.skipped


def _truth(archives: tuple[Archive, ...]) -> list[int]:
    return layout.truth_labels(archives[0].path) if archives else layout.validation_labels()


def _surveyed(archive: Archive, rows: Photos) -> tuple[Archive, Photos]:
    """Return the photographs that are there, and what holds them with what is known of its files."""
    if not archive.path.is_dir():
        return archive, rows
    files = rows.files()
    return replace(archive, files=Files.of(files)), rows.there(files)


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image, label, file_name."""
    return photos.batches(DATASET, job)


__getattr__ = lazy_builder(__name__)
