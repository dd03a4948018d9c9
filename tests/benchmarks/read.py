"""How fast `imagenet_resized` reads: ours and stock's Parquet streamed by `datasets`, and TFDS, on the same images.

    python -m tests.benchmarks.read [SOURCE] --sizes 8 16 32 64 --repeat 5 --tfds PYTHON

SOURCE is a folder of upstream's zips; without one, archives of --images drawn images are made. Ours and stock are built
from it once. Then every reader runs in a fresh process, in turn with the others, and its seconds are those from the
first row asked for to the last row got as pixels: imports and `load_dataset` are not counted. Readers of rows stop
after --rows rows, readers of batches read the train split. Ours has one row group a shard, which a reader of few rows
pays whole. With torch installed, a `DataLoader` over the stream is timed too. Processor seconds stand beside the
wall's: on a machine with other work they are the steadier ones.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

import argparse
import importlib.util
import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from loaders.images import decode
from publish.console.progress import table
from tests.benchmarks import archives
from tests.benchmarks.measure import Measurement, interleaved, run

ROWS = {8: 50_000, 16: 50_000, 32: 12_500, 64: 12_500}
BATCH = 1000
WORKERS = (0, 2)  # of a DataLoader
HEAD = ("size", "who", "how", "images/s", "us/image", "CPU us", "to stock's rows")


def rows(stream: Any) -> Iterator[int]:
    """Read row by row, as the documentation of `datasets` shows."""
    for row in stream:
        np.asarray(row["image"])
        yield 1


def undecoded_rows(stream: Any) -> Iterator[int]:
    """Read row by row and decode nothing: what is left when decoding is free."""
    import datasets

    for _ in stream.cast_column("image", datasets.Image(decode=False)):
        yield 1


def library_batches(stream: Any) -> Iterator[int]:
    """Read batches by `datasets` alone: lists of Pillow images."""
    for batch in stream.iter(batch_size=BATCH):
        yield len([np.asarray(image) for image in batch["image"]])


def decoded_batches(stream: Any) -> Iterator[int]:
    """Read Arrow batches and decode each at once."""
    for batch in stream.with_format("arrow").iter(batch_size=BATCH):
        yield len(decode(batch["image"]))


def arrow_batches(stream: Any) -> Iterator[int]:
    """Read Arrow batches and decode nothing: what is left when decoding is free."""
    for batch in stream.with_format("arrow").iter(batch_size=BATCH):
        yield len(batch)


def loaded_rows(stream: Any, workers: int) -> Iterator[int]:
    """Read rows through a DataLoader that collates them, `datasets`' own way to torch."""
    from torch.utils.data import DataLoader

    for batch in DataLoader(stream.with_format("torch"), batch_size=BATCH, num_workers=workers):
        yield len(batch["image"])


def loaded_batches(stream: Any, workers: int) -> Iterator[int]:
    """Read decoded batches through a DataLoader whose workers share the shards."""
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info

    class Decoded(IterableDataset):  # type: ignore  # torch may be missing
        def __iter__(self) -> Iterator[np.ndarray]:
            info = get_worker_info()
            part = stream.shard(info.num_workers, info.id) if info else stream
            for batch in part.with_format("arrow").iter(batch_size=BATCH):
                yield decode(batch["image"])

    for images in DataLoader(Decoded(), batch_size=None, num_workers=workers):
        yield len(images)


READERS: dict[str, Callable[[Any], Iterator[int]]] = {
    "rows": rows,
    "rows, not decoded": undecoded_rows,
    "batches of datasets": library_batches,
    "batch decode": decoded_batches,
    "Arrow batches, not decoded": arrow_batches,
}
LOADERS: dict[str, Callable[[Any], Iterator[int]]] = {
    f"DataLoader, {what}, {workers} workers": partial(function, workers=workers)
    for what, function in (("rows", loaded_rows), ("batch decode", loaded_batches))
    for workers in WORKERS
}
# the ways that stock's files are read; their PNGs are not for our decoder
STOCK = ("rows", "rows, not decoded", "batches of datasets")


def open_stream(folder: Path, size: int, **settings: Any) -> Any:
    """Return the streaming train split of ours, where the folder holds a dataset repository, else of loose Parquet."""
    import datasets

    settings |= {"split": "train", "streaming": True}
    if (folder / "imagenet_resized").is_dir():
        return datasets.load_dataset(str(folder / "imagenet_resized"), f"{size}x{size}", **settings)
    files = sorted(str(path) for path in folder.glob("*train*.parquet"))
    return datasets.load_dataset("parquet", data_files={"train": files}, **settings)


def time_once(how: str, folder: Path, size: int, limit: int) -> dict[str, float]:
    """Read once in this process, to the end or to `limit` images: the images, the seconds and the processor seconds."""
    counts, images = {**READERS, **LOADERS}[how](open_stream(folder, size)), 0
    start, used = time.perf_counter(), time.process_time()
    for count in counts:
        images += count
        if images >= limit:
            break
    return {"images": images, "seconds": time.perf_counter() - start, "cpu": time.process_time() - used}


