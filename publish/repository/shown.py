"""What the Hub's dataset viewer will show of a repository, and whether the repository keeps the viewer's rules.

They are those of the viewer's own code (https://github.com/huggingface/dataset-viewer): it lists the configs and splits
of the card's YAML, takes the features from the first footer unless the YAML has some, reads pages of 100 rows by the
offset index, at most 300 MB of a file a request, and makes statistics of whole files until 5 GB, uncompressed, are
passed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loaders import Problem
from publish.card import merge
from publish.console.progress import megabytes, table
from publish.manifest import Manifest
from publish.repository.contents import Contents
from publish.repository.scan import PAGE_ROWS, Footers, Split

MOST_SCANNED, MOST_MEASURED = 300_000_000, 5_000_000_000  # bytes; the second uncompressed
_SPLIT = re.compile(r"\w+(\.\w+)*")  # https://github.com/huggingface/datasets/blob/main/src/datasets/naming.py
_KEYS = {"config_name", "data_files", "default"}


@dataclass(frozen=True)
class Report:
    """What the viewer will show, in words, and the rules that are broken."""

    text: str
    faults: list[str]


def report(contents: Contents, manifest: Manifest) -> Report:
    """Hold a repository against the viewer's rules; raises Problem for a card that is not there, or not to be read."""
    if "README.md" not in contents.sizes():
        raise Problem(
            f"{contents.name}: README.md is not there. The Hub and load_dataset learn from it which files belong to "
            "which config: build or publish the repository again."
        )
    with contents.open("README.md") as file:
        data = merge.front(file.read().decode(errors="replace"), f"{contents.name}/README.md")
    footers = Footers(contents)
    splits = [footers.split(*names) for names in _patterns(data)]
    whole = [split for split in splits if _is_whole(split, manifest, contents.sizes())]
    faults = [
        *(f"README.md: configs: {fault}" for fault in _config_faults(data)),
        *(fault for split in splits for fault in _split_faults(split, manifest)),
        *_feature_faults(splits),
        *(f"README.md: dataset_info: {fault}" for fault in _info_faults(data, whole)),
        *_absent(splits, manifest),
    ]
    return Report("\n".join(_told(data, splits, whole)), list(dict.fromkeys(faults)))


def _is_whole(split: Split, manifest: Manifest, there: Collection[str]) -> bool:
    """Say whether the rows of a split can be counted: none of its shards is missing or without a footer."""
    entry = manifest.configs.get(split.config, {}).get(split.name)
    lost = [shard.path for shard in (entry.shards if entry else ()) if shard.path not in there]
    return not lost and all(shard.is_readable for shard in split.shards)


# The card's YAML


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _config_faults(data: Mapping[str, Any]) -> Iterator[str]:
    configs = _dicts(data.get("configs"))
    if not configs or len(configs) != len(data["configs"]):
        yield "expected a list of config_name and data_files; without it the viewer guesses"
    names = [config.get("config_name") for config in configs]
    for name in {name: 0 for name in names if names.count(name) > 1}:
        yield f"{name} is listed {names.count(name)} times"
    defaults = [config.get("config_name") for config in configs if "default" in config]
    if len(defaults) != 1 or any(config.get("default", True) is not True for config in configs):
        yield f"expected `default: true` on exactly one, found `default` on {_few(defaults)}"
    for config in configs:
        if others := sorted(map(str, set(config) - _KEYS)):
            yield f"{config.get('config_name')} has {_few(others)}: nothing but {_few(sorted(_KEYS))} belongs there"
        yield from _files_faults(config)


def _files_faults(config: Mapping[str, Any]) -> Iterator[str]:
    name, files = config.get("config_name"), _dicts(config.get("data_files"))
    splits = [str(each.get("split")) for each in files]
    if not files:
        yield f"{name} has no data_files that name a split and its pattern"
    for split, path in zip(splits, (each.get("path") for each in files), strict=True):
        if not _SPLIT.fullmatch(split):
            yield f"{name} has a split {split!r}: a name is of letters, digits, _ and ., without -"
        if not isinstance(path, str) or splits.count(split) > 1:
            yield f"{name} {split}: expected one pattern; of two, the viewer offers neither code nor formats"


