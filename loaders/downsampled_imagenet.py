"""downsampled_imagenet: ImageNet at 32 and 64 pixels, without labels (van den Oord, Kalchbrenner and Kavukcuoglu 2016).

Paper: https://arxiv.org/abs/1601.06759. Sizes and digests of the files: TensorFlow Datasets 4.9.10,
`url_checksums/downsampled_imagenet.txt`.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base import forms
from loaders.base.dataset import Batch, Config, Dataset, Form, Job, Split, SplitPlan, check_rows
from loaders.base.lazy import lazy_builder
from loaders.base.sharding import shard_rows
from loaders.files.places import entries
from loaders.formats import folders, index, tars
from loaders.formats.folders import Files
from loaders.formats.holder import Holder
from loaders.formats.packed import is_compressed
from loaders.formats.photos import Photos
from loaders.formats.tars import Members
from loaders.formats.untrusted import junk
from loaders.images import arrow, png, png_file
from loaders.sources.folder import SourceFolder
from loaders.sources.listing import plain_name
from loaders.sources.source import Archive, Archives, Found, Source

_PAGE = "https://image-net.org/small/download.php (gone since 2023; a copy counts when its digest is right)"
_MEMBER = re.compile(r"(?:\./)?(?:[\w.-]+/)*\d+\.png", re.IGNORECASE)
_DIGITS = 20  # of a number, and more
_SHORT = {"train": "train", "validation": "valid"}  # what upstream calls a split

# fmt: off
_FILES = {
    "train_32x32.tar": (4113018880, "244a323d48f8d72f65ad8b54658c01fed68d2d7bdc77ccb43da58c11e94224e5"),
    "valid_32x32.tar": (161474560, "862e559462b24cf736212a19f6b0d47b55c2dc8ebdaa95ccecfe71260124c8f7"),
    "train_64x64.tar": (12112588800, "e2a2c1947a748d0d256e98e6d82800d855441dc9e4de2e71a773f1324c4524d7"),
    "valid_64x64.tar": (477255680, "eeac03ec4f585baf871d2b4cb9c974bfe345e74878a74e5820fe6eb1041629cd"),
}
# fmt: on
SOURCES = {name: Source(name, size, sha256, _PAGE) for name, (size, sha256) in _FILES.items()}
DATASET = Dataset(
    name="downsampled_imagenet",
    title="Downsampled ImageNet for density estimation, 32x32 and 64x64",
    configs=tuple(
        Config(f"{size}x{size}", (Split("train", 1_281_149, shards), Split("validation", 49_999, 8)))
        for size, shards in ((32, 40), (64, 80))  # 90 and 141 MB a shard
    ),
)
config = DATASET.config
_Held = tuple[Archive, Members | Photos, Counter[str]]  # the archive, its pictures, and the litter beside them


def find(config: Config, folder: SourceFolder) -> Found:
    """Take each split in the first of the `FORMS` that it is there in."""
    return forms.find(DATASET, FORMS, config, folder, lambda config, split: [_source(config, split)])


def _source(config: Config, split: Split) -> Source:
    return SOURCES[f"{_stem(config, split)}.tar"]


def _stem(config: Config, split: Split) -> str:
    return f"{_SHORT[split.name]}_{config.name}"


def _find_tar(folder: SourceFolder, config: Config, split: Split) -> Archives:
    archive = folder.find(_source(config, split))
    return (archive,) if archive else _of_content(folder, config, split, is_plain=True)


def _find_packed(folder: SourceFolder, config: Config, split: Split) -> Archives:
    return _of_content(folder, config, split, is_plain=False)


def _of_content(folder: SourceFolder, config: Config, split: Split, is_plain: bool) -> Archives:
    """Return the tar whose first picture lies in the folder of the split, or the one that is called like that."""
    stem, others = _stem(config, split), {name.removesuffix(".tar") for name in SOURCES}
    tars = [tar for tar in folder.tars if (tar.path.suffix.lower() == ".tar") == is_plain]
    held = {tar.path: others.intersection(tar.first.split("/")[:-1]) or {tar.stem} for tar in tars}
    path = next((tar.path for tar in tars if stem in held[tar.path] and _MEMBER.fullmatch(tar.first)), None)
    return (folder.archive(path),) if path else ()


def _find_folder(folder: SourceFolder, config: Config, split: Split) -> Archives:
    """Return the folder of numbered pictures that is called like the split, or like the split and S in any way."""
    stem = _stem(config, split)
    named = [place.path for place in folder.pictures if plain_name(place.path.name) == stem]
    wanted = (_size(config.name), _SHORT[split.name])
    alike = [place.path for place in folder.pictures if (place.size, place.split) == wanted]
    path = next(iter([*named, *alike]), None)
    return (folder.unpacked(path),) if path else ()


FORMS = (
    Form("tar of PNG files", "`{train,valid}_{32x32,64x64}.tar`", _find_tar),
    Form("packed tar of PNG files", "`train_32x32.tar.gz` ..., or the tar in a zip; read forwards", _find_packed),
    Form("folder of PNG files", "`train_32x32/*.png` ...; rows are in the order of the numbers", _find_folder),
)


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut each split into shards of equal rows, in the order of the tar."""
    return [_plan_split(config, split, found, partial) for split in config.splits]


