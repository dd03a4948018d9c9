"""ReaL's `real.json`, in its form: a list of 50,000 lists of labels, in the order of validation's file names."""

import json
from functools import cache
from pathlib import Path

from loaders.ilsvrc.layout import validation_labels

NAME = "real.json"


@cache
def answers() -> list[list[int]]:
    """Return sets of labels by a rule: every seventh is empty, every fifth has not ILSVRC's, some have two."""
    found = []
    for number, label in enumerate(validation_labels()):
        others = [(label + 1) % 1000] + ([] if number % 5 == 0 else [label])
        found.append([] if number % 7 == 0 else others if number % 2 else others[-1:])
    return found


def lay(folder: Path) -> None:
    """Write the file."""
    (folder / NAME).write_text(json.dumps(answers()))


def accuracy(names: list[str], predictions: list[int]) -> tuple[float, int]:
    """Return ReaL's accuracy of predictions for photographs of those names, and of how many it is the mean."""
    by_name = {f"ILSVRC2012_val_{number:08d}.JPEG": each for number, each in enumerate(answers(), 1)}
    pairs = [(by_name[name], label) for name, label in zip(names, predictions, strict=True) if by_name[name]]
    return sum(label in each for each, label in pairs) / len(pairs), len(pairs)
