"""Loaders of the ImageNet family: one module a dataset, found by its name, no registry to keep.

To add one: a module here, `cards/X.md` and `tests/loaders/test_X.py`.

`loaders.load("imagenet_resized")` is the module; its `Builder` is a `datasets.GeneratorBasedBuilder`. Nothing here
imports `datasets`, which takes a second or two, until a `Builder` is asked for.
"""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable
from functools import cache
from typing import cast

from loaders._errors import MissingSources, Problem, SourceProblem, UnknownConfig
from loaders.base.dataset import Batch, Config, Dataset, Job, Loader, Split, SplitPlan
from loaders.sources.source import Archive, Source

VERSION = "0.2.0"  # the project's, told here alone: a checkout need not be installed
__all__ = [
    "VERSION",
    "Archive",
    "Batch",
    "Config",
    "Dataset",
    "Job",
    "Loader",
    "MissingSources",
    "Problem",
    "Source",
    "SourceProblem",
    "Split",
    "SplitPlan",
    "UnknownConfig",
    "in_order",
    "load",
    "names",
    "select",
]


def names() -> list[str]:
    """Return the names of all datasets: a plain module here is one, a folder is none."""
    return list(_names())


@cache
def _names() -> tuple[str, ...]:
    found = (module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(name: str) -> Loader:
    """Return the module of a dataset; raises UnknownConfig."""
    if name not in _names():
        raise _unknown(name)
    return cast(Loader, importlib.import_module(f"{__name__}.{name}"))


def select(wanted: list[str]) -> dict[str, list[str]]:
    """Return {dataset: configs} for words such as "all" and "imagenet_resized/16x16"; raises UnknownConfig."""
    chosen: dict[str, list[str]] = {}
    for word in wanted:
        dataset, _, config = word.partition("/")
        if word != "all" and dataset not in names():
            raise _unknown(word)
        for name in names() if word == "all" else [dataset]:
            configs = [_known(word, name, config)] if config else [known.name for known in load(name).DATASET.configs]
            chosen.setdefault(name, []).extend(configs)
    return {name: in_order(name, configs) for name, configs in chosen.items()}


def _known(word: str, name: str, config: str) -> str:
    try:
        return load(name).config(config).name
    except KeyError:
        raise _unknown(word) from None


def in_order(dataset: str, configs: Iterable[str]) -> list[str]:
    """Return configs, each once: a dataset's own in its order, then the others by their numbers and names."""
    listed = [known.name for known in load(dataset).DATASET.configs]
    wanted = set(configs)
    return [name for name in listed if name in wanted] + sorted(wanted - set(listed), key=_by_number)


def _by_number(config: str) -> list[tuple[int, str]]:
    return [(int(digits or 0), word) for digits, word in re.findall(r"([0-9]*)([^0-9]*)", config)]


def _unknown(word: str) -> UnknownConfig:
    known = ["all", *names(), *(f"{name}/{config.name}" for name in names() for config in load(name).DATASET.configs)]
    short = {name.rpartition("/")[2]: name for name in known}
    near = difflib.get_close_matches(word, known, 3) or [
        short[name] for name in difflib.get_close_matches(word.rpartition("/")[2], list(short), 3)
    ]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    dataset = word.partition("/")[0]
    others = load(dataset).DATASET.others if dataset in names() else ""
    more = f" Also, built when named: {others}." if others else ""
    return UnknownConfig(f"There is no dataset or config {word!r}.{hint}{more} `python -m publish --list` shows all.")
