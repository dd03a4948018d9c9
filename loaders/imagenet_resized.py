"""imagenet_resized: ImageNet at 8, 16, 32 and 64 pixels, with labels (Chrabaszcz, Loshchilov and Hutter 2017).

Also at other sizes, by other filters and as center crops, as `publish.regenerate` makes them.

Paper: https://arxiv.org/abs/1707.08819. Sizes and digests of the files: TensorFlow Datasets 4.9.10,
`url_checksums/imagenet_resized.txt`. Labels keep the authors' order, less 1: 0 is kit fox.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from loaders._errors import SourceProblem
from loaders.base import forms
from loaders.base.dataset import Batch, Config, Dataset, Form, Job, Split, SplitPlan, check_rows
from loaders.base.heads import Heads, are_named, heads
from loaders.base.lazy import lazy_builder
from loaders.base.sharding import shard_count, shard_rows
from loaders.formats.batches import BatchFile, open_batch
from loaders.formats.zips import zip_names
from loaders.ilsvrc import lists
from loaders.images import arrow, png
from loaders.sources.batches import MEMBER, BatchSet, Kind, batch_number, whole
from loaders.sources.folder import SourceFolder
from loaders.sources.listing import plain_name
from loaders.sources.source import Archive, Archives, Found, Source
from loaders.sources.variant import SIZES, SMALLEST, parsed

_PAGE = "https://image-net.org/download-images (sign in; section 'Downsampled image data')"
_BATCHES = 10

# fmt: off
_FILES = {
    "Imagenet8_train_npz.zip": (239296243, "b18b72ca559afee05ad3325d12222db345fc2c557f23129d47fa439bddb4ee69"),
    "Imagenet8_val_npz.zip": (9327124, "001df303a5524b85045a4f6f43c79e097497cd64847cdcf5f17dd0fa416a2c23"),
    "Imagenet16_train_npz.zip": (931837742, "dea57cdc1d4e252a9e4b76d3b0783486c13b572b883b25fae9283f19695e63b9"),
    "Imagenet16_val_npz.zip": (36354395, "6dda90de8f6fd43b204422578b4be05d3f658d7792b344de4da768a71c02c4c4"),
    "Imagenet32_train_npz.zip": (3580435279, "94226337ecc1b0309d9fcd0167127aaadc931587035fbcb53925235edbaec4fc"),
    "Imagenet32_val_npz.zip": (139697668, "013990e6dec1237dcd1f9beadbab81ead6604cc119af5cacbfb59ae28148377a"),
    "Imagenet64_train_part1_npz.zip": (6783426789, "9422dc1dc5d092e9814a70a1cb7fc74880d2db5d88a0cb8a34ee363b12bde3f1"),
    "Imagenet64_train_part2_npz.zip": (6780506068, "9fafc115afb7e6c301e66dc16b2d737152b427bd5dab26e1293487a6819c7f30"),
    "Imagenet64_val_npz.zip": (529522927, "e1e75133158a1924135a9c6f97a80d2d237b158945e0b34074e58e6c8430eeb8"),
}
# fmt: on
SOURCES = {name: Source(name, size, sha256, _PAGE) for name, (size, sha256) in _FILES.items()}


def _splits(size: int, listed: bool = False) -> tuple[Split, ...]:
    # Train has whole shards to each of upstream's batches, which are then inflated once.
    train, validation = (rows * png.row_bytes(size) for rows in (1_281_167, 50_000))
    return (
        Split("train", 1_281_167, shard_count(train, 4 * _BATCHES), listed=listed),
        Split("validation", 50_000, shard_count(validation, 8)),
    )


DATASET = Dataset(
    name="imagenet_resized",
    title="Downsampled ImageNet, 8x8 to 64x64",
    configs=tuple(Config(f"{size}x{size}", _splits(size)) for size in SIZES),
    label_order="clsloc",
    others=f"what publish.regenerate makes of {SMALLEST} to {png.LARGEST} pixels, such as 48x48 and 64x64-center",
)


def config(name: str) -> Config:
    """Return a config by name; raises KeyError.

    Beside the published ones there are those that `publish.regenerate` makes, named by `loaders.sources.variant`, such
    as "48x48" and "64x64-center": built when they are asked for by name, and never with "all".
    """
    variant = parsed(name)
    return Config(name, _splits(variant.size, listed=bool(variant.names)))


def find(config: Config, folder: SourceFolder) -> Found:
    """Take each split in the first of the `FORMS` that it is there in."""
    found = forms.find(DATASET, FORMS, config, folder, _sources)
    named = folder.find_unregistered(parsed(config.name).listed) if config.is_listed else None
    beside = {"list": (replace(named, form=lists.FORM),)} if named else {}
    archives = {**found.archives, **beside}
    made = folder.regenerated(config.name, found.archives)
    missing = tuple(_made_here(source, config, folder) or source for source in found.missing)
    return replace(found, archives=archives, regenerated=made, missing=missing)


def _made_here(source: Source, config: Config, folder: SourceFolder) -> Source | None:
    """Return a missing file as one to make again, where the folder was regenerated: upstream's has other rows."""
    if folder.made_for(folder.path / source.name) != config.name:
        return None
    page = f"nowhere: the rest was regenerated. Run that command again: {parsed(config.name).command()}"
    return Source(source.name, 0, "", page)