def cut(source: Path, out: Path, size: int, images: int) -> None:
    """Write archives of about `images` train images to `out`: TFDS would build the whole for minutes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    paths = sorted(source.glob(f"Imagenet{size}_*_npz.zip"))
    members = sum(len(zipfile.ZipFile(path).namelist()) for path in paths if "train" in path.name)
    for path in paths:
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(out / path.name, "w") as part:
            for name in whole.namelist():
                arrays = np.load(io.BytesIO(whole.read(name)))
                kept = {key: arrays[key][: images // members] for key in ("data", "labels")}
                np.savez_compressed(buffer := io.BytesIO(), mean=arrays["data"].mean(axis=0), **kept)
                part.writestr(name, buffer.getvalue())


@dataclass(frozen=True)
class Reader:
    """What is timed: whose files, read how, and the command that does it once."""

    who: str
    how: str
    command: Sequence[str]


def prepare(size: int, source: Path, work: Path, options: argparse.Namespace) -> list[Reader]:
    """Build what is not built yet below `work` and return the readers."""
    ours, stock, tfds = (work / f"{who}-{size}" for who in ("ours", "stock", "tfds"))
    here = [sys.executable, "-m"]
    config = ["--config", f"imagenet_resized/{size}x{size}", "--allow-partial"]
    _build(ours, [*here, "publish", *config, "--source", str(source), "--out"])
    _build(stock, [*here, "tests.benchmarks.peers.stock", "--size", str(size), str(source)])
    readers = [_reader(size, who, how, folder, options) for who, how, folder in _ways(ours, stock)]
    if options.tfds:
        peer, few = [options.tfds, "-m", "tests.benchmarks.peers.tfds_peer", "--size", str(size)], work / f"cut-{size}"
        if not tfds.exists():
            cut(source, few, size, options.rows or ROWS[size])
        _build(tfds, [*peer, str(few)])
        readers.append(Reader("TFDS", "rows", [*peer, str(few), str(tfds), "--read"]))
    return readers


def _build(out: Path, command: list[str]) -> None:
    if out.exists():
        return
    partial_out = out.with_suffix(".partial")  # a build that was broken off is not taken for a whole one
    shutil.rmtree(partial_out, ignore_errors=True)
    run([*command, str(partial_out)], {"HF_HUB_OFFLINE": "1"})
    partial_out.rename(out)


def _ways(ours: Path, stock: Path) -> list[tuple[str, str, Path]]:
    torch = LOADERS if importlib.util.find_spec("torch") else {}
    mine = [("ours", how, ours) for how in (*READERS, *torch)]
    theirs = (*STOCK, *(how for how in torch if "rows" in how))
    return [("stock", how, stock) for how in theirs] + mine


def _reader(size: int, who: str, how: str, folder: Path, options: argparse.Namespace) -> Reader:
    limit = 1 << 60 if "decode" in how and not how.startswith("rows") else options.rows or ROWS[size]
    command = [sys.executable, "-m", "tests.benchmarks.read", str(folder), "--time", how]
    return Reader(who, how, [*command, "--sizes", str(size), "--rows", str(limit)])


def compare(size: int, source: Path, work: Path, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Measure one image size and return a row of the table for each reader."""
    readers = prepare(size, source, work, options)
    found = interleaved(options.repeat, {f"{r.who} {r.how}": partial(_read, r.command) for r in readers})
    costs = {name: _cost(measurements) for name, measurements in found.items()}
    stock = costs["stock rows"][0]
    return [_line(size, reader, *costs[f"{reader.who} {reader.how}"], stock) for reader in readers]


def _read(command: Sequence[str]) -> Measurement:
    return run(command, {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"})


def _cost(measurements: Sequence[Measurement]) -> tuple[float, float | None]:
    """Return the medians of wall and processor time in us an image."""
    results = [json.loads(found.output.splitlines()[-1]) for found in measurements]
    wall = statistics.median(r["seconds"] / r["images"] for r in results) * 1e6
    used = [r["cpu"] / r["images"] * 1e6 for r in results if "cpu" in r]
    return wall, statistics.median(used) if used else None


def _line(size: int, reader: Reader, wall: float, used: float | None, stock: float) -> tuple[str, ...]:
    ratio = f"{stock / wall:.2f}" if stock / wall < 10 else f"{stock / wall:.1f}"
    processor = f"{used:.2f}" if used is not None and "workers" not in reader.how else "-"
    return (f"{size}x{size}", reader.who, reader.how, f"{1e6 / wall:,.0f}", f"{wall:.2f}", processor, ratio)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("source", type=Path, nargs="?", help="folder of upstream's zips (default: drawn ones)")
    add("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64])
    add("--images", type=int, default=50_000, help="of the archives that are drawn without SOURCE")
    add("--rows", type=int, help="rows after which readers of rows stop (default: 50,000, at 32 and 64 px 12,500)")
    add("--repeat", type=int, default=5)
    add("--work", type=Path, help="folder that keeps what is built, for the next run (default: a temporary one)")
    add("--tfds", metavar="PYTHON", help="python of an environment with the extra `bench`")
    add("--time", choices=(*READERS, *LOADERS), help="read the built folder SOURCE once and print the seconds")
    return parser


def main() -> None:
    """Measure every size and print one table, or with --time read once and print one line of JSON."""
    options = _parser().parse_args()
    if options.time:
        print(json.dumps(time_once(options.time, options.source, options.sizes[0], options.rows)), flush=True)
        os._exit(0)  # leaving a partly read stream may hang the interpreter's end: apache/arrow#45214
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        work = options.work or Path(folder)
        source = options.source or Path(folder) / "archives"
        if not options.source:
            archives.write(source, options.sizes, options.images, seed=0)
        lines = [line for size in options.sizes for line in compare(size, source, work, options)]
    print(f"medians of {options.repeat}")
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
