"""Photographs in Parquet as datasets on the Hub have them: columns `image` {bytes, path} and `label`.

Paths and labels are columns by themselves, a few hundredths of a percent of a file: they are read first. Of the bytes,
only the row groups are read that hold a wanted row, a page at a time, up to the last of them. However a row group was
cut, a few photographs are held at a time.
"""

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from loaders._errors import SourceProblem
from loaders.files.places import is_local
from loaders.files.reading import open_file
from loaders.formats.tars import PHOTO_LIMIT

_ROWS_AT_A_TIME, _MEMORY = 1 << 14, 1 << 29
_PIECE, _REMOTE_PIECE = 1 << 18, 4 << 20  # bytes of a request
_FOOTER_LIMIT = 1 << 26  # bytes; the Hub's have 30 kB
_ROWS_LIMIT = 1 << 24  # of one file: twelve times all of ILSVRC
_NAME_LIMIT = 1 << 10  # bytes of a path and what Parquet needs beside it, in the mean of a row group
# At most 22 bytes of each (a copy of 64 bytes takes three): no other bounds what a page comes to.
_CODECS, _FACTOR = ("SNAPPY", "UNCOMPRESSED"), 22
_MAGIC = b"PAR1"


@dataclass(frozen=True)
class Rows:
    """What each row of a file is called there, and its label."""

    paths: list[str]
    labels: list[int]