def _find_npz_zips(folder: SourceFolder, config: Config, split: Split) -> Archives:
    found = [folder.find(source) for source in _sources(config, split)]
    named = tuple(archive for archive in found if archive)
    return named if len(named) == len(found) else _chosen(folder, config, split, "npz in a zip")


def _find_pickle_zips(folder: SourceFolder, config: Config, split: Split) -> Archives:
    return _chosen(folder, config, split, "pickled in a zip")


def _find_loose(folder: SourceFolder, config: Config, split: Split) -> Archives:
    """Return loose batches; where they are all that there is, also too few of them, which a plan then names."""
    chosen = _chosen(folder, config, split, "loose")
    sets = [] if chosen else _fitting(folder, config, split)
    return chosen if chosen or any(one.kind != "loose" for one in sets) else _archives(folder, sets[:1])


def _chosen(folder: SourceFolder, config: Config, split: Split, kind: Kind) -> Archives:
    """Return the first choice of batches; raises SourceProblem when another choice of the kind has other rows."""
    sets = [one for one in _fitting(folder, config, split) if one.kind == kind]
    choices = whole(sets, _numbers(split))
    for one in choices[0] if choices else ():
        folder.find_unregistered(one.place.name)  # raises for copies of other sizes
    return _archives(folder, choices[0]) if choices else ()


def _fitting(folder: SourceFolder, config: Config, split: Split) -> list[BatchSet]:
    variant, is_train = parsed(config.name), split.name == "train"
    found = [
        one
        for one in folder.batch_sets
        if (min(one.batches) > 0) == is_train and variant.fits(one.words) and one.size == variant.size
    ]
    return [one for one in found if folder.made_for(one.first.path) in (None, config.name)]


def _archives(folder: SourceFolder, sets: list[BatchSet]) -> Archives:
    files = {number: file.path for one in sets for number, file in one.batches.items()}
    paths = dict.fromkeys(files[number] for number in sorted(files))
    return tuple(folder.archive(path, _registered(path)) for path in paths)


def _registered(path: Path) -> Source | None:
    return next((source for name, source in SOURCES.items() if plain_name(name) == plain_name(path.name)), None)


def _numbers(split: Split) -> frozenset[int]:
    return frozenset(range(1, _BATCHES + 1)) if split.name == "train" else frozenset({0})


FORMS = (
    Form(
        "zips of npz batches",
        "`Imagenet{8,16,32}_{train,val}_npz.zip`, `Imagenet64_train_part{1,2}_npz.zip`, `Imagenet64_val_npz.zip`, or "
        "any zips of `train_data_batch_1.npz` ... `_10.npz`, `val_data.npz`",
        _find_npz_zips,
    ),
    Form(
        "zips of pickled batches",
        "`Imagenet{8,16,32}_{train,val}.zip`, `Imagenet64_train_part{1,2}.zip`, `Imagenet64_val.zip`, or any zips of "
        "`train_data_batch_1` ... `_10`, `val_data`",
        _find_pickle_zips,
    ),
    Form(
        "loose batches",
        "`train_data_batch_1` ... `_10`, `val_data`, pickled or `.npz`, in one folder, or in one a split or part such "
        "as `Imagenet32_train/`",
        _find_loose,
    ),
)


def _sources(config: Config, split: Split) -> list[Source]:
    variant = parsed(config.name)
    page = f"nowhere: upstream has none. Make it with {variant.command()}"
    return [SOURCES.get(name) or Source(name, 0, "", page) for name in variant.zips(split.name)]


def plan(config: Config, found: Found, partial: bool) -> list[SplitPlan]:
    """Cut each split into shards of equal rows, over the batches in the order of their numbers."""
    read = {split: _heads(config, split, found) for split in config.splits}
    named = are_named([heads for heads, _ in read.values()], partial)
    return [_plan_split(config, split, found, partial, *read[split], named) for split in config.splits]


def _heads(config: Config, split: Split, found: Found) -> tuple[Heads, Counter[str]]:
    archives = found.archives[split.name]
    shared = {a.path for role, others in found.archives.items() if role != split.name for a in others}
    files, skipped = _batch_files(split, archives, shared)
    return heads(split.name, files, parsed(config.name).size), skipped


