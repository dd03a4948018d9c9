"""From a published repository to batches of images: ours, by hand, `datasets`, MosaicML Streaming and FFCV.

    python -m tests.benchmarks.train --repeat 3 --mosaic PYTHON --ffcv PYTHON

Everything reads the same rows on the same cores, each way in a process of its own, in turn. Loading: a split, until all
of it can be indexed; by upstream's npz for comparison. Batches: 256 shuffled rows as torch tensors, microseconds an
image, after a first pass that is not counted.
"""

import argparse
import functools
import importlib
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from publish.console.progress import table
from tests.benchmarks import archives
from tests.benchmarks.measure import Measurement, interleaved, run

SIZE, PASSES = 256, 3
SLOW = 10_000  # images after which a way of more than ten microseconds stops
Pass = Callable[[int], Iterator[Any]]


# Loading a split


def by_load_array(folder: Path, size: int, memmap: bool = False) -> int:
    from loaders.training import load_array

    return load_array(str(folder / "ours" / "imagenet_resized"), f"{size}x{size}", "train", memmap=memmap).images.nbytes


def by_np_load(folder: Path, size: int) -> int:
    """Read upstream's archives as a person does who has them: each batch, then all in one array."""
    parts = []
    for path in sorted((folder / "archives").glob(f"Imagenet{size}_train*.zip")):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file, np.load(file) as batch:
                    parts.append((batch["data"], batch["labels"]))
    images = np.concatenate([data for data, _ in parts])
    np.concatenate([labels for _, labels in parts])
    return images.nbytes


def by_datasets(folder: Path, size: int) -> int:
    from datasets import load_dataset

    with tempfile.TemporaryDirectory(dir=folder) as cache:
        repository = str(folder / "ours" / "imagenet_resized")
        rows = load_dataset(repository, f"{size}x{size}", split="train", cache_dir=cache)
        return len(rows) * size * size * 3


LOADS: dict[str, Callable[[Path, int], int]] = {
    "load_array": by_load_array,
    "load_array, memmap": partial(by_load_array, memmap=True),
    "np.load of upstream's npz": by_np_load,
    "datasets, into its cache": by_datasets,
}


# Batches


def arrays(folder: Path, size: int, memmap: bool = False) -> Any:
    from loaders.training import load_array

    return load_array(str(folder / "ours" / "imagenet_resized"), f"{size}x{size}", "train", memmap=memmap)


def ours(folder: Path, size: int, memmap: bool = False, workers: int | None = None) -> Pass:
    from torch.utils.data import DataLoader

    from loaders.training.torch import Batches

    batches = Batches(arrays(folder, size, memmap), SIZE)

    def epoch(number: int) -> Iterator[Any]:
        batches.set_epoch(number)
        return iter(batches if workers is None else DataLoader(batches, batch_size=None, num_workers=workers))

    return epoch


def flipped_and_cropped(folder: Path, size: int) -> Pass:
    from loaders.training.torch import flip_and_crop

    epoch = ours(folder, size)
    return lambda number: (flip_and_crop(images) for images, _ in epoch(number))


def by_hand(folder: Path, size: int) -> Pass:
    import torch

    data = arrays(folder, size)

    def epoch(number: int) -> Iterator[Any]:
        order = np.random.default_rng(number).permutation(len(data))
        for at in range(0, len(order), SIZE):
            rows = order[at : at + SIZE]
            yield torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2), torch.from_numpy(data.labels[rows])

    return epoch


def rows_of(folder: Path, size: int) -> Any:
    from datasets import load_dataset

    repository = str(folder / "ours" / "imagenet_resized")
    return load_dataset(repository, f"{size}x{size}", split="train", cache_dir=str(folder / "cache"))