def _patterns(data: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (config, split, first pattern) in the order of the card."""
    found: dict[tuple[str, str], str] = {}
    for config in _dicts(data.get("configs")):
        for files in _dicts(config.get("data_files")):
            path = files.get("path")
            first = path[0] if isinstance(path, list) and path else path
            found.setdefault((str(config.get("config_name")), str(files.get("split"))), str(first))
    return [(*names, pattern) for names, pattern in found.items()]


# The files, held against card and manifest


def _split_faults(split: Split, manifest: Manifest) -> Iterator[str]:
    where = f"{split.config} {split.name}"
    entry = manifest.configs.get(split.config, {}).get(split.name)
    expected, found = ({shard.path for shard in entry.shards} if entry else set()), {s.path for s in split.shards}
    if not found:
        yield f"{where}: {split.pattern} matches no file, and the viewer fails for all of {split.config}"
    elif more := sorted(found - expected):
        yield f"{where}: {split.pattern} matches files that are none of its shards: {_few(more)}"
    if found and (less := sorted(expected - found)):
        yield f"{where}: {split.pattern} does not match {_few(less)}"
    for shard in split.shards:
        yield from shard.faults
    if (most := split.most_scanned()) > MOST_SCANNED:
        limit = megabytes(MOST_SCANNED)
        yield f"{where}: {PAGE_ROWS} rows of a page take {megabytes(most)}, and the viewer gives up at {limit}"


def _feature_faults(splits: Sequence[Split]) -> Iterator[str]:
    first: dict[str, Any] = {}
    for split in splits:
        for shard in split.shards:
            leader = first.setdefault(split.config, shard) if shard.features else shard
            if shard.features != leader.features:
                yield f"{shard.path}: has other features than {leader.path}, which the viewer takes for {split.config}"


def _info_faults(data: Mapping[str, Any], splits: Sequence[Split]) -> Iterator[str]:
    info = data.get("dataset_info")
    infos = _dicts([info] if isinstance(info, dict) else info)
    counts = {
        (each.get("config_name"), split.get("name")): split.get("num_examples")
        for each in infos
        for split in _dicts(each.get("splits"))
    }
    for each in infos:
        if "features" in each:
            yield f"{each.get('config_name')} has features, and these win over the footers' without a word"
    for split in splits:
        if (count := counts.get((split.config, split.name))) != split.rows:
            yield f"{split.config} {split.name}: expected num_examples {split.rows}, as the footers say, found {count}"


def _absent(splits: Sequence[Split], manifest: Manifest) -> Iterator[str]:
    listed = {(split.config, split.name) for split in splits}
    for config, entries in manifest.configs.items():
        for name in entries:
            if (config, name) not in listed:
                yield f"{config} {name}: is not among the card's configs, so nobody will see it"


# What is told


def in_order(configs: Iterable[str], default: str | None) -> list[str]:
    """Return configs as the viewer lists them: the default, then in the order of strings."""
    return sorted(dict.fromkeys(configs), key=lambda name: (name != default, name))


def _told(data: Mapping[str, Any], splits: Sequence[Split], whole: Sequence[Split]) -> Iterator[str]:
    default = next((str(c.get("config_name")) for c in _dicts(data.get("configs")) if c.get("default")), None)
    order = in_order((split.config for split in splits), default)
    ordered = sorted(splits, key=lambda split: order.index(split.config))
    yield "The Hub's viewer will show, in this order:\n"
    yield table(
        ("config", "split", "rows", f"a page reads (of {megabytes(MOST_SCANNED)})", "statistics, search, filters"),
        list(_rows(ordered, whole)),
    )
    yield ""
    for name, (feature, configs) in _columns(ordered).items():
        of = f" ({', '.join(configs)})" if len(configs) < len(order) else ""
        yield f"{name}{of}: {_told_of(feature)}"
    if not any(_has_text(feature) for feature, _ in _columns(ordered).values()):
        yield "It will not offer search, for want of a column of text."
    if any(split.rows_within(MOST_MEASURED) < split.rows for split in splits):
        limit = megabytes(MOST_MEASURED)
        yield f"Rows beyond {limit} of a split, uncompressed, it shows, but does not count, filter or find."
    yield "Private repositories it shows for paying owners only, gated ones to those who were let in.\n"


def _rows(splits: Sequence[Split], whole: Sequence[Split]) -> Iterator[tuple[str, ...]]:
    for split in splits:
        if split not in whole:
            yield split.config, split.name, "unknown", "unknown", "unknown"
            continue
        within = split.rows_within(MOST_MEASURED)
        covered = "all rows" if within == split.rows else f"only the first {within:,} rows"
        yield split.config, split.name, f"{split.rows:,}", megabytes(split.most_scanned()), covered


def _columns(splits: Sequence[Split]) -> dict[str, tuple[Any, list[str]]]:
    """Return {column: (feature, configs that have it)}, of the first footer of each config."""
    first: dict[str, Mapping[str, Any]] = {}
    for split in splits:
        for shard in split.shards:
            if shard.features:
                first.setdefault(split.config, shard.features)
    found: dict[str, tuple[Any, list[str]]] = {}
    for config, features in first.items():
        for name, feature in features.items():
            found.setdefault(name, (feature, []))[1].append(config)
    return found


def _has_text(feature: Any) -> bool:
    if isinstance(feature, dict):
        is_text = feature.get("_type") == "Value" and feature.get("dtype") == "string"
        return is_text or any(_has_text(value) for value in feature.values())
    return isinstance(feature, list) and any(_has_text(value) for value in feature)


def _told_of(feature: Any) -> str:
    kind = feature.get("_type") if isinstance(feature, dict) else None
    if kind == "Image":
        return "pictures, not byte for byte but as lossy JPEG; a histogram of their widths"
    if kind == "ClassLabel":
        return (
            f"the names of {len(feature.get('names', [])):,} classes; a histogram of them; rows of a class by a filter"
        )
    if _has_text(feature):
        return "text, found by search; a histogram of lengths, or of values where there are at most 30"
    return f"values of type {feature.get('dtype')}; a histogram" if kind == "Value" else "values, without a histogram"


def _few(names: Iterable[Any]) -> str:
    found = [str(name) for name in names]
    return (", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")) or "none"
