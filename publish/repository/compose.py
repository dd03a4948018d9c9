"""A dataset repository put together from splits: manifest, pictures, class table."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import loaders
from loaders import Problem, classes
from loaders.files.places import is_local
from loaders.sources.digests import sha256_of
from publish import manifest
from publish.build.entry import Ready
from publish.manifest import Manifest, SplitEntry

_PATTERN = re.compile("[*?[\ud800-\udfff]|::")  # as Python has bytes that are not UTF-8
_LIBRARIES = ("numpy", "pillow", "pyarrow", "zlib-ng")


def check_theirs(final: Path, now: Manifest, old: Manifest | None, there: Iterable[str]) -> None:
    """Raise Problem when one of the files that are there already is not ours, and not what is to be put there."""
    ours, digests = old.paths() if old else set(), now.digests()
    places = {path: final / path for path in sorted(set(there) - ours)}
    theirs = [path for path, at in places.items() if not at.is_file() or sha256_of(at) != digests[path]]
    if theirs:
        others = f", and {len(theirs) - 1} others" if len(theirs) > 1 else ""
        raise Problem(
            f"{final}: holds another file at {theirs[0]}{others}, which no {manifest.NAME} lists as this project's. "
            "Move it away, or choose another --out."
        )


def check_loadable(out: Path) -> None:
    """Raise Problem when `load_dataset` would find nothing in a folder or store of that name, or find others' files.

    It takes the whole path for a pattern, and `::` for one file system within another (datasets 2.14 to 5.2).
    """
    path = str(out.absolute()) if is_local(out) else str(out)
    if mark := _PATTERN.search(path):
        raise Problem(
            f"{path!r}: with {mark[0]!r} in the path of a folder, `load_dataset` does not find what lies there, or "
            "finds other files. Choose another --out."
        )


def small_files(dataset: str, splits: Sequence[Ready]) -> dict[str, bytes]:
    """Return what is written beside the shards, manifest and card left out: pictures and the class table."""
    texts = {path: content for split in splits for path, content in split.texts.items()}
    labelled = loaders.load(dataset).DATASET.label_order is not None
    return texts | ({"classes.tsv": classes.TABLE.read_bytes()} if labelled else {})


def merged(dataset: str, old: Manifest | None, splits: Sequence[Ready], texts: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of the splits that are ready and of the old one's other configs."""
    configs = {config: dict(entries) for config, entries in old.configs.items()} if old else {}
    for config in {config for split in splits for config in split.build.configs}:
        configs[config] = {}
    for split in splits:
        _enter(configs, split)
    ordered = {name: _in_order(dataset, name, configs[name]) for name in loaders.in_order(dataset, configs)}
    files = {"classes.tsv": hashlib.sha256(texts["classes.tsv"]).hexdigest()} if "classes.tsv" in texts else {}
    now = Manifest(dataset, ordered, files, _written_with())
    # The releases of libraries are told of what was built with them: of the same content, the old ones stay true.
    return replace(now, written_with=old.written_with) if old and _are_alike(now, old) else now


def _are_alike(now: Manifest, old: Manifest) -> bool:
    return replace(now, written_with={}) == replace(old, written_with={}, card={})


def _written_with() -> dict[str, str]:
    """Return the releases that make the bytes; ours is the code's, which need not be installed."""
    return {"imagenet-variants": loaders.VERSION} | {name: metadata.version(name) for name in _LIBRARIES}


def _enter(configs: dict[str, dict[str, SplitEntry]], split: Ready) -> None:
    """Enter a split under its configs, and under those that share its files and are not built now."""
    name, folder = split.build.plan.split.name, split.build.folder
    for config, entries in configs.items():
        shares = name in entries and entries[name].shards[0].path.rpartition("/")[0] == folder
        if config in split.build.configs or shares:
            entries[name] = split.entry


def _in_order(dataset: str, config: str, entries: Mapping[str, SplitEntry]) -> dict[str, SplitEntry]:
    order = [split.name for split in loaders.load(dataset).config(config).splits]
    return {name: entries[name] for name in [*order, *(set(entries) - set(order))] if name in entries}
