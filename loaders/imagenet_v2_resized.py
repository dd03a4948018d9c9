"""imagenet_v2_resized: ImageNetV2 at 8, 16, 32 and 64 pixels, to test what was trained on `imagenet_resized`.

Made here, by the filter of Chrabaszcz, Loshchilov and Hutter (https://arxiv.org/abs/1707.08819), of the photographs of
Recht, Roelofs, Schmidt and Shankar (https://arxiv.org/abs/1902.10811). Labels are in the former's order: 0 is kit fox.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from loaders import classes
from loaders.base import forms, photos, v2
from loaders.base.dataset import Batch, Config, Dataset, Job, Split, SplitPlan
from loaders.base.lazy import lazy_builder
from loaders.base.sharding import shard_rows
from loaders.images import png
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Found

_SHARDS = {8: 1, 16: 1, 32: 1, 64: 8}  # 2, 6, 22 and 11 MB
_SETS = {name.replace("-", "_"): name for name in v2.NAMES}  # by split, whose name may hold no "-"

SOURCES = v2.SOURCES
DATASET = Dataset(
    name="imagenet_v2_resized",
    title="ImageNetV2, 8x8 to 64x64",
    configs=tuple(
        Config(f"{size}x{size}", tuple(Split(split, 10_000, shards) for split in _SETS))
        for size, shards in _SHARDS.items()
    ),
    label_order="clsloc",
    has_file_name=True,
    gated=False,
)
FORMS = v2.forms_of(lambda _, split: _SETS[split.name])
config = DATASET.config


def find(config: Config, folder: SourceFolder) -> Found:
    """Take the photographs of each set in the first of the `FORMS` that they are there in."""
    return forms.find(DATASET, FORMS, config, folder, lambda _, split: [SOURCES[_SETS[split.name]]])


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut each split into shards of equal rows, in the order that they have in `imagenet_v2`."""
    return [_plan_split(config, split, found, partial) for split in config.splits]


def _plan_split(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    archive, rows, skipped = v2.read(DATASET, config, split, _SETS[split.name], found, partial)
    clsloc = np.argsort(classes.clsloc_to_ilsvrc())  # ILSVRC's label -> the authors'
    relabelled = replace(rows, labels=clsloc[rows.labels])
    jobs = tuple(photos.jobs(DATASET.name, config.name, relabelled, shard_rows(len(rows), split)))
    return SplitPlan(config.name, split, jobs, (archive,), len(rows) * png.row_bytes(_size(config.name)), skipped)


def _size(config: str) -> int:
    return int(config.partition("x")[0])


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image (PNG), label, file_name (that of `imagenet_v2`)."""
    return photos.resized_batches(DATASET, job, _size(job.config), "box")


__getattr__ = lazy_builder(__name__)