def eight_lines(folder: Path, size: int, count: int = SIZE) -> Pass:
    import re

    from tests.kit.building import ROOT

    found = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "training.md").read_text(), re.DOTALL)
    (code,) = (code.split("if __name__")[0] for code in found if "class Rows" in code)
    names: dict[str, Any] = {}
    exec(code, names)
    rows = names["Rows"](rows_of(folder, size))
    return lambda number: iter(names["epoch_of"](rows, count, number))


def by_torch_format(folder: Path, size: int, workers: int) -> Pass:
    from torch.utils.data import DataLoader

    rows = rows_of(folder, size).with_format("torch")
    return lambda number: iter(DataLoader(rows, batch_size=SIZE, shuffle=True, num_workers=workers))


WAYS: dict[str, Callable[[Path, int], Pass]] = {
    "Batches, from memory": ours,
    "Batches, from memmap": partial(ours, memmap=True),
    "an index by hand": by_hand,
    "Batches, flipped and cropped": flipped_and_cropped,
    "Batches in a DataLoader, 2 workers": partial(ours, workers=2),
    "rows of the Arrow cache": eight_lines,
    'with_format("torch")': partial(by_torch_format, workers=0),
    'with_format("torch"), 2 workers': partial(by_torch_format, workers=2),
}
FEW = ('with_format("torch")', 'with_format("torch"), 2 workers')


def timed(epoch: Pass, limit: int) -> dict[str, float]:
    """Return the medians over passes of seconds and processor seconds an image."""
    costs, used = [], []
    for number in range(PASSES + 1):
        images, start, began = 0, time.perf_counter(), time.process_time()
        for batch in epoch(number):
            batch = batch["image"] if isinstance(batch, dict) else batch
            images += len(batch[0] if isinstance(batch, tuple | list) else batch)
            if images >= limit:
                break
        costs.append((time.perf_counter() - start) / images)
        used.append((time.process_time() - began) / images)
    return {"value": statistics.median(costs[1:]), "cpu": statistics.median(used[1:])}


def loaded(load: Callable[[Path, int], int], folder: Path, size: int) -> dict[str, float]:
    """Return the seconds and processor seconds of one load, and the largest memory beside the array, in bytes."""
    importlib.import_module("datasets" if load is by_datasets else "loaders.training")
    start, began = time.perf_counter(), time.process_time()
    nbytes = load(folder, size)
    used = time.process_time() - began
    return {"value": time.perf_counter() - start, "cpu": used, "beside": _peak() - nbytes}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def swift(folder: Path, size: int) -> dict[str, float]:
    """Return the seconds until the first batch of an epoch, and of one that is gone on with, and to open a memmap."""
    from loaders.training.torch import Batches

    data = arrays(folder, size, memmap=True)
    start = time.perf_counter()
    arrays(folder, size, memmap=True)
    opened = time.perf_counter() - start
    batches = Batches(data, SIZE)
    start = time.perf_counter()
    batches.set_epoch(5)
    next(iter(batches))
    begun = time.perf_counter() - start
    state = batches.state_dict() | {"done": len(batches) // 2}
    start = time.perf_counter()
    batches.load_state_dict(state)
    next(iter(batches))
    return {"value": begun, "resumed": time.perf_counter() - start, "opened": opened}


# All of them


def once(what: str, folder: Path, size: int) -> dict[str, float]:
    """Measure one thing in this process."""
    if what == "swift":
        return swift(folder, size)
    if what in LOADS:
        return loaded(LOADS[what], folder, size)
    return timed(WAYS[what](folder, size), SLOW if what in FEW else 1 << 60)


def prepare(work: Path, sizes: list[int], images: int) -> None:
    """Draw archives and build the repository, if that was not done yet."""
    config = [word for size in sizes for word in ("--config", f"imagenet_resized/{size}x{size}")]
    if not (work / "archives").exists():
        archives.write(work / "archives", sizes, images)
    if not (work / "ours").exists():
        source = ["--source", str(work / "archives"), "--out", str(work / "ours")]
        run([sys.executable, "-m", "publish", *config, *source, "--allow-partial"], {"HF_HUB_OFFLINE": "1"})


def commands(options: argparse.Namespace, size: int) -> dict[str, list[str]]:
    """Return the command that measures each thing once."""
    work = options.work
    own = [sys.executable, "-m", "tests.benchmarks.train", "--work", str(work), "--sizes", str(size), "--time"]
    found = {name: [*own, name] for name in (*LOADS, *WAYS, "swift")}
    for name, python in (("MosaicML Streaming, raw", options.mosaic), ("FFCV, raw", options.ffcv)):
        if python:
            peer = Path(__file__).parent / "peers" / f"{name.split()[0].strip(',').lower()}_peer.py"
            found[name] = [python, str(peer), str(work / f"{peer.stem}-{size}"), str(work / f"plain-{size}")]
    return {name: command for name, command in found.items() if name in (options.only or found)}


def plain(work: Path, size: int) -> None:
    """Leave the rows as two .npy files, for peers in environments of their own."""
    folder = work / f"plain-{size}"
    if not folder.exists():
        data = arrays(work, size)
        folder.mkdir()
        np.save(folder / "images.npy", data.images)
        np.save(folder / "labels.npy", data.labels)


def measured(command: list[str], work: Path) -> Measurement:
    settings = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "2"}
    for left in (work / "xdg").glob("imagenet-variants/arrays/*"):
        if "memmap" in command[-1] and command[-1] in LOADS:  # to be made anew
            _remove(left)
    return run(command, settings | {"XDG_CACHE_HOME": str(work / "xdg")}, memory=False)


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()


