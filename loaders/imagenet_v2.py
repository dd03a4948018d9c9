"""imagenet_v2: three new test sets for ImageNet, 10 photographs a class (Recht, Roelofs, Schmidt and Shankar 2019).

Paper: https://arxiv.org/abs/1902.10811. Labels are ILSVRC's: 0 is tench.
"""

from collections.abc import Iterator

from loaders.base import forms, photos, v2
from loaders.base.dataset import Batch, Config, Dataset, Job, Split, SplitPlan
from loaders.base.lazy import lazy_builder
from loaders.base.sharding import shard_rows
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Found

SOURCES = v2.SOURCES
DATASET = Dataset(
    name="imagenet_v2",
    title="ImageNetV2",
    configs=tuple(Config(name, (Split("test", 10_000, 16),)) for name in v2.NAMES),  # 78 MB a shard
    image_mode="RGB",
    label_order="ilsvrc",
    has_file_name=True,
    gated=False,
)
FORMS = v2.forms_of(lambda config, _: config.name)
config = DATASET.config


def find(config: Config, folder: SourceFolder) -> Found:
    """Take the photographs in the first of the `FORMS` that they are there in."""
    return forms.find(DATASET, FORMS, config, folder, lambda config, _: [SOURCES[config.name]])


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut the test split into shards of equal rows, in a pseudo-random order."""
    (split,) = config.splits
    archive, rows, skipped = v2.read(DATASET, config, split, config.name, found, partial)
    jobs = tuple(photos.jobs(DATASET.name, config.name, rows, shard_rows(len(rows), split)))
    return [SplitPlan(config.name, split, jobs, (archive,), rows.nbytes, skipped)]


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows: image, label, file_name ("class/name.jpeg")."""
    return photos.batches(DATASET, job)


__getattr__ = lazy_builder(__name__)
