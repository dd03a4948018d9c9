"""The library's own door: a `datasets.GeneratorBasedBuilder` for each dataset, over the same batches as the publisher.

The only module that imports `datasets`; it is imported when a `Builder` is first asked for.
"""

import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import datasets
from datasets.builder import Key

from loaders.base import held
from loaders.base.dataset import Batch, Config, Dataset, Job, Loader
from loaders.base.obtain import obtain
from loaders.files.places import key
from loaders.files.seen import Seen, check
from loaders.ilsvrc import lists
from loaders.sources.checks import check_digest
from loaders.sources.folder import SourceFolder, default_folder
from loaders.sources.source import Archive, Found


@dataclass(eq=False)
class ArchiveConfig(datasets.BuilderConfig):
    """A config read from upstream's archives in `data_dir`.

    `allow_partial` admits archives with other sizes, digests and rows than the published ones. `names` is a person's
    own list of what is trained on, for a dataset that takes one: it gives the config its name.
    """

    allow_partial: bool = False
    names: str | None = None

    @property
    def folder(self) -> Path:
        """Where its archives are looked for."""
        return Path(self.data_dir) if self.data_dir else default_folder()


class ArchiveBuilder(datasets.GeneratorBasedBuilder):
    """Builds a dataset from upstream's archives: one list item, one job, is what `num_proc` splits by.

    What was prepared in the cache is taken again for the same archives. Folders with photographs are taken for the same
    until a file is added or removed: where others have taken their place, prepare with `force_redownload`.
    """

    BUILDER_CONFIG_CLASS = ArchiveConfig
    LOADER: ClassVar[str]
    _named: list[Seen]

    @property
    def loader(self) -> Loader:
        """The dataset's module."""
        return cast(Loader, importlib.import_module(self.LOADER))

    def _create_builder_config(
        self, *given: Any, config_id: str | None = None, **options: Any
    ) -> tuple[ArchiveConfig, str]:
        """Name what is prepared by the archives, too: the same folder may hold others tomorrow.

        Raises ValueError, as the library does, for a config that there is not; SourceProblem for a list that is none.
        """
        for place in ("data_dir", "names"):
            if options.get(place):
                options[place] = str(Path(options[place]).absolute())
        name = options.get("config_name")
        if options.get("names"):
            name = _config_of(self.loader, Path(options["names"]), name)
        if isinstance(name, str) and name not in self.builder_configs and _is_one(self.loader, name):
            options |= {"config_name": None, "name": name}  # which is none of those that the library knows
        config, prepared = super()._create_builder_config(*given, config_id=config_id, **options)
        found = self.loader.find(self._config(config), SourceFolder(config.folder))
        self._named = [
            seen for archive in found.all() if not _digest(archive, config.allow_partial) for seen in archive.seen
        ]
        return config, config_id or f"{prepared}-{_stamp(found, config.allow_partial)}"

    def _config(self, config: ArchiveConfig) -> Config:
        return replace(self.loader.config(config.name), names=Path(config.names) if config.names else None)

    def _info(self) -> datasets.DatasetInfo:
        dataset = self.loader.DATASET
        return datasets.DatasetInfo(description=dataset.title, features=datasets.Features.from_dict(dataset.features))

    def _split_generators(self, dl_manager: object) -> list[datasets.SplitGenerator]:
        config = self._config(self.config)
        partial = self.config.allow_partial
        check(self._named)  # of what is prepared, the name tells which archives it is of
        (found,) = obtain([(self.loader, config)], self.config.folder, partial)
        for archive in found.all():
            _verify(archive, partial)
        plans = held.plan(self.loader, config, found, partial)
        if any(plan.named == "column" for plan in plans):
            self.info.features = datasets.Features.from_dict(self.loader.DATASET.named.features)
        return [datasets.SplitGenerator(name=plan.split.name, gen_kwargs={"jobs": list(plan.jobs)}) for plan in plans]

    def _generate_examples(self, jobs: list[Job]) -> Iterator[tuple[Key, dict[str, Any]]]:
        for number, job in enumerate(jobs):
            examples = (example for batch in held.batches(self.loader, job) for example in _examples(batch))
            for row, example in enumerate(examples):
                yield Key(number, row), example


def _config_of(loader: Loader, names: Path, wanted: str | None) -> str:
    """Return the name of the config that a list makes; raises ValueError and SourceProblem."""
    name = lists.name_of(names)
    try:
        takes_lists = loader.config(name).is_listed
    except KeyError:
        takes_lists = False
    if not takes_lists or wanted not in (None, name):
        why = f"makes the config {name}, not {wanted}" if takes_lists else f"{loader.DATASET.name} takes no lists"
        raise ValueError(f"names={str(names)!r}: {why}.")
    return name


def _is_one(loader: Loader, config: str) -> bool:
    try:
        return loader.config(config).name == config
    except KeyError:
        return False


def _examples(batch: Batch) -> list[dict[str, Any]]:
    return list(batch.rows.to_pylist())


def _stamp(found: Found, partial: bool) -> str:
    """Return what changes with the archives: the digests that they will be held to, else what is told of each."""
    facts: list[tuple[str, object]] = [(source.name, source.sha256) for source in found.missing]
    for archive in found.all():
        told = [key(archive.path).decode(errors="replace"), *archive.identity]
        facts.append((archive.name, _digest(archive, partial) or told))
    return hashlib.sha256("".join(sorted(map(json.dumps, facts))).encode()).hexdigest()[:16]


def _digest(archive: Archive, partial: bool) -> str | None:
    """Return the digest that an archive has to have, if it has to."""
    if partial or archive.expected is None or not archive.expected.hashed:
        return None
    return archive.expected.sha256


def _verify(archive: Archive, partial: bool) -> None:
    if _digest(archive, partial):
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