def rows(path: Path) -> int:
    """Return the rows of a file, as its footer says. Raises SourceProblem as `scan` does."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def scan(path: Path) -> Rows:
    """Return path and label of every row; of the photographs nothing is read.

    Raises SourceProblem for a file that is none or has other columns, a row without a path, and more than is honest.
    """
    found = Rows([], [])
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            for batch in _batches(file, group, "image.path", ["image.path", "label"]):
                names = batch.column("image").field("path")
                _check_names(path, names)
                found.paths.extend(names.to_pylist())
                found.labels.extend(batch.column("label").to_pylist())
    if None in found.paths or None in found.labels:
        raise SourceProblem(
            f"{path}: a row has no path or no label, expected names like n01440764_18_n01440764.JPEG in image.path. Is "
            "it a copy of ILSVRC that was written anew, without names?"
        )
    return found


def cost(path: Path, wanted: Sequence[int]) -> int:
    """Return how many bytes `read` reads at most of some rows, given in rising order. Raises SourceProblem."""
    with _opened(path) as file:
        leaves = _leaves(file)
        groups = [file.metadata.row_group(number) for number, _ in _groups(path, file, wanted)]
        columns = [group.column(leaves[name]) for group in groups for name in ("image.bytes", "image.path")]
        return sum(column.total_compressed_size for column in columns)


def _batches(file: pq.ParquetFile, group: int, largest: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a group, so few at a time that they fit into memory whatever the file holds.

    A dictionary holds a value once, and every row that says it holds it anew. None is larger than all of its column
    comes to at most.
    """
    chunk = file.metadata.row_group(group).column(_leaves(file)[largest])
    at_most = _FACTOR * max(1, chunk.total_compressed_size)
    count = max(1, min(_ROWS_AT_A_TIME, _MEMORY // at_most))
    yield from file.iter_batches(count, row_groups=[group], columns=columns, use_threads=False)


def _check_names(path: Path, names: pa.Array) -> None:
    import pyarrow.compute as pc  # takes longer to import than a small build to start, and few read Parquet

    longest = pc.max(pc.binary_length(getattr(names, "dictionary", names))).as_py() or 0
    if longest > _NAME_LIMIT:
        raise SourceProblem(f"{path}: holds a path of {longest:,} bytes, expected at most {_NAME_LIMIT:,}. {_AGAIN}")


def read(path: Path, wanted: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of some rows, given in rising order. Raises SourceProblem."""
    with _opened(path) as file:
        for group, rows in _groups(path, file, wanted):
            yield from _read_group(path, file, group, rows)


def _groups(path: Path, file: pq.ParquetFile, wanted: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Yield each row group that holds a wanted row, and which those are in it."""
    counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    starts = list(itertools.accumulate(counts, initial=0))
    if wanted and wanted[-1] >= starts[-1]:
        raise _changed(path, wanted[-1])
    for group, (start, stop) in enumerate(itertools.pairwise(starts)):
        if rows := [row - start for row in wanted[bisect_left(wanted, start) : bisect_left(wanted, stop)]]:
            yield group, rows


def _read_group(path: Path, file: pq.ParquetFile, group: int, wanted: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """Yield those of a row group, which is left once the last of them was read."""
    left, at = list(wanted), 0
    for batch in _batches(file, group, "image.bytes", ["image.bytes", "image.path"]):
        image = batch.column("image")
        while left and left[0] < at + len(image):
            row = left.pop(0) - at
            yield str(image.field("path")[row].as_py()), _photograph(path, image.field("bytes")[row])
        at += len(image)
        if not left:
            return
    raise _changed(path, left[0])


def _photograph(path: Path, value: pa.Scalar) -> bytes:
    buffer = value.as_buffer()
    if buffer is None or buffer.size > PHOTO_LIMIT:
        size = f"{buffer.size:,} bytes" if buffer else "nothing"
        raise SourceProblem(f"{path}: holds {size} for a photograph, expected at most {PHOTO_LIMIT:,}. {_AGAIN}")
    return bytes(buffer)


_AGAIN = "Download it again."


def _changed(path: Path, row: int) -> SourceProblem:
    return SourceProblem(f"{path}: has no row {row:,}, which it had when it was indexed. Run again when it is whole.")


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with open_file(path, ahead=False) as raw:
            _check_end(path, raw.seek(0, 2), raw)
            raw.seek(0)
            piece = _PIECE if is_local(path) else _REMOTE_PIECE
            with pq.ParquetFile(raw, buffer_size=piece, pre_buffer=False) as file:
                _check(path, file)
                yield file
    except FileNotFoundError:
        raise SourceProblem(f"{path}: is not there, or a link to what is not there. {_AGAIN}") from None
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SourceProblem(
            f"{path}: the Parquet cannot be read ({' '.join(str(error).split())[:200]}). {_AGAIN}"
        ) from error


def _check_end(path: Path, size: int, file: "object") -> None:
    """Raise SourceProblem for a footer that is too large to be looked at."""
    file.seek(max(0, size - 8))  # type: ignore[attr-defined]
    end = file.read(8)  # type: ignore[attr-defined]
    if len(end) < 8 or end[4:] != _MAGIC:
        raise SourceProblem(f"{path}: ends without the mark of Parquet: cut short, or none. {_AGAIN}")
    if (claimed := int.from_bytes(end[:4], "little")) > min(_FOOTER_LIMIT, size):
        raise SourceProblem(
            f"{path}: its footer claims {claimed:,} bytes, expected at most {_FOOTER_LIMIT:,}. {_AGAIN}"
        )


def _leaves(file: pq.ParquetFile) -> dict[str, int]:
    return {file.schema.column(n).path: n for n in range(len(file.schema))}


def _check(path: Path, file: pq.ParquetFile) -> None:
    """Raise SourceProblem for other columns than an image's and a label, and for more than is honest."""
    leaves = _leaves(file)
    kinds = {name: file.schema.column(n).physical_type for name, n in leaves.items()}
    expected = {"image.bytes": "BYTE_ARRAY", "image.path": "BYTE_ARRAY", "label": "INT64"}
    if any(kinds.get(name) != kind for name, kind in expected.items()):
        found = ", ".join(kinds)[:200]
        raise SourceProblem(f"{path}: has the columns {found}; expected image {{bytes, path}} and label (int64).")
    if file.metadata.num_rows > _ROWS_LIMIT:
        raise SourceProblem(f"{path}: claims {file.metadata.num_rows:,} rows, expected at most {_ROWS_LIMIT:,}.")
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        codecs = {group.column(leaves[name]).compression for name in expected}
        if strange := codecs - {*_CODECS}:
            raise SourceProblem(
                f"{path}: is packed by {min(strange)}, expected {' or '.join(_CODECS)}, as the Hub's is: a few bytes "
                "packed by others may come to gigabytes. Write it anew, or take the Hub's."
            )
        names = group.column(leaves["image.path"]).total_compressed_size
        if names > _NAME_LIMIT * (group.num_rows + 1):
            raise SourceProblem(f"{path}: claims {names:,} bytes of names for {group.num_rows:,} rows. {_AGAIN}")
