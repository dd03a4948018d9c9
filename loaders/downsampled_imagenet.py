"""downsampled_imagenet: ImageNet at 32 and 64 pixels, without labels (van den Oord, Kalchbrenner and Kavukcuoglu 2016).

Paper: https://arxiv.org/abs/1601.06759. Sizes and digests of the files: TensorFlow Datasets 4.9.10,
`url_checksums/downsampled_imagenet.txt`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base import forms
from loaders.base.dataset import Batch, Config, Dataset, Form, Job, Split, SplitPlan, check_rows, shard_rows
from loaders.base.lazy import lazy_builder
from loaders.formats import index, tars
from loaders.images import arrow, png, png_file
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Archive, Archives, Found, Source

_PAGE = "https://image-net.org/small/download.php (gone since 2023; a copy counts when its digest is right)"
_MEMBER = re.compile(r"(?:\./)?(?:[\w.-]+/)*\d+\.png")
_ROW_BYTES = {"32x32": 2230, "64x64": 8740}  # of Parquet, measured on crops of photographs

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


def find(config: Config, folder: SourceFolder) -> Found:
    """Take each split in the first of the `FORMS` that it is there in."""
    return forms.find(DATASET, FORMS, config, folder, lambda config, split: [_source(config, split)])


def _source(config: Config, split: Split) -> Source:
    return SOURCES[f"{'train' if split.name == 'train' else 'valid'}_{config.name}.tar"]


def _find_tar(folder: SourceFolder, config: Config, split: Split) -> Archives:
    archive = folder.find(_source(config, split))
    return (archive,) if archive else ()


FORMS = (Form("tar of PNG files", "`{train,valid}_{32x32,64x64}.tar`", _find_tar),)


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut each split into shards of equal rows, in the order of the tar."""
    return [_plan_split(config, split, found, partial) for split in config.splits]


def _plan_split(config: Config, split: Split, found: Found, partial: bool) -> SplitPlan:
    (archive,) = found.archives[split.name]
    members = index.members(archive.path)
    _check_names(archive.path, members.names)
    check_rows(DATASET.name, config.name, split, len(members.names), found, partial)
    jobs = tuple(_jobs(config, archive, members, shard_rows(len(members.names), split)))
    size = len(members.names) * _ROW_BYTES[config.name]
    return SplitPlan(config.name, split, jobs, (archive,), size, members.skipped)


def _check_names(path: Path, names: Sequence[str]) -> None:
    """Raise SourceProblem for what is no numbered PNG, for the folder of another tar, and for a number in two folders.

    Upstream has one folder, named like the tar.
    """
    if strange := next((name for name in names if not _MEMBER.fullmatch(name)), None):
        raise SourceProblem(f"{path}: holds {strange!r}, expected only numbered PNG files.")
    folders = {name.rpartition("/")[0] for name in names}
    others = {name.removesuffix(".tar") for name in SOURCES if name != path.name}
    if wrong := others.intersection(part for folder in folders for part in folder.split("/")):
        raise SourceProblem(f"{path}: holds the folder {min(wrong)}. Is it {min(wrong)}.tar under another name?")
    known: dict[str, str] = {}
    for name in names if len(folders) > 1 else ():  # within one, a tar's names differ
        if (same := known.setdefault(name.rpartition("/")[2], name)) is not name:
            raise SourceProblem(f"{path}: holds a picture more than once, as {same!r} and {name!r}. Download it again.")


def _jobs(config: Config, archive: Archive, members: tars.Members, shards: list[int]) -> Iterator[Job]:
    start = 0
    for count in shards:
        rows = slice(start, start + count)
        places = np.array([members.offsets[rows], members.sizes[rows]], np.int64)
        yield Job(DATASET.name, config.name, count, ((archive.path, members.names[start], places),))
        start += count


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows that fit the cache: image, decoded from upstream's PNG and framed anew."""
    size = int(job.config.partition("x")[0])
    step = png.block_rows(size)
    for path, _, (offsets, sizes) in job.parts:
        for at in range(0, len(offsets), step):
            rows = slice(at, at + step)
            files = tars.read_members(path, offsets[rows], sizes[rows])
            where = zip(offsets[rows], files, strict=True)
            pixels = np.stack([_decode(path, int(offset), file, size) for offset, file in where])
            planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
            images = arrow.images_of_one_length(png.encode(planes))
            yield Batch(pa.record_batch([images], schema=DATASET.schema), planes)


def _decode(path: Path, offset: int, file: bytes, size: int) -> npt.NDArray[np.uint8]:
    try:
        picture = png_file.opened(file)
        found = str(picture.header)
        if found == f"RGB {size}x{size}":  # known before a pixel is decoded: no header can ask for gigabytes
            return picture.pixels()
    except ValueError as error:
        found = str(error)
    raise SourceProblem(
        f"{path}: the member at byte {offset:,} should be an RGB PNG of {size}x{size}, found: {found}. "
        "Download the archive again."
    )


__getattr__ = lazy_builder(__name__)
