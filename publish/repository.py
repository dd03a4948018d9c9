"""A dataset repository put together from shards and receipts: manifest, card, pictures, class table."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import loaders
from loaders import Archive, Problem, classes
from loaders._source import sha256_of
from publish import manifest, measure, picture, readme, staging
from publish.manifest import Manifest, ShardEntry, SourceEntry, SplitEntry
from publish.measure import Statistics
from publish.plan import SplitBuild
from publish.shard import Receipt

_LIBRARIES = ("imagenet-variants", "numpy", "pillow", "pyarrow", "zlib-ng")


@dataclass(frozen=True)
class Ready:
    """A split that can be put in force: its entry, and what is new of it.

    By path in the repository: `files` on this machine, `uploads` that were made, `texts` still to be written. What its
    entry lists besides is there already.
    """

    build: SplitBuild
    entry: SplitEntry
    files: Mapping[str, Path]
    uploads: Mapping[str, Any]
    texts: Mapping[str, bytes]


def ready(
    build: SplitBuild,
    receipts: Sequence[Receipt],
    digests: Mapping[Archive, str | None],
    files: Mapping[str, Path],
    uploads: Mapping[str, Any],
) -> Ready:
    """Return the entry of a freshly built split, from its receipts alone, and its pictures."""
    found = measure.merged(receipt.statistics for receipt in receipts)
    pictures = _pictures(build, found)
    entry = SplitEntry(
        fingerprint=build.fingerprint(digests),
        shards=tuple(_shard(path, receipt) for path, receipt in zip(build.paths, receipts, strict=True)),
        sources=tuple(_source(archive, digests[archive]) for archive in build.plan.archives),
        mean=tuple(found.mean()),
        deviation=tuple(found.deviation()),
        duplicates=found.duplicates(),
        labels=tuple(found.labels.tolist()) if found.labels.any() else (),
        oddities=dict(sorted(found.oddities.items())),
        skipped=dict(sorted(build.plan.skipped.items())),
        pictures={path: _sha256(content) for path, content in pictures.items()},
        glance=picture.glance(found.first) if picture.SIZES in map(picture.kind, pictures) else "",
    )
    return Ready(build, entry, files, uploads, pictures)


def _pictures(build: SplitBuild, found: Statistics) -> dict[str, bytes]:
    """Return the pictures of a split by path: a sheet of a config's first, the photographs of its validation split."""
    name, loader = build.plan.split.name, loaders.load(build.dataset)
    drawn = {picture.MEAN: picture.mean_image(found.mean_image())}
    if name == loader.config(build.configs[0]).splits[0].name:
        drawn[picture.SHEET] = picture.contact_sheet(found.first)
    if name == "validation" and loader.DATASET.image_mode is None:  # made in several sizes, not as they came
        drawn[picture.SIZES] = picture.sizes(found.first)
    pictures = {picture.path(kind, build.folder, name): content for kind, content in drawn.items()}
    if found.labels.any():
        histogram = picture.class_histogram(found.labels)
        pictures[picture.classes_path(name, found.labels, histogram)] = histogram
    return pictures


def _shard(path: str, receipt: Receipt) -> ShardEntry:
    return ShardEntry(path, receipt.rows, receipt.bytes, receipt.nbytes, receipt.sha256)


def _source(archive: Archive, sha256: str | None) -> SourceEntry:
    expected = archive.expected
    if archive.files:
        verified = f"names and images of {len(archive.files.names):,} files"
    elif expected is None:
        verified = "rows"
    elif archive.bytes != expected.bytes:
        verified = "nothing"
    elif sha256 is None:
        verified = "size, index and images"
    else:
        verified = "sha256" if sha256 == expected.sha256 else "nothing"
    return SourceEntry(archive.name, archive.bytes, sha256, archive.origin, verified)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put_in_place(
    final: Path, new: Path, dataset: str, old: Manifest | None, splits: Sequence[Ready], overwrite_card: bool = False
) -> bool:
    """Put the repository together in `new` and let it take the place of `final`; say whether anything changed.

    Configs of the old manifest that are not built now stay as they are, and so do files that no manifest lists. Raises
    Problem where one of those lies in the way, or a person edited a computed part of the card.
    """
    texts = small_files(dataset, splits)
    now = merged(dataset, old, splits, texts)
    links = {path: origin for split in splits for path, origin in split.files.items()}
    check_theirs(final, now, old, {path for path in {*links, *texts} if os.path.lexists(final / path)})
    links |= _kept(final, old, now, set(links) | set(texts))
    place = final / "README.md"
    theirs = place.read_bytes() if place.exists() else b""
    published, at = readme.published(old), (str(final), str(final))
    texts["README.md"], now = readme.merged(now, theirs, published, at, overwrite_card)
    texts[manifest.NAME] = now.dump().encode()
    if _is_there(final, links, texts):
        return False
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    staging.place(new, links, texts)
    staging.exchange(new, final)
    return True


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
    known = [config.name for config in loaders.load(dataset).DATASET.configs]
    names = [name for name in [*known, *sorted(set(configs) - set(known))] if name in configs]
    ordered = {name: _in_order(dataset, name, configs[name]) for name in names}
    files = {"classes.tsv": _sha256(texts["classes.tsv"])} if "classes.tsv" in texts else {}
    now = Manifest(dataset, ordered, files, {name: metadata.version(name) for name in _LIBRARIES})
    # The releases of libraries are told of what was built with them: of the same content, the old ones stay true.
    return old if old and replace(now, written_with=old.written_with, card=old.card) == old else now


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


def _kept(final: Path, old: Manifest | None, now: Manifest, here: set[str]) -> dict[str, Path]:
    """Return the files of configs that are not built now, and those that no manifest lists."""
    kept = {path: final / path for path in now.paths() - here}
    for entry in now.entries():
        for shard in entry.shards:
            at = kept.get(shard.path)
            if at and not (at.is_file() and at.stat().st_size == shard.bytes):
                config = shard.path.partition("/")[0]
                raise Problem(
                    f"{at}: expected {shard.bytes:,} bytes, as {final}/{manifest.NAME} says; it is not there or has "
                    f"another size. Build it, too: add --config {now.dataset}/{config}."
                )
    ours = (old.paths() if old else set()) | {manifest.NAME, "README.md"}
    there = (path.relative_to(final).as_posix() for path in final.rglob("*") if path.is_file() or path.is_symlink())
    return kept | {path: final / path for path in there if path not in ours and path not in here}


def _is_there(final: Path, links: Mapping[str, Path], texts: Mapping[str, bytes]) -> bool:
    there = {path.relative_to(final).as_posix() for path in final.rglob("*") if path.is_file() or path.is_symlink()}
    return (
        there == set(links) | set(texts)
        and all(final / path == origin for path, origin in links.items())
        and all((final / path).read_bytes() == content for path, content in texts.items())
    )
