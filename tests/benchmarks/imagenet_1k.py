"""Seconds, bytes read and memory of a build from `ILSVRC/imagenet-1k` in Parquet, drawn at its real size.

    python -m tests.benchmarks.imagenet_1k FOLDER --config 1pct

draws 294 files of train and 14 of validation with 100 rows a row group, 109,500 bytes a photograph, in no order. Only
photographs that are wanted have a picture, of 20 kB: the rest of each file is a hole, so that 145 GB take 9 GB of a
disk. What reads them reads zeros, at the speed of memory: take the bytes for what they are, and seconds as a bound.
"""

import argparse
import io
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from loaders import classes
from loaders.ilsvrc.layout import validation_labels
from publish.sample import archives

_BYTES, _GROUP, _BLOCK = 109_500, 100, 4096
_FILES = {"train": 294, "validation": 14}
_LISTS = {"1percent.txt": 12_811, "10percent.txt": 128_116}
_TRAIN = 1_281_167
_IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_SCHEMA = pa.schema({"image": _IMAGE, "label": pa.int64()})
_Row = tuple[str, int, bool]  # path, label, whether it is wanted


class _Sparse(io.RawIOBase):
    """A new file in which blocks of zeros are holes."""

    def __init__(self, path: Path) -> None:
        self._file, self._at = path.open("wb", buffering=0), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        for start in range(-(self._at % _BLOCK), len(content), _BLOCK):
            piece = content[max(0, start) : start + _BLOCK]
            if any(piece[:64]) or np.frombuffer(piece, np.uint8).any():
                self._file.seek(self._at + max(0, start))
                self._file.write(piece)
        self._at += len(content)
        return len(content)

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._file.truncate(self._at)
            self._file.close()
        super().close()


def draw(folder: Path) -> None:
    """Write lists and Parquet of both splits."""
    wnids, random_order = classes.wnids("ilsvrc"), random.Random(0)
    names = [f"{wnids[n % 1000]}_{n // 1000 + 1}" for n in range(_TRAIN)]
    for name, count in _LISTS.items():
        archives.write_list(folder / name, (f"{stem}.JPEG" for stem in names[:count]))
    wanted = max(_LISTS.values())
    train = [(f"{stem}_{stem[:9]}.JPEG", n % 1000, n < wanted) for n, stem in enumerate(names)]
    labels = enumerate(validation_labels(), 1)
    validation = [(f"ILSVRC2012_val_{n:08d}_{wnids[label]}.JPEG", label, True) for n, label in labels]
    (folder / "data").mkdir()
    for split, rows in (("train", train), ("validation", validation)):
        random_order.shuffle(rows)
        edges = [len(rows) * n // _FILES[split] for n in range(_FILES[split] + 1)]
        for n in tqdm(range(_FILES[split]), desc=f"drawing {split}", disable=None):
            name = f"{split}-{n:05d}-of-{_FILES[split]:05d}.parquet"
            _write(folder / "data" / name, rows[edges[n] : edges[n + 1]])


def _write(path: Path, rows: Sequence[_Row]) -> None:
    with _Sparse(path) as sink, _writer(sink) as writer:
        for at in range(0, len(rows), _GROUP):
            group = rows[at : at + _GROUP]
            images = pa.StructArray.from_arrays(
                [pa.array(list(_photographs(group)), pa.binary()), pa.array([path for path, _, _ in group])],
                ["bytes", "path"],
            )
            labels = pa.array([label for _, label, _ in group], pa.int64())
            writer.write_table(pa.table([images, labels], schema=_SCHEMA), row_group_size=_GROUP)


def _writer(sink: io.RawIOBase) -> pq.ParquetWriter:
    file = pa.PythonFile(sink, mode="w")
    return pq.ParquetWriter(file, _SCHEMA, compression="none", use_dictionary=False, write_statistics=False)


def _photographs(rows: Sequence[_Row]) -> Iterator[bytes]:
    """Yield a file for each; what makes one unlike others stands behind its end mark."""
    for path, label, wanted in rows:
        yield (_picture(label) + path.encode() if wanted else b"").ljust(_BYTES, b"\0")


_PICTURES: dict[int, bytes] = {}


def _picture(label: int) -> bytes:
    if label % 8 not in _PICTURES:
        small = np.random.default_rng(label % 8).integers(0, 255, (12, 16, 3), np.uint8)
        large = Image.fromarray(small).resize((500, 375), Image.Resampling.BICUBIC)
        _PICTURES[label % 8] = archives.encoded(large, "JPEG", quality=80)
    return _PICTURES[label % 8]


def _read() -> int:
    """Return the bytes that this process, and those that it waited for, have asked the system for."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where it is drawn, if it is not there, and built")
    parser.add_argument("--config", default="1pct", choices=("1pct", "10pct"))
    parser.add_argument("--workers", default="2")
    options = parser.parse_args()
    source = options.folder / "imagenet-1k"
    if not source.exists():
        source.mkdir(parents=True)
        draw(source)
    command = ["--config", f"imagenet2012_subset/{options.config}", "--source", source, "--allow-partial"]
    command += ["--out", options.folder / "hub", "--workers", options.workers]
    started, before = time.perf_counter(), _read()
    subprocess.run([sys.executable, "-m", "publish", *map(str, command)], check=True)
    seconds, largest = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"{options.config}: {seconds:.0f} s, {(_read() - before) / 1e9:.1f} GB read, {largest >> 10} MB at most")


if __name__ == "__main__":
    main()