def _plan_split(
    config: Config, split: Split, found: Found, partial: bool, heads: Heads, skipped: Counter[str], named: bool
) -> SplitPlan:
    count = sum(heads.rows)
    forms.check_others(found, split, count, lambda other: _count(config, split, other))
    check_rows(DATASET.name, config.name, split, count, found, partial)
    made = found.regenerated
    damaged = made.of(split.name, made.damaged) if made else {}
    if made and (unreadable := made.of(split.name, made.unreadable)):
        skipped["photograph that cannot be decoded, left out when it was regenerated"] = len(unreadable)
    if heads.named and not named:
        skipped["file name, left out since not all batches of the config have any"] = heads.named
    return SplitPlan(
        config.name,
        split,
        tuple(_jobs(config.name, heads, shard_rows(count, split), named)),
        found.archives[split.name] + (found.archives.get("list", ()) if split.listed else ()),
        count * png.row_bytes(parsed(config.name).size),
        skipped,
        damaged,
        "column" if named else heads.by_row,
    )


def _count(config: Config, split: Split, archives: Archives) -> int | None:
    """Return the rows of batches by their heads, None of pickles in a zip, which may have to be inflated for that."""
    files, _ = _batch_files(split, archives, {archive.path for archive in archives})
    if any(file.member and not file.member.lower().endswith(".npz") for file in files):
        return None
    return sum(open_batch(file, parsed(config.name).size).rows for file in files)


def _batch_files(
    split: Split, archives: Iterable[Archive], shared: Collection[Path] = ()
) -> tuple[list[BatchFile], Counter[str]]:
    """Return the batches of a split in the order of their numbers, and the litter beside them.

    Raises SourceProblem for others than the split has, except in archives that are `shared` with another split.
    """
    numbered: dict[int, BatchFile] = {}
    skipped = Counter[str]()
    wanted = _numbers(split)
    for archive in archives:
        is_zip_of_batches = archive.path.suffix.lower() == ".zip"
        members, junk = zip_names(archive.path, MEMBER) if is_zip_of_batches else ([None], Counter[str]())
        skipped += junk
        for member in members:
            number = batch_number(member or archive.path.name)
            if number is None or (archive.path in shared and number not in wanted):
                continue
            if number in numbered:
                raise SourceProblem(f"{archive.path}: batch {number} is there more than once: {numbered[number]}.")
            numbered[number] = BatchFile(archive.path, member)
    if set(numbered) != wanted:
        raise SourceProblem(
            f"{', '.join(str(archive.path) for archive in archives)}: expected {_spell(wanted)} for the {split.name} "
            f"split, found {_spell(numbered) or 'none'}. Were the train and validation files exchanged, or was a "
            "download cut short?"
        )
    return [numbered[number] for number in sorted(numbered)], skipped


def _spell(numbers: Iterable[int]) -> str:
    return ", ".join(f"train_data_batch_{n}" if n else "val_data" for n in sorted(numbers))


def _jobs(config: str, heads: Heads, shards: list[int], named: bool) -> Iterator[Job]:
    """Yield one job a shard: parts (file, start, stop, what else than image and label) of consecutive batches."""
    left = [(head.file, 0, head.rows) for head in heads.each]
    columns = ("file_name",) if named else ()
    for count in shards:
        parts: list[Any] = []
        wanted = count
        while wanted:
            file, start, stop = left.pop(0)
            taken = min(wanted, stop - start)
            parts.append((file, start, start + taken, *columns))
            wanted -= taken
            if start + taken < stop:
                left.insert(0, (file, start + taken, stop))
        yield Job(DATASET.name, config, count, tuple(parts), continues=parts[0][1] > 0)


def batches(job: Job) -> Iterator[Batch]:
    """Yield blocks of rows that fit the cache: image (PNG made from the pixels), label and, if known, file_name."""
    size = parsed(job.config).size
    step = png.block_rows(size)
    for file, start, stop, *named in job.parts:
        batch = open_batch(file, size)
        schema = DATASET.named.schema if named else DATASET.schema
        for at in range(start, stop, step):
            rows = slice(at, min(at + step, stop))
            pixels = batch.read(rows.start, rows.stop).reshape(-1, 3, size, size)
            columns = [arrow.images_of_one_length(png.encode(pixels)), arrow.integers(batch.labels[rows])]
            if named and batch.file_names is not None:
                columns.append(arrow.names(batch.file_names[rows]))
            yield Batch(pa.record_batch(columns, schema=schema), pixels)


__getattr__ = lazy_builder(__name__)