def lines(size: int, found: dict[str, list[Measurement]]) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each thing: the median, the best, and what else was measured."""
    for name, runs in found.items():
        results = [json.loads(measurement.output.splitlines()[-1]) for measurement in runs]
        values = sorted(result["value"] for result in results)
        unit = 1 if name in LOADS else 1e3 if name == "swift" else 1e6
        name = "first batch of an epoch, ms" if name == "swift" else name
        what = "s" if unit == 1 else "ms" if unit == 1e3 else "us an image"
        used = [result["cpu"] for result in results if "cpu" in result]
        numbers = (statistics.median(values), values[0], *([min(used)] if used else []))
        row = (f"{size}x{size}", name, *(f"{number * unit:.2f}" for number in numbers), *([] if used else ["-"]), what)
        rest = {key: min(r[key] for r in results) for key in results[0] if key not in ("value", "cpu")}
        told = [f"{key} {x / 1e6:.0f} MB" if key == "beside" else f"{key} {x * 1e3:.1f} ms" for key, x in rest.items()]
        yield (*row, ", ".join(told) or "-")


def main() -> None:
    """Measure each size and print one table, or with --time measure one thing and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[32, 64])
    add("--images", type=int, default=50_000, help="that are drawn")
    add("--repeat", type=int, default=3)
    add("--work", type=Path, help="folder that keeps archives and what is built (default: a temporary one)")
    add("--mosaic", metavar="PYTHON", help="python of an environment with mosaicml-streaming")
    add("--ffcv", metavar="PYTHON", help="python of an environment with ffcv")
    add("--only", nargs="+", metavar="NAME", help="of the table, and no other")
    add("--time", choices=(*LOADS, *WAYS, "swift"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(once(options.time, options.work, options.sizes[0])), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        options.work = (options.work or Path(folder)).resolve()
        prepare(options.work, options.sizes, options.images)
        rows: list[tuple[str, ...]] = []
        for size in options.sizes:
            if options.mosaic or options.ffcv:
                plain(options.work, size)
            runs = {
                name: functools.partial(measured, command, options.work)
                for name, command in commands(options, size).items()
            }
            rows += lines(size, interleaved(options.repeat, runs))
    print(f"{options.repeat} runs of each, on {len(os.sched_getaffinity(0))} cores")
    print(table(("size", "what", "median", "best", "cpu", "unit", "beside"), rows))


if __name__ == "__main__":
    main()
