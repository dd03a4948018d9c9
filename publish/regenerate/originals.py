"""The photographs that a regeneration is made of, in whichever form they lie there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import loaders
from loaders import Archive, MissingSources, SourceProblem
from loaders import imagenet2012_subset as subset
from loaders.base.dataset import Config, Split
from loaders.base.obtain import missing_message
from loaders.ilsvrc import layout, photos
from loaders.ilsvrc.photos import Held
from loaders.sources.folder import SourceFolder

_SPLITS = ("train", "validation")
_CONFIG = Config("photographs", tuple(Split(name, layout.COUNTS[name], 1) for name in _SPLITS))


@dataclass(frozen=True)
class Originals:
    """The photographs of train and validation, and what they lie in."""

    held: Mapping[str, Held]
    archives: Mapping[str, Archive]


def find(source: Path, every: int = 1) -> Originals:
    """Return the photographs in a folder, of every `every`-th class by sorted WordNet id, as they are best read.

    Of validation, those of the classes that train has, which may be none. Raises MissingSources when a split is not
    there; SourceProblem for what `photos.train` and `photos.numbered` do, and for two forms that disagree.
    """
    folder = SourceFolder(source)
    found = subset.photographs(folder, _CONFIG)
    if absent := [split for split in _SPLITS if split not in found.archives]:
        missing = [(f"{subset.DATASET.name}/{_CONFIG.name}", each) for each in found.missing]
        told = missing_message(missing, source, [(loaders.load(subset.DATASET.name), _CONFIG)])
        raise MissingSources(f"{source}: no photographs of {' and '.join(absent)} there.\n\n{told}")
    for split in _CONFIG.splits:
        subset.check_others(found, split)
    archives = {split: found.archives[split][0] for split in _SPLITS}
    train = photos.train(archives["train"].path, every)
    if not len(train.photos):
        raise SourceProblem(f"{archives['train'].path}: holds no photographs.")
    validation = photos.numbered(archives["validation"].path, "validation", _labels(folder))
    held = {"train": train, "validation": photos.of_classes(validation, train.photos, counted=every == 1)}
    return Originals({split: Held(each.photos.as_stored(), each.skipped) for split, each in held.items()}, archives)


def _labels(folder: SourceFolder) -> list[int]:
    """Return validation's labels, held against those of the development kit where that lies in the folder."""
    truth = folder.find_unregistered(layout.TRUTH) or folder.find_unregistered(layout.DEVKIT)
    return layout.truth_labels(truth.path) if truth else layout.validation_labels()
