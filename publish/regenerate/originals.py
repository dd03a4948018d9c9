"""The photographs that a regeneration is made of, in whichever form they lie there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import loaders
from loaders import Archive, MissingSources, SourceProblem
from loaders import imagenet2012_subset as subset
from loaders.base.dataset import Config, Split
from loaders.base.obtain import missing_message
from loaders.ilsvrc import layout, lists, photos
from loaders.ilsvrc.choice import of_classes
from loaders.ilsvrc.photos import Held
from loaders.sources.folder import SourceFolder

_SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Originals:
    """The photographs of train and validation, and what they lie in."""

    held: Mapping[str, Held]
    archives: Mapping[str, Archive]


def find(source: Path, every: int = 1, names: Path | None = None) -> Originals:
    """Return the photographs in a folder, of every `every`-th class by sorted WordNet id, as they are best read.

    Of train, those on the list `names`, if there is one; of validation, those of the classes that train has. Raises
    MissingSources when a split is not there; SourceProblem for what `photos.train`, `photos.numbered` and `lists.read`
    do, for a listed photograph that is not there, and for two forms that disagree.
    """
    folder = SourceFolder(source)
    archives = archives_of(folder, _SPLITS)
    train = _listed(archives["train"].path, names) if names else photos.train(archives["train"].path, every)
    if not len(train.photos):
        raise SourceProblem(f"{archives['train'].path}: holds no photographs.")
    validation = photos.numbered(archives["validation"].path, "validation", _labels(folder))
    labels = {*train.photos.labels.tolist()}
    held = {"train": train, "validation": of_classes(validation, labels, counted=every == 1)}
    return Originals({split: Held(each.photos.as_stored(), each.skipped) for split, each in held.items()}, archives)


def _listed(root: Path, names: Path) -> Held:
    listed = set(lists.read(names))
    held = photos.train(root, only=listed)
    if absent := sorted(listed - {name.decode() for name in held.photos.names.tolist()}):
        raise SourceProblem(f"{lists.lacking(root, names, listed, absent)} Mend the list, or look for them.")
    return held


def archives_of(folder: SourceFolder, splits: Sequence[str]) -> dict[str, Archive]:
    """Return what the photographs of each split lie in; raises MissingSources, SourceProblem for two that disagree."""
    config = Config("photographs", tuple(Split(name, layout.COUNTS[name], 1) for name in splits))
    found = subset.photographs(folder, config)
    if absent := [split for split in splits if split not in found.archives]:
        missing = [(subset.DATASET.name, each) for each in found.missing]
        told = missing_message(missing, folder.path, [(loaders.load(subset.DATASET.name), config)], sample=False)
        raise MissingSources(f"{folder.path}: no photographs of {' and '.join(absent)} there.\n\n{told}")
    for split in config.splits:
        subset.check_others(found, split)
    return {split: found.archives[split][0] for split in splits}


def _labels(folder: SourceFolder) -> list[int]:
    """Return validation's labels, held against those of the development kit where that lies in the folder."""
    truth = folder.find_unregistered(layout.TRUTH) or folder.find_unregistered(layout.DEVKIT)
    return layout.truth_labels(truth.path) if truth else layout.validation_labels()
