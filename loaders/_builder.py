"""The library's own door: a `datasets.GeneratorBasedBuilder` for each dataset, over the same batches as the publisher.

The only module that imports `datasets`; it is imported when a `Builder` is first asked for.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import datasets
from datasets.builder import Key

from loaders._dataset import Batch, Dataset, Job, Loader
from loaders._obtain import obtain
from loaders._source import Archive, check_digest, default_folder


@dataclass(eq=False)
class ArchiveConfig(datasets.BuilderConfig):
    """A config read from upstream's archives in `data_dir`.

    `allow_partial` admits archives with other sizes, digests and rows than the published ones.
    """

    allow_partial: bool = False


class ArchiveBuilder(datasets.GeneratorBasedBuilder):
    """Builds a dataset from upstream's archives: one list item, one job, is what `num_proc` splits by."""

    BUILDER_CONFIG_CLASS = ArchiveConfig
    LOADER: ClassVar[str]

    @property
    def loader(self) -> Loader:
        """The dataset's module."""
        return cast(Loader, importlib.import_module(self.LOADER))

    def _info(self) -> datasets.DatasetInfo:
        dataset = self.loader.DATASET
        return datasets.DatasetInfo(description=dataset.title, features=datasets.Features.from_dict(dataset.features))

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        config = self.loader.config(self.config.name)
        folder = Path(self.config.data_dir) if self.config.data_dir else default_folder()
        partial = self.config.allow_partial
        (found,) = obtain([(self.loader, config)], folder, partial)
        for archive in found.all():
            _verify(archive, partial)
        plans = self.loader.plan(config, found, partial)
        return [datasets.SplitGenerator(name=plan.split.name, gen_kwargs={"jobs": list(plan.jobs)}) for plan in plans]

    def _generate_examples(self, jobs: list[Job]) -> Iterator[tuple[Key, dict[str, Any]]]:
        for number, job in enumerate(jobs):
            examples = (example for batch in self.loader.batches(job) for example in _examples(batch))
            for row, example in enumerate(examples):
                yield Key(number, row), example


def _examples(batch: Batch) -> list[dict[str, Any]]:
    return list(batch.rows.to_pylist())


def _verify(archive: Archive, partial: bool) -> None:
    if partial or archive.expected is None or not archive.expected.hashed:
        return
    check_digest(archive, archive.sha256(), partial)


def make(module: str) -> type[ArchiveBuilder]:
    """Return the `Builder` of the dataset in the module of that name."""
    dataset: Dataset = importlib.import_module(module).DATASET
    configs = [
        ArchiveConfig(name=config.name, version=datasets.Version(dataset.version), description=dataset.title)
        for config in dataset.configs
    ]
    attributes = {
        "__module__": module,
        "__doc__": f"{dataset.title}, from upstream's archives in `data_dir`.",
        "LOADER": module,
        "BUILDER_CONFIGS": configs,
        "DEFAULT_CONFIG_NAME": dataset.default.name,
        "VERSION": datasets.Version(dataset.version),
    }
    return type("Builder", (ArchiveBuilder,), attributes)