def _plan_split(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    (archive,) = found.archives[split.name]
    archive, held, skipped = _unpacked(archive) if archive.path.is_dir() else _packed(archive)
    names = held.places if isinstance(held, Photos) else held.names
    _check_names(archive.path, names, _stem(config, split))
    forms.check_others(found, split, len(names), _count)
    check_rows(DATASET.name, config.name, split, len(names), found, partial)
    jobs = tuple(_jobs(config, archive, held, shard_rows(len(names), split)))
    return SplitPlan(config.name, split, jobs, (archive,), len(names) * png.row_bytes(_size(config.name)), skipped)


def _packed(archive: Archive) -> _Held:
    members = index.members(archive.path)
    return archive, members, members.skipped


def _unpacked(archive: Archive) -> _Held:
    """Return a folder with what is known of its files, and these in the order of their numbers."""
    names, skipped = _listed(archive.path)
    pictures = Photos.of(archive.path, Holder("folder"), names, [0] * len(names))
    found = pictures.files()
    if lost := [name for name in names if name not in found]:
        raise folders.broken_link(archive.path / lost[0])
    return replace(archive, files=Files.of(found)), pictures.known(found), skipped


def _listed(path: Path) -> tuple[list[str], Counter[str]]:
    names = entries(path)
    skipped = Counter(kind for name in names if (kind := junk(name)))
    kept = [name for name in names if not junk(name)]
    if strange := next((name for name in sorted(kept) if names[name] or not _MEMBER.fullmatch(name)), None):
        raise SourceProblem(f"{path}: holds {strange!r}, expected only numbered PNG files. Move it away.")
    return sorted(kept, key=lambda name: (int(name.partition(".")[0][:_DIGITS]), name)), skipped


def _count(archives: Archives) -> int | None:
    """Return the rows of a folder; those of a tar are not known without going through it."""
    return len(_listed(archives[0].path)[0]) if archives[0].path.is_dir() else None


def _check_names(path: Path, names: Sequence[str], stem: str) -> None:
    """Raise SourceProblem for what is no numbered PNG, for the folder of another tar, and for a number in two folders.

    Upstream has one folder, named like the tar.
    """
    if strange := next((name for name in names if not _MEMBER.fullmatch(name)), None):
        raise SourceProblem(f"{path}: holds {strange!r}, expected only numbered PNG files.")
    tops = {name.rpartition("/")[0] for name in names}
    others = {name.removesuffix(".tar") for name in SOURCES} - {stem}
    if wrong := others.intersection(part for top in tops for part in top.split("/")):
        raise SourceProblem(f"{path}: holds the folder {min(wrong)}. Is it {min(wrong)}.tar under another name?")
    known: dict[str, str] = {}
    for name in names if len(tops) > 1 else ():  # within one, a tar's names differ
        if (same := known.setdefault(name.rpartition("/")[2], name)) is not name:
            raise SourceProblem(f"{path}: holds a picture more than once, as {same!r} and {name!r}. Download it again.")


def _jobs(config: Config, archive: Archive, held: Members | Photos, shards: list[int]) -> Iterator[Job]:
    """Yield one job a shard: the files of a folder, or where the members of a tar lie and the first one's name."""
    is_forward = isinstance(held, Members) and is_compressed(archive.path)
    start = 0
    for count in shards:
        rows = slice(start, start + count)
        if isinstance(held, Photos):
            part: Any = held.take(rows)
        else:
            part = (archive.path, held.names[start], np.array([held.offsets[rows], held.sizes[rows]], np.int64))
        yield Job(DATASET.name, config.name, count, (part,), continues=is_forward and start > 0)
        start += count


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows that fit the cache: image, decoded from upstream's PNG and framed anew."""
    size = _size(job.config)
    step = png.block_rows(size)
    (part,) = job.parts
    files = part.read() if isinstance(part, Photos) else _members(*part)
    while block := list(itertools.islice(files, step)):
        pixels = np.stack([_decode(where, file, size) for where, file in block])
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        images = arrow.images_of_one_length(png.encode(planes))
        yield Batch(pa.record_batch([images], schema=DATASET.schema), planes)


def _members(path: Path, _: str, places: npt.NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
    """Yield where each picture of a tar lies, in words, and its bytes."""
    offsets, sizes = places.tolist()
    for offset, file in zip(offsets, tars.read_members(path, offsets, sizes), strict=True):
        yield f"{path}: the member at byte {offset:,}", file


def _size(config: str) -> int:
    return int(config.partition("x")[0])


def _decode(where: str, file: bytes, size: int) -> npt.NDArray[np.uint8]:
    try:
        picture = png_file.opened(file)
        found = str(picture.header)
        if found == f"RGB {size}x{size}":  # known before a pixel is decoded: no header can ask for gigabytes
            return picture.pixels()
    except ValueError as error:
        found = str(error)
    raise SourceProblem(f"{where} should be an RGB PNG of {size}x{size}, found: {found}. Download the archive again.")


__getattr__ = lazy_builder(__name__)
