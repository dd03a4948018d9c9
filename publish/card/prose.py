"""The hand-written text of a card, a Jinja template as the Hub's own cards are: it says what was built, and no more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as resources

from jinja2 import Environment, StrictUndefined, Template

import loaders
from loaders.ilsvrc import lists
from loaders.sources import variant
from publish.card.owned import default
from publish.manifest import Manifest, SplitEntry

_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def template(dataset: str) -> str:
    """Return the hand-written card of a dataset."""
    return (resources("cards") / f"{dataset}.md").read_text(encoding="utf-8")


@cache
def compiled(dataset: str) -> Template:
    """Return the same, ready to be filled in."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.tests["contains"] = lambda word, part: part in word
    return environment.from_string(template(dataset))


def filled(manifest: Manifest, repository: str | None) -> str:
    """Return the card of a dataset with what depends on what was built filled in, its computed parts still empty.

    `repository` is its name on the Hub. Where it has none, another stands for it: what lies in a folder, or in a store,
    may be moved, and be put onto the Hub by hand.

    A template has `repo` and `files`, where `load_dataset` and others find it; `configs`, `splits` of each, `listed`,
    all configs in words; `a(NAME)`, that config or, if it was not built, the default one; `lists`, people's own by
    config (`OwnList`); `origins` of the archives; `regenerated`, configs of archives that were made again; `named`,
    configs with file names; `numbered`, those whose validation is in their order; `variant(NAME)`, what the name of a
    config of `imagenet_resized` says; `loose`, archives that differ from what upstream published; and `oddities`, the
    kinds of odd files that were counted.
    """
    name = repository or f"my-lab/{manifest.dataset}"
    configs, first = list(manifest.configs), default(manifest)
    sources = [source for entry in manifest.entries() for source in entry.sources]
    return compiled(manifest.dataset).render(
        repo=name,
        files=f"hf://datasets/{name}",
        is_named=repository is not None,
        configs=configs,
        splits={config: list(splits) for config, splits in manifest.configs.items()},
        listed=_listed(configs, first),
        a=lambda config: config if config in configs else first,
        lists=_own_lists(manifest),
        origins={source.origin for source in sources},
        regenerated=[config for config, entries in manifest.configs.items() if _origins(entries) & {"regenerated"}],
        named=[config for config in configs if manifest.dataset_of(config).has_file_name],
        numbered=[config for config, entries in manifest.configs.items() if "row" in _named(entries)],
        variant=variant.parsed,
        loose={source.name for source in sources if source.verified == "nothing"},
        oddities={kind for entry in manifest.entries() for kind in entry.oddities},
    )


@dataclass(frozen=True)
class OwnList:
    """A list of a person's own: its file, if that is known, and how train is spread over the classes, in words."""

    name: str
    sha256: str
    spread: str


def _own_lists(manifest: Manifest) -> dict[str, OwnList]:
    found = {config: _own_list(manifest.dataset, config, entries) for config, entries in manifest.configs.items()}
    return {config: own for config, own in found.items() if own}


def _own_list(dataset: str, config: str, entries: Mapping[str, SplitEntry]) -> OwnList | None:
    if not loaders.load(dataset).config(config).is_listed or "train" not in entries:
        return None
    train = entries["train"]
    named = next((source for source in train.sources if source.form == lists.FORM), None)
    name, sha256 = (named.name, named.sha256 or "") if named else ("", "")
    return OwnList(name, sha256, lists.spread(train.labels))


def _named(entries: Mapping[str, SplitEntry]) -> set[str]:
    return {entry.named for entry in entries.values()}


def _origins(entries: Mapping[str, SplitEntry]) -> set[str]:
    return {source.origin for entry in entries.values() for source in entry.sources}


def _listed(configs: Sequence[str], first: str) -> str:
    """Return "Two configs: `a` (the default) and `b`"."""
    named = [f"`{config}`" + (" (the default)" if config == first and len(configs) > 1 else "") for config in configs]
    several = len(configs) > 1
    words = f"{', '.join(named[:-1])} and {named[-1]}" if several else named[0]
    count = _WORDS[len(configs)] if len(configs) < len(_WORDS) else f"{len(configs)}"
    return f"{count} config{'s' if several else ''}: {words}"
