"""`python -m loaders.show`: a contact sheet of a batch or a split, and the histogram of its classes, as one PNG.

It shows an npz zip, an npz or pickled batch, a folder of batches, a Parquet file, and the Parquet folder of a config.
"""

import argparse
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from PIL import Image

from loaders import _planar, _sheet, classes
from loaders._archives import zip_names
from loaders._arrow import PARQUET_ERRORS
from loaders._errors import Problem, SourceProblem
from loaders._pictures import as_rgb, decoding, opened
from loaders._planar import BatchFile

_MEMBER = re.compile(r"(?:[\w.-]+/)?(?:train_data_batch_\d+|val_data)\.npz")
_BATCH = re.compile(r"(?:train_data_batch_\d+|val_data)(?:\.npz)?")
_SHARD = re.compile(r"([a-z]+)-\d+-of-\d+\.parquet")
_PIECE = 64  # Parquet rows in hand


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loaders.show", description=__doc__)
    add = parser.add_argument
    add("path", type=Path, metavar="FILE_OR_DATASET", help="a zip, a batch, a Parquet file, or a folder of either")
    add("--out", type=Path, metavar="PNG", help="where the picture goes (default: NAME.png here)")
    add("--split", help="of a folder that holds several (default: train, or the only one)")
    add("--images", type=int, default=400, metavar="N", help="how many on the sheet, the first ones (default: 400)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use."""
    options = _parser().parse_args(arguments)
    try:
        print(show(options.path, options.out, options.split, max(0, options.images)))
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or options.path}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def show(path: Path, out: Path | None = None, split: str | None = None, images: int = 400) -> str:
    """Write the picture of a file or folder, and return a line about it. Raises SourceProblem, OSError."""
    shards = _shards(path, split)
    name = f"{path.resolve().name}-{_split(shards[0])}" if shards and path.is_dir() else path.stem
    with _reading_parquet(path) if shards else nullcontext():
        counts, rows = _parquet_counts(shards) if shards else _batch_counts(_batches(path))
        every = _parquet_pictures(shards) if shards else _batch_pictures(_batches(path))
        pictures = [picture for picture, _ in zip(every, range(images), strict=False)]
    title = f"{name}: {len(pictures):,} of {rows:,} images"
    place = out or Path(f"{name}.png")
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        _sheet.draw(title, pictures, counts).save(temporary, "PNG")
        temporary.replace(place)
    finally:
        temporary.unlink(missing_ok=True)
    return f"{place}: {title}" + (f"; {_sheet.describe(counts)}" if counts is not None else "; no labels")


# Parquet


def _shards(path: Path, split: str | None) -> list[Path]:
    """Return the Parquet files to show, none when the path is of batches."""
    if path.is_file():
        with path.open("rb") as file:
            return [path] if file.read(4) == b"PAR1" else []
    found = sorted(path.glob("*.parquet"))
    if not found:
        return []
    splits = sorted({_split(shard) for shard in found})
    wanted = split or ("train" if "train" in splits else splits[0])
    if wanted not in splits:
        raise SourceProblem(f"{path}: holds no split {wanted}; there is {', '.join(splits)}.")
    return [shard for shard in found if _split(shard) == wanted]


def _split(shard: Path) -> str:
    match = _SHARD.fullmatch(shard.name)
    return match[1] if match else shard.stem


def _parquet_counts(shards: Sequence[Path]) -> tuple[npt.NDArray[np.int64] | None, int]:
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


def _batches(path: Path) -> list[_planar.Batch]:
    """Open the batches in the order of their numbers."""
    if path.is_dir():
        files = [BatchFile(place) for place in path.iterdir() if _BATCH.fullmatch(place.name)]
        if not files:
            below = sorted({str(shard.parent) for shard in path.glob("*/*.parquet")})
            hint = f"the folder of one config: {', '.join(below)}" if below else "a zip, a batch or a config's folder"
            raise SourceProblem(f"{path}: holds neither Parquet files nor batches. Name {hint}.")
    elif path.suffix == ".zip":
        files = [BatchFile(path, name) for name in zip_names(path, _MEMBER)[0]]
    else:
        files = [BatchFile(path)]
    return [_opened(file) for file in sorted(files, key=_number)]


def _number(file: BatchFile) -> int:
    return int((re.findall(r"\d+", Path(file.member or file.path.name).name) or [0])[-1])


def _opened(file: BatchFile) -> _planar.Batch:
    data = _planar._arrays(file).get("data")
    width = data.shape[-1] if data and data.shape else 0
    return _planar.Batch(file, math.isqrt(width // 3))


def _batch_counts(batches: Sequence[_planar.Batch]) -> tuple[npt.NDArray[np.int64], int]:
    counts = np.zeros(classes.COUNT, np.int64)
    for batch in batches:
        counts += _count(batch.file, batch.labels)
    return counts, int(counts.sum())


def _batch_pictures(batches: Sequence[_planar.Batch]) -> Iterator[Image.Image]:
    for batch in batches:
        size = math.isqrt(batch.width // 3)
        for row in range(batch.rows):
            yield Image.fromarray(batch.read(row, row + 1).reshape(3, size, size).transpose(1, 2, 0))
        batch.close()


def _count(where: object, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    known = labels[labels != -1]  # a split without labels has -1
    if known.size and (known.min() < 0 or known.max() >= classes.COUNT):
        raise SourceProblem(f"{where}: holds a label outside 0 to {classes.COUNT - 1}.")
    return np.bincount(known, minlength=classes.COUNT)


if __name__ == "__main__":
    sys.exit(main())
