"""The pictures on a card: the same images in every size, a sheet of each config, classes, mean images."""

from collections.abc import Iterator, Mapping

import numpy as np

import loaders
from publish.card import picture, sheet
from publish.manifest import Manifest, SplitEntry

_GATED = " (in a gated repository, only those who were let in see them)"


def markdown(manifest: Manifest) -> str:
    """Return the part of the card that shows the pictures; in a fold, which is closed where not all may see them."""
    gated = loaders.load(manifest.dataset).DATASET.gated
    parts = [*_sizes(manifest), *_sheets(manifest), *_classes(manifest), *_means(manifest)]
    head = f"<details><summary>Pictures{_GATED}</summary>" if gated else "<details open><summary>Pictures</summary>"
    return "\n\n".join([head, *parts, "</details>"])


def _image(path: str, text: str) -> str:
    return f'<img src="{path}" alt="{text}" title="{text}">'


def _table(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])


def _of(kind: str, manifest: Manifest) -> Iterator[tuple[str, str, SplitEntry, str]]:
    """Yield (config, split, entry, path) for every picture of a kind, each once: configs may share some."""
    seen = set()
    for config, splits in manifest.configs.items():
        for split, entry in splits.items():
            for path in entry.pictures:
                if picture.kind(path) == kind and path not in seen:
                    seen.add(path)
                    yield config, split, entry, path


def _sizes(manifest: Manifest) -> Iterator[str]:
    """Yield a table of the same images in several sizes, if there are any: their pixels tell."""
    found = list(_of(picture.SIZES, manifest))
    groups = [[each for each in found if picture.alike(each[2].glance, one[2].glance)] for one in found]
    same = max(groups, key=len, default=[])
    if len(same) < 2:
        return
    heads = [f"`{config}`" for config, _, _, _ in same]
    cells = [_image(path, f"the same images in {config}, {split}") for config, split, _, path in same]
    several = "sizes" if len({config.partition("-")[0] for config, _, _, _ in same}) == len(same) else "configs"
    yield f"**The same images in {len(same)} {several}**, the first of {same[0][1]}, every pixel a square:"
    yield _table([heads, cells])


def _sheets(manifest: Manifest) -> Iterator[str]:
    encoded = loaders.load(manifest.dataset).DATASET.image_mode
    what = "images of {}, cut to squares" if encoded else "images of {}, every pixel a square"
    for config, split, _, path in _of(picture.SHEET, manifest):
        yield f"**`{config}`**, the first {what.format(split)}:"
        yield _image(path, f"contact sheet of {config}: the first {what.format(split)}")


def _classes(manifest: Manifest) -> Iterator[str]:
    users = _users(manifest)
    for _, split, entry, path in _of(picture.CLASSES, manifest):
        said = sheet.describe(np.array(entry.labels))
        yield f"**Rows by class**, {split} of {', '.join(f'`{config}`' for config in users[path])}: {said}:"
        yield _image(path, f"histogram of classes of {' and '.join(users[path])}, {split}: {said}")


def _users(manifest: Manifest) -> Mapping[str, list[str]]:
    """Return {path: configs that have that picture}."""
    users: dict[str, list[str]] = {}
    for config, splits in manifest.configs.items():
        for entry in splits.values():
            for path in entry.pictures:
                users.setdefault(path, []).append(config)
    return users


def _means(manifest: Manifest) -> Iterator[str]:
    """Yield a table of the mean images, configs by splits; one that configs share stands under the first of them."""
    users = _users(manifest)
    cells = {
        (config, split): _image(path, f"the mean image of {' and '.join(users[path])}, {split}")
        for config, split, _, path in _of(picture.MEAN, manifest)
    }
    splits = dict.fromkeys(split for _, split in cells)
    absent = {(config, split): "the same" for config, found in manifest.configs.items() for split in found}
    rows = [[split, *((absent | cells).get((config, split), "") for config in manifest.configs)] for split in splits]
    yield "**Mean images**:"
    yield _table([["", *(f"`{config}`" for config in manifest.configs)], *rows])
