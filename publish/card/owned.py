"""The computed keys of a card's YAML, told from the manifest; and what of them is people's.

`Dataset.push_to_hub` is how people add a config, or a split to one of ours. It writes both into these same keys, in an
order of its own. What no manifest of ours lists is theirs: it is kept, beside whatever ours becomes.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

import loaders
from loaders import Dataset
from publish.manifest import Manifest, SplitEntry

KEYS = ("size_categories", "configs", "dataset_info")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
_LISTS = {"configs": ("data_files", "split"), "dataset_info": ("splits", "name")}  # of splits, and what names one
_TOTALS = ("download_size", "dataset_size")

Names = Mapping[str, Collection[str]]  # configs, and the splits of each
Item = Mapping[str, Any]


def owned(manifest: Manifest) -> dict[str, Any]:
    """Return the computed keys."""
    rows = max(sum(entry.rows for entry in splits.values()) for splits in manifest.configs.values())
    category = next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")
    first = default(manifest)
    return {
        "size_categories": [category],
        "configs": [_config(name, splits, name == first) for name, splits in manifest.configs.items()],
        "dataset_info": [_info(manifest, name, splits) for name, splits in manifest.configs.items()],
    }


def default(manifest: Manifest) -> str:
    """Return the config that is loaded when none is named."""
    first = loaders.load(manifest.dataset).DATASET.default.name
    return first if first in manifest.configs else next(iter(manifest.configs))


def pattern(entry: SplitEntry) -> str:
    """Return the one pattern of a split's shards. It pins their total: what another build left is never read."""
    return re.sub(r"-\d{5}-of-", "-*-of-", entry.shards[0].path)


def _config(name: str, splits: Mapping[str, SplitEntry], is_default: bool) -> dict[str, Any]:
    data_files = [{"split": split, "path": pattern(entry)} for split, entry in splits.items()]
    return {"config_name": name, "data_files": data_files} | ({"default": True} if is_default else {})


def _info(manifest: Manifest, name: str, splits: Mapping[str, SplitEntry]) -> dict[str, Any]:
    sizes = {split: sum(shard.nbytes for shard in entry.shards) for split, entry in splits.items()}
    return {
        "config_name": name,
        "features": _features(manifest.dataset_of(name)),
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": entry.rows} for split, entry in splits.items()
        ],
        "download_size": sum(shard.bytes for entry in splits.values() for shard in entry.shards),
        "dataset_size": sum(sizes.values()),
    }


def names(*manifests: Manifest | None) -> dict[str, set[str]]:
    """Return the configs of manifests, and the splits of each: what is ours."""
    found: dict[str, set[str]] = {}
    for manifest in manifests:
        for config, splits in manifest.configs.items() if manifest else ():
            found.setdefault(config, set()).update(splits)
    return found


@cache
def _features(dataset: Dataset) -> list[dict[str, Any]]:
    """Return the columns as `datasets` writes them into a card (`Features._to_yaml_list`), from the shards' schema.

    With them `load_dataset_builder(...).info.features` is known, and `push_to_hub` can add a split (docs/card.md).
    """
    return [{"name": name, "dtype": _dtype(feature)} for name, feature in dataset.features.items()]


def _dtype(feature: Mapping[str, Any]) -> Any:
    kind = feature["_type"]
    if kind == "Value":
        return feature["dtype"]
    if kind == "ClassLabel":
        return {"class_label": {"names": {str(label): name for label, name in enumerate(feature["names"])}}}
    return {"image": {"mode": feature["mode"]}} if feature.get("mode") else "image"


def ours(key: str, value: object, known: Names) -> Any:
    """Return what is ours of the value of a key, the same in whatever order the value has it.

    Which config is the default is left out, since another may become it, and so are the totals of a config, which count
    the splits that a person added.
    """
    if key not in _LISTS or (items := _items(value)) is None:
        return value
    listed, name = _LISTS[key]
    found = []
    for item in items:
        if (config := str(item.get("config_name"))) in known:
            mine = [split for split in _splits(item, listed) if str(split.get(name)) in known[config]]
            rest = {word: kept for word, kept in item.items() if word not in ("default", *_TOTALS)}
            found.append(rest | {listed: sorted(mine, key=as_text)})
    return sorted(found, key=as_text)


def joined(key: str, now: object, there: object, known: Names, before: object) -> Any:
    """Return the value of a key to be published: ours of `now`, and what is people's of the one that is `there`.

    `before` is ours as we last published it: by it, the totals of a config are told from those of people's splits.
    """
    items = _items(there)
    if key not in _LISTS or items is None:
        return now
    theirs = [item for item in items if str(item.get("config_name")) not in known]
    at = {str(item.get("config_name")): item for item in items}
    last = {str(item["config_name"]): item for item in _items(before) or []}
    listed = _LISTS[key][0]
    found: list[dict[str, Any]] = []
    for item in _items(now) or []:
        config = str(item["config_name"])
        extra = _extra(key, at.get(config, {}), known)
        new = {**item, listed: [*item[listed], *extra]}
        if extra:
            new |= {
                word: item[word] + _more(at[config], last.get(config, item), word) for word in _TOTALS if word in item
            }
        found.append(new)
    if any(item.get("default") or item.get("config_name") == "default" for item in theirs):
        found = [{word: kept for word, kept in item.items() if word != "default"} for item in found]
    return [*found, *theirs]


def added(values: Mapping[str, object], known: Names) -> list[str]:
    """Return the patterns of the splits that people added to configs of ours."""
    extra = [split for item in _items(values.get("configs")) or [] for split in _extra("configs", item, known)]
    paths = [path for split in extra for path in _each(split.get("path"))]
    return [path for path in paths if isinstance(path, str)]


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def is_same(key: str, one: object, other: object) -> bool:
    """Say whether two values of a key say the same, in whatever order."""
    return _ordered(key, one) == _ordered(key, other)


def _ordered(key: str, value: object) -> str:
    if key not in _LISTS or (items := _items(value)) is None:
        return as_text(value)
    listed = _LISTS[key][0]
    return as_text(sorted(as_text({**item, listed: sorted(map(as_text, _splits(item, listed)))}) for item in items))


def _extra(key: str, item: Item, known: Names) -> list[Item]:
    """Return the splits that a person added to a config of ours."""
    listed, name = _LISTS[key]
    if (mine := known.get(str(item.get("config_name")))) is None:
        return []
    return [split for split in _splits(item, listed) if str(split.get(name)) not in mine]


def _more(there: Item, before: Item, word: str) -> int:
    sizes = [item.get(word) for item in (there, before)]
    return max(0, sizes[0] - sizes[1]) if all(isinstance(size, int) for size in sizes) else 0  # type: ignore[operator]


def _items(value: object) -> Sequence[Item] | None:
    """Return the items of a list of configs, or of the one that stands alone; None for anything else."""
    items = [value] if isinstance(value, dict) else value
    return items if isinstance(items, list) and all(isinstance(item, dict) for item in items) else None


def _splits(item: Item, listed: str) -> list[Item]:
    splits = item.get(listed)
    return [split for split in splits if isinstance(split, dict)] if isinstance(splits, list) else []


def as_text(value: object) -> str:
    """Return a value as one line of JSON."""
    return json.dumps(value, sort_keys=True, default=str)
