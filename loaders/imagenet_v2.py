"""imagenet_v2: three new test sets for ImageNet, 10 photographs a class (Recht, Roelofs, Schmidt and Shankar 2019).

Paper: https://arxiv.org/abs/1902.10811. Sizes and digests of the files: TensorFlow Datasets 4.9.10,
`url_checksums/imagenet_v2.txt`. Labels are ILSVRC's: 0 is tench.
"""

import re
from collections import Counter
from collections.abc import Iterator

from loaders import classes
from loaders._errors import SourceProblem
from loaders.base import forms, photos
from loaders.base.dataset import Batch, Config, Dataset, Form, Job, Split, SplitPlan, check_rows, shard_rows
from loaders.base.lazy import lazy_builder
from loaders.formats import index, tars
from loaders.formats.photos import Holder, Photos
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Archive, Archives, Found, Source

_REPOSITORY = "https://huggingface.co/datasets/vaishaal/ImageNetV2"
_PER_CLASS = 10
# A folder a class: its ILSVRC label as a number, or its WordNet id.
_MEMBER = re.compile(r"(?:\./)?imagenetv2-[\w.-]+-format-val/(\d{1,3}|n\d{8})/([\w-]+\.jpe?g)", re.IGNORECASE)

# fmt: off
_FILES = {
    "matched-frequency": ("imagenetv2-matched-frequency.tar.gz", 1264079360, "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c"),  # noqa: E501
    "threshold-0.7": ("imagenetv2-threshold0.7.tar.gz", 1249906176, "32142bfe998f9cfa4141be691f6a80eeb1e27b24bd532a668eb08c26d98897a2"),  # noqa: E501
    "topimages": ("imagenetv2-top-images.tar.gz", 1245927936, "85e4ace30f3f0d660152062254b8759dda66267b27f7ec0fd8d5768f1073a04b"),  # noqa: E501
}
# fmt: on
SOURCES = {
    config: Source(name, size, sha256, _REPOSITORY, f"{_REPOSITORY}/resolve/main/{name}")
    for config, (name, size, sha256) in _FILES.items()
}
DATASET = Dataset(
    name="imagenet_v2",
    title="ImageNetV2",
    configs=tuple(Config(name, (Split("test", 10_000, 16),)) for name in _FILES),  # 78 MB a shard
    image_mode="RGB",
    label_order="ilsvrc",
    has_file_name=True,
    gated=False,
)
config = DATASET.config


def find(config: Config, folder: SourceFolder) -> Found:
    """Take the photographs in the first of the `FORMS` that they are there in."""
    return forms.find(DATASET, FORMS, config, folder, lambda config, _: [SOURCES[config.name]])


def _find_tar(folder: SourceFolder, config: Config, split: Split) -> Archives:
    archive = folder.find(SOURCES[config.name])
    return (archive,) if archive else ()


FORMS = (Form("tar of photographs", "`imagenetv2-{matched-frequency,threshold0.7,top-images}.tar.gz`", _find_tar),)


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut the test split into shards of equal rows, in a pseudo-random order."""
    (split,), (archive,) = config.splits, found.archives["test"]
    members = index.members(archive.path)
    rows = _photos(archive, members)
    if not partial and not found.rows:
        _check_classes(archive, rows)
    check_rows(DATASET.name, config.name, split, len(rows), found, partial)
    jobs = tuple(photos.jobs(DATASET.name, config.name, rows, shard_rows(len(rows), split)))
    return [SplitPlan(config.name, split, jobs, (archive,), rows.nbytes, members.skipped)]


def _photos(archive: Archive, members: tars.Members) -> Photos:
    named = [_named(archive, name) for name in members.names]
    names, labels = [f"{label}/{name}" for label, name in named], [label for label, _ in named]
    return Photos.of(archive.path, Holder("tar", state=archive.state), names, labels, members.offsets, members.sizes)


def _named(archive: Archive, member: str) -> tuple[int, str]:
    """Return label and file name, which are the same in both layouts."""
    match = _MEMBER.fullmatch(member)
    if not match:
        raise SourceProblem(f"{archive.path}: holds {member!r}, expected FOLDER/CLASS/NAME.jpeg.")
    return _label(archive, match[1]), match[2]


def _label(archive: Archive, folder: str) -> int:
    """Folder "100" is label 100, whatever the order of the names."""
    label = int(folder) if folder.isdigit() else classes.label_of_wnid("ilsvrc").get(folder, -1)
    if not 0 <= label < classes.COUNT:
        raise SourceProblem(f"{archive.path}: folder {folder!r} is none of the 1000 classes.")
    return label


def _check_classes(archive: Archive, rows: Photos) -> None:
    counts = Counter(rows.labels.tolist())
    wrong = [label for label in range(classes.COUNT) if counts[label] != _PER_CLASS]
    if wrong:
        raise SourceProblem(
            f"{archive.path}: expected {_PER_CLASS} photographs in each of {classes.COUNT} classes, found "
            f"{len(counts)} classes; class {wrong[0]} has {counts[wrong[0]]}. Download it again, or pass "
            "--allow-partial (allow_partial=True) to build from what is there."
        )


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image, label, file_name ("class/name.jpeg")."""
    return photos.batches(DATASET, job)


__getattr__ = lazy_builder(__name__)
