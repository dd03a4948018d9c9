"""A split that was built, told to the manifest from its receipts alone, with its pictures."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loaders
from loaders import Archive
from publish.build import measure
from publish.build.measure import Statistics
from publish.build.plan import SplitBuild
from publish.build.shard import Receipt
from publish.card import picture
from publish.manifest import ShardEntry, SourceEntry, SplitEntry


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


def entered(
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
        mean=found.mean(),
        deviation=found.deviation(),
        duplicates=found.duplicates(),
        labels=tuple(found.labels.tolist()) if found.labels.any() else (),
        oddities=dict(sorted(found.oddities.items())),
        damaged=dict(sorted((dict(build.plan.damaged) | found.damaged).items())),
        skipped=dict(sorted(build.plan.skipped.items())),
        pictures={path: _sha256(content) for path, content in pictures.items()},
        glance=picture.glance(found.first) if picture.SIZES in map(picture.kind, pictures) else "",
        named=build.plan.named,
    )
    return Ready(build, entry, files, uploads, pictures)


def _pictures(build: SplitBuild, found: Statistics) -> dict[str, bytes]:
    """Return the pictures of a split by path: a sheet of a config's first, the photographs of its validation split."""
    name, loader = build.plan.split.name, loaders.load(build.dataset)
    drawn = {picture.MEAN: picture.mean_image(found.mean_image())}
    splits = [split.name for split in loader.config(build.configs[0]).splits]
    if name == splits[0]:
        drawn[picture.SHEET] = picture.contact_sheet(found.first)
    is_tested_on = name == ("validation" if "validation" in splits else splits[0])
    if is_tested_on and loader.DATASET.image_mode is None:  # made in several sizes, not as they came
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
    return SourceEntry(archive.name, archive.bytes, sha256, archive.origin, verified, archive.form)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
