"""`python -m publish.show`: a contact sheet of a batch or a split, and the histogram of its classes, as one PNG.

It shows an npz zip, an npz or pickled batch, a folder of batches, a Parquet file, and the Parquet folder of a config.
"""

import argparse
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from PIL import Image

from loaders import SourceProblem, classes
from loaders.formats.batches import BatchFile, OpenBatch, image_size
from loaders.formats.zips import zip_names
from loaders.images.arrow import PARQUET_ERRORS
from loaders.images.pillow import as_rgb, decoding, opened
from publish.card import sheet
from publish.console import exits
from publish.console.options import local, whole_number
from publish.results import check_file, written

_MEMBER = re.compile(r"(?:[\w.-]+/)?(?:train_data_batch_\d+|val_data)\.npz")
_BATCH = re.compile(r"(?:train_data_batch_\d+|val_data)(?:\.npz)?")
_SHARD = re.compile(r"(?a)([a-z]\w*(?:\.\w+)*)-\d+-of-\d+\.parquet")
_STEMS = {"train": "train", "val": "validation"}
_Counts = npt.NDArray[np.int64]
_PIECE = 64  # Parquet rows in hand


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m publish.show", description=__doc__)
    add = parser.add_argument
    add("path", type=local, metavar="FILE_OR_DATASET", help="a zip, a batch, a Parquet file, or a folder of either")
    add("--out", type=local, metavar="PNG", help="where the picture goes (default: NAME.png here)")
    add("--split", help="of a folder or zip that holds several (default: train, or else the first)")
    add(
        "--images",
        type=whole_number(0),
        default=400,
        metavar="N",
        help="how many on the sheet, the first ones (default: 400)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use, 130/143 stopped."""
    options = _parser().parse_args(arguments)
    return exits.exit_code(lambda: _show(options), options.out)


def _show(options: argparse.Namespace) -> int:
    print(show(options.path, options.out, options.split, options.images))
    return 0


def show(path: Path, out: Path | None = None, split: str | None = None, images: int = 400) -> str:
    """Write the picture of a file, or of a split in a folder, and return a line about it.

    Raises SourceProblem for what is neither Parquet nor batches of one size, Problem, OSError.
    """
    files = _shards(path) or _batch_files(path)
    chosen = _chosen(path, sorted(set(map(_split, files))), split)
    name = f"{path.resolve().name}-{chosen}" if path.is_dir() else path.stem
    place = out or Path(f"{name}.png")
    check_file(place)
    pictures, counts, rows = _read(path, [file for file in files if _split(file) == chosen], images)
    title = f"{name}: {len(pictures):,} of {rows:,} images"
    with written(place) as temporary:
        sheet.draw(title, pictures, counts).save(temporary, "PNG")
    return f"{place}: {title}" + (f"; {sheet.describe(counts)}" if counts is not None else "; no labels")


def _chosen(path: Path, splits: Sequence[str], split: str | None) -> str:
    chosen = split or ("train" if "train" in splits else splits[0])
    if chosen not in splits:
        raise SourceProblem(f"{path}: holds no split {chosen}; there is {', '.join(splits)}.")
    return chosen


def _read(path: Path, files: Sequence[Path | BatchFile], images: int) -> tuple[list[Image.Image], _Counts | None, int]:
    """Return the first pictures, and the rows of each class and of all."""
    if shards := [file for file in files if isinstance(file, Path)]:
        with _reading_parquet(path):
            return list(itertools.islice(_parquet_pictures(shards), images)), *_parquet_counts(shards)
    batches = _opened(path, [file for file in files if isinstance(file, BatchFile)])
    return list(itertools.islice(_batch_pictures(batches), images)), *_batch_counts(batches)


def _split(file: Path | BatchFile) -> str:
    """Return the split that a file's name tells of, or the name."""
    path = Path(file.member or file.path) if isinstance(file, BatchFile) else file
    match = _SHARD.fullmatch(path.name)
    return match[1] if match else _STEMS.get(path.name.partition("_")[0], path.stem)


# Parquet


def _shards(path: Path) -> list[Path]:
    """Return the Parquet files of a path, none when it is of batches."""
    if path.is_file():
        with path.open("rb") as file:
            return [path] if file.read(4) == b"PAR1" else []
    return sorted(path.glob("*.parquet"))


def _parquet_counts(shards: Sequence[Path]) -> tuple[_Counts | None, int]:
    rows, counts = 0, np.zeros(classes.COUNT, np.int64)
    labelled = False
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            rows += file.metadata.num_rows
            if labelled := "label" in file.schema_arrow.names:
                for batch in file.iter_batches(columns=["label"]):
                    counts += _count(shard, np.array(batch.column(0).to_pylist(), np.int64))
    return (counts if labelled else None), rows


def _parquet_pictures(shards: Sequence[Path]) -> Iterator[Image.Image]:
    for shard in shards:
        with pq.ParquetFile(shard) as file:
            if "image" not in file.schema_arrow.names:
                raise SourceProblem(f"{shard}: expected a column of images, found {file.schema_arrow.names}.")
            for batch in file.iter_batches(_PIECE, columns=["image"]):
                yield from (_decoded(shard, image["bytes"]) for image in batch.column(0).to_pylist())


@contextmanager
def _reading_parquet(path: Path) -> Iterator[None]:
    try:
        yield
    except PARQUET_ERRORS as error:
        raise SourceProblem(f"{path}: cannot be read as Parquet ({error}). Build or download it again.") from error


def _decoded(shard: Path, file: bytes) -> Image.Image:
    try:
        with decoding():
            return as_rgb(opened(file))
    except ValueError as error:
        raise SourceProblem(f"{shard}: holds an image that cannot be decoded ({error}).") from error


# Batches


def _batch_files(path: Path) -> list[BatchFile]:
    """Return the batches of a path, in the order of their numbers; raises SourceProblem when there are none."""
    if path.is_dir():
        files = [BatchFile(place) for place in path.iterdir() if _BATCH.fullmatch(place.name)]
        if not files:
            below = sorted({str(shard.parent) for shard in path.glob("*/*.parquet")})
            hint = f"the folder of one config: {', '.join(below)}" if below else "a zip, a batch or a config's folder"
            raise SourceProblem(f"{path}: holds neither Parquet files nor batches. Name {hint}.")
    elif path.suffix == ".zip":
        files = [BatchFile(path, name) for name in zip_names(path, _MEMBER)[0]]
        if not files:
            raise SourceProblem(f"{path}: holds no batches, expected train_data_batch_1.npz ... or val_data.npz.")
    else:
        files = [BatchFile(path)]
    return sorted(files, key=_number)


def _number(file: BatchFile) -> int:
    return int((re.findall(r"\d+", Path(file.member or file.path.name).name) or [0])[-1])


def _opened(path: Path, files: Sequence[BatchFile]) -> list[OpenBatch]:
    """Open batches; raises SourceProblem for a number that is there twice, and for images of several sizes."""
    for one, other in itertools.pairwise(files):
        if _number(one) == _number(other):
            raise SourceProblem(f"{path}: batch {_number(one)} is there more than once: {one} and {other}.")
    batches = [OpenBatch(file, image_size(file)) for file in files]
    for batch in batches:
        if batch.width != batches[0].width:
            size, first = (math.isqrt(each.width // 3) for each in (batch, batches[0]))
            raise SourceProblem(
                f"{batch.file}: holds images of {size}x{size}, {batches[0].file} of {first}x{first}; expected one size."
            )
    return batches


def _batch_counts(batches: Sequence[OpenBatch]) -> tuple[_Counts, int]:
    counts = np.zeros(classes.COUNT, np.int64)
    for batch in batches:
        counts += _count(batch.file, batch.labels)
    return counts, int(counts.sum())


def _batch_pictures(batches: Sequence[OpenBatch]) -> Iterator[Image.Image]:
    for batch in batches:
        size = math.isqrt(batch.width // 3)
        for row in range(batch.rows):
            yield Image.fromarray(batch.read(row, row + 1).reshape(3, size, size).transpose(1, 2, 0))
        batch.close()


def _count(where: object, labels: _Counts) -> _Counts:
    known = labels[labels != -1]  # a split without labels has -1
    if known.size and (known.min() < 0 or known.max() >= classes.COUNT):
        raise SourceProblem(f"{where}: holds a label outside 0 to {classes.COUNT - 1}.")
    return np.bincount(known, minlength=classes.COUNT)


if __name__ == "__main__":
    exits.leave(main)
