"""Validation beside a choice of classes, as ImageNet-100 is one: what is of the classes that train has."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from loaders import classes
from loaders.formats.tars import Members
from loaders.ilsvrc import index, layout
from loaders.ilsvrc.photos import Held

_LABELS = classes.label_of_wnid("ilsvrc")
_OTHER = "photograph of a class that train has not"


def of_classes(held: Held, labels: Collection[int], *, counted: bool = True, or_all: bool = False) -> Held:
    """Return what is of the classes of train, by their `labels`; the others are `counted` unless one asked for that.

    Where none is of these classes, none is left, which the count says; `or_all` takes all of them then, and says that.
    """
    photos, skipped = held.photos, Counter(held.skipped)
    kept = np.isin(photos.labels, sorted(labels))
    others = int((~kept).sum())
    if others < len(photos):
        return Held(photos.take(kept), skipped + Counter({_OTHER: others if counted else 0}))
    if or_all:
        return Held(photos, skipped + Counter({f"{_OTHER}, and taken: none is of one that it has": others}))
    return Held(photos.take(kept), skipped + Counter({f"{_OTHER}, and none is left": others}))


def labels_there(root: Path) -> set[int]:
    """Return the labels of the classes that train has, by what its tars, folders or photographs are called.

    Raises SourceProblem for what cannot be indexed, OSError.
    """
    if files := layout.hub_files(root, "train"):
        return {label for members in index.rows_of(root, files).tars.values() for label in members.sizes}
    if root.is_dir():
        return {_LABELS[wnid] for wnid in map(layout.wnid_in, layout.listed(root)) if wnid in _LABELS}
    tars = index.members_by_tar(root).tars
    named = [layout.train_name(name.rpartition("/")[2]) for name in tars.get("", Members()).names]
    wnids = {layout.class_of(root, name, is_tar=True) for name in tars if name} | {each[1] for each in named if each}
    return {_LABELS[wnid] for wnid in wnids if wnid in _LABELS}
