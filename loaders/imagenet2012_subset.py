"""imagenet2012_subset: the 1 % and 10 % of ILSVRC 2012 that SimCLR trains on (Chen et al. 2020).

Paper: https://arxiv.org/abs/2002.05709; lists: https://github.com/google-research/simclr, `imagenet_subsets`. Sizes and
digests of the files: TensorFlow Datasets 4.9.10. Labels are ILSVRC's: 0 is tench. Validation is ILSVRC's, whole.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from loaders import _encoded, _ilsvrc, _tar, classes
from loaders._dataset import Batch, Config, Dataset, Job, Split, SplitPlan, check_rows, lazy_builder, shard_rows
from loaders._errors import SourceProblem
from loaders._index import members_by_tar
from loaders._source import Archive, Found, Source, SourceFolder

_PAGE = "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php (sign in and accept the terms)"
_LISTS = "https://raw.githubusercontent.com/google-research/simclr/master/imagenet_subsets"

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
} | {name: Source(name, size, sha256, _LISTS, f"{_LISTS}/{name}") for name, (size, sha256) in _LIST_FILES.items()}
# Both configs name the same files: 6.7 GB once.
_VALIDATION = Split("validation", 50_000, 48, folder="validation")
DATASET = Dataset(
    name="imagenet2012_subset",
    title="ImageNet 1% and 10% (SimCLR)",
    configs=(
        Config("1pct", (Split("train", 12_811, 16), _VALIDATION)),  # 92 MB a shard
        Config("10pct", (Split("train", 128_116, 96), _VALIDATION)),  # 153 MB a shard
    ),
    image_mode="RGB",
    label_order="ilsvrc",
    has_file_name=True,
)
config = DATASET.config


def find(config: Config, folder: SourceFolder) -> Found:
    """Take the two tars, the config's list, and the development kit or its ground truth when one is there."""
    wanted = {"train": "ILSVRC2012_img_train.tar", "validation": "ILSVRC2012_img_val.tar", "list": _list(config)}
    archives = {role: folder.find(SOURCES[name]) for role, name in wanted.items()}
    truth = folder.find_unregistered(_ilsvrc.TRUTH) or folder.find_unregistered(_ilsvrc.DEVKIT)
    return Found(
        {role: (archive,) for role, archive in (archives | {"truth": truth}).items() if archive},
        tuple(SOURCES[wanted[role]] for role, archive in archives.items() if not archive),
        folder.rows(DATASET.name, config.name),
    )


def _list(config: Config) -> str:
    return config.name.replace("pct", "percent.txt")


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut both splits into shards of equal rows, each in a pseudo-random order."""
    train, validation = config.splits
    return [_plan_train(config, train, found, partial), _plan_validation(config, validation, found, partial)]


def _plan_train(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    (archive,), (list_file,) = found.archives["train"], found.archives["list"]
    listed = _listed(list_file.path)
    skipped = Counter[str]()
    photos = list(_train_photos(archive.path, listed, skipped))
    absent = sorted(listed - {photo.file_name for photo in photos})
    if absent and not partial and not found.rows:
        raise SourceProblem(
            f"{archive.path}: {len(absent):,} of the {len(listed):,} files that {list_file.path.name} lists are not in "
            f"it, {absent[0]} first. Download it again, or pass --allow-partial (allow_partial=True)."
        )
    if absent:
        skipped[f"listed in {list_file.path.name}, not in the archive"] = len(absent)
    return _split_plan(config, split, photos, found, partial, (archive, list_file), skipped)


def _plan_validation(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    (archive,) = found.archives["validation"]
    truth = found.archives.get("truth", ())
    labels = _ilsvrc.truth_labels(truth[0].path) if truth else _ilsvrc.validation_labels()
    members = _tar.scan(archive.path)
    photos = list(_validation_photos(archive.path, members, labels))
    return _split_plan(config, split, photos, found, partial, (archive, *truth), members.skipped)


def _split_plan(
    config: Config,
    split: Split,
    photos: list[_encoded.Photo],
    found: Found,
    partial: bool,
    archives: tuple[Archive, ...],
    skipped: Counter[str],
) -> SplitPlan:
    check_rows(DATASET.name, config.name, split, len(photos), found, partial)
    rows = shard_rows(len(photos), split)
    jobs = _encoded.jobs(DATASET.name, config.name, archives[0].path, _encoded.shuffled(photos), rows)
    size = sum(photo.size for photo in photos)
    return SplitPlan(config.name, split, tuple(jobs), archives, size, skipped)


def _listed(path: Path) -> set[str]:
    names = path.read_text(encoding="ascii", errors="replace").split()
    if not names:
        raise SourceProblem(f"{path}: lists nothing, expected names like n01440764_10026.JPEG. Download it again.")
    if strange := next((name for name in names if not _ilsvrc.TRAIN_FILE.fullmatch(name)), None):
        raise SourceProblem(f"{path}: lists {strange[:80]!r}, expected names like n01440764_10026.JPEG.")
    if len(set(names)) != len(names):
        raise SourceProblem(f"{path}: lists {Counter(names).most_common(1)[0][0]} more than once.")
    return set(names)


def _train_photos(path: Path, listed: set[str], skipped: Counter[str]) -> Iterator[_encoded.Photo]:
    labels = classes.label_of_wnid("ilsvrc")
    index = members_by_tar(path)
    skipped += index.skipped
    for wnid, inner in _ilsvrc.class_tars(path, index, labels):
        for name, offset, size in zip(inner.names, inner.offsets, inner.sizes, strict=True):
            if name in listed:
                yield _encoded.Photo(name, labels[wnid], offset, size)


def _validation_photos(path: Path, members: _tar.Members, labels: list[int]) -> Iterator[_encoded.Photo]:
    photos = _ilsvrc.labelled(path, "validation", members.names, labels)
    for (name, label), offset, size in zip(photos, members.offsets, members.sizes, strict=True):
        yield _encoded.Photo(name, label, offset, size)


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image, label, file_name."""
    return _encoded.batches(DATASET, job)


__getattr__ = lazy_builder(__name__)
