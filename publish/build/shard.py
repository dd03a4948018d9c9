"""A job written as one Parquet file, and the receipt of what was written.

One row group, so that a reader who leaves a stream early can (apache/arrow#45214); pages cut by content (512 KB to
1 MB), so that a viewer's page of rows is a short read; ZSTD 1 on the image column, which does the compressing for
stored PNGs.
The table behind these choices: tests/benchmarks/README.md.
"""

import hashlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import loaders
from loaders.base import held
from publish.build import measure
from publish.build.measure import Statistics

FORMAT = 1  # raised when the bytes of a shard change for the same input: then, and only then, all are built anew
CHUNKING = {"min_chunk_size": 512 << 10, "max_chunk_size": 1024 << 10, "norm_level": 0}


@dataclass(frozen=True)
class Receipt:
    """What is known of a finished shard: sizes in bytes, `nbytes` that of its rows in Arrow."""

    rows: int
    bytes: int
    nbytes: int
    sha256: str
    seconds: float
    statistics: Statistics


class _Hashed(io.RawIOBase):
    """A file that is hashed while it is written, so that its bytes need not be read again."""

    _file: Any = io.BytesIO()  # what is closed of one whose file could not be opened

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.digest.update(view)
        done = 0
        while done < len(view):  # a raw file may take less than it was given, near the end of a disk
            done += self._file.write(view[done:])
        self.size += done
        return done

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def write_shard(job: loaders.Job, path: Path) -> Receipt:
    """Write the rows of a job to a new file at `path` and return its receipt.

    The receipt of a split's first shard, which its name tells, has the images for the pictures on the card. What a
    failure leaves is the caller's to remove.
    """
    started = time.perf_counter()
    loader = loaders.load(job.dataset)
    shown = measure.SHOWN if "-00000-of-" in path.name else 0
    batches, measured = [], []
    for batch in held.batches(loader, job):
        batches.append(batch.rows)
        measured.append(measure.of_batch(batch, shown))
        shown -= len(measured[-1].first)
    table = pa.Table.from_batches(batches, batches[0].schema if batches else loader.DATASET.schema)
    if table.num_rows != job.rows:
        raise loaders.SourceProblem(f"{path.name}: expected {job.rows:,} rows, found {table.num_rows:,}.")
    sink = _Hashed(path)
    with sink:
        _write(table, sink)
    seconds = time.perf_counter() - started
    return Receipt(job.rows, sink.size, table.nbytes, sink.digest.hexdigest(), seconds, measure.merged(measured))


def _write(table: pa.Table, sink: _Hashed) -> None:
    with pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        table.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=["label"] if "label" in table.schema.names else False,
        write_statistics=[name for name in table.schema.names if name != "image"],
        write_page_index=True,
        use_content_defined_chunking=CHUNKING,
    ) as writer:
        writer.write_table(table, row_group_size=table.num_rows)
        # the key that `datasets` writes, and the one that the Hub documents
        for key in ("content_defined_chunking", "use_content_defined_chunking"):
            writer.add_key_value_metadata({key: json.dumps(CHUNKING)})
