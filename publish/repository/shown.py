"""What the Hub's dataset viewer will show of a repository, told from the manifest, and the viewer's rules of a card.

They are those of the viewer's own code (https://github.com/huggingface/dataset-viewer): it lists the configs and splits
of the card's YAML, and makes statistics of whole files until 5 GB, uncompressed, are passed. What it asks of the shards
is held by `verify`: that each has the features, one row group and a page index.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import loaders
from loaders import Problem
from publish.card.owned import default
from publish.card.segments import MOST, decoded, read
from publish.console.progress import megabytes, table
from publish.manifest import Manifest, SplitEntry
from publish.repository.contents import Contents

MOST_MEASURED = 5_000_000_000  # bytes, uncompressed
_SPLIT = re.compile(r"\w+(\.\w+)*")  # https://github.com/huggingface/datasets/blob/main/src/datasets/naming.py
_KEYS = {"config_name", "data_files", "default"}
_COLUMNS = {
    "image": "pictures, not byte for byte but as lossy JPEG; a histogram of their widths",
    "label": "the names of {classes:,} classes; a histogram of them; rows of a class by a filter",
    "file_name": "names, found by a filter (\"file_name\"='...') and not by search, which looks at letters alone",
}


def told(manifest: Manifest) -> str:
    """Return what the viewer will show, in words."""
    dataset = loaders.load(manifest.dataset).DATASET
    named = [config for config in configs(manifest) if manifest.dataset_of(config).has_file_name]
    features = (dataset.named if named else dataset).features
    classes = len(features.get("label", {}).get("names", ()))
    rows = [
        (config, split, f"{entry.rows:,}", _covered(entry))
        for config in configs(manifest)
        for split, entry in manifest.configs[config].items()
    ]
    lines = ["The Hub's viewer will show, in this order:\n"]
    lines += [table(("config", "split", "rows", "statistics and filters"), rows), ""]
    lines += [f"{name}: {_COLUMNS[name].format(classes=classes)}" for name in features]
    if 0 < len(named) < len(manifest.configs):
        lines.append(f"That column is in {', '.join(named)} alone.")
    if not named:
        lines.append("It will not offer search, for want of a column of text.")
    if any(_within(entry) < entry.rows for entry in manifest.entries()):
        limit = megabytes(MOST_MEASURED)
        lines.append(f"Rows beyond {limit} of a split, uncompressed, it shows, but does not count or filter.")
    lines.append("Private repositories it shows for paying owners only, gated ones to those who were let in.\n")
    return "\n".join(lines)


def configs(manifest: Manifest) -> list[str]:
    """Return the configs as the viewer lists them: the default, then in the order of strings."""
    first = default(manifest)
    return sorted(manifest.configs, key=lambda name: (name != first, name))


def _covered(entry: SplitEntry) -> str:
    within = _within(entry)
    return "all rows" if within == entry.rows else f"only the first {within:,} rows"


def _within(entry: SplitEntry) -> int:
    """Return the rows of the first files, up to the one whose uncompressed bytes pass the limit."""
    rows = size = 0
    for shard in entry.shards:
        if size > MOST_MEASURED:
            break
        rows, size = rows + shard.rows, size + shard.nbytes
    return rows


def faults(contents: Contents) -> list[str]:
    """Return the viewer's rules that a card breaks; raises Problem for one that is not there, or not to be read."""
    if "README.md" not in contents.sizes():
        raise Problem(
            f"{contents.name}: README.md is not there. The Hub and load_dataset learn from it which files belong to "
            "which config: build or publish the repository again."
        )
    with contents.open("README.md") as file:
        data = read(
            decoded(file.read(MOST + 1), f"{contents.name}/README.md"), f"{contents.name}/README.md"
        ).front.values
    return [f"README.md: configs: {fault}" for fault in _config_faults(data)]


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _config_faults(data: Mapping[str, Any]) -> Iterator[str]:
    found = _dicts(data.get("configs"))
    if not found or len(found) != len(data["configs"]):
        yield "expected a list of config_name and data_files; without it the viewer guesses"
    names = [config.get("config_name") for config in found]
    for name in {str(name): name for name in names if names.count(name) > 1}.values():
        yield f"{name} is listed {names.count(name)} times"
    defaults = [
        config.get("config_name") for config in found if "default" in config or config.get("config_name") == "default"
    ]
    if len(defaults) != 1 or any(config.get("default", True) is not True for config in found):
        yield f"expected `default: true` on exactly one, found `default` on {_few(defaults)}"
    for config in found:
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


def _few(names: Iterable[Any]) -> str:
    found = [str(name) for name in names]
    return (", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")) or "none"
