"""Time and bytes read of each form that a dataset is taken in, beside the registered one.

Drawn archives are laid out in each form; all splits are found, planned and built in this process, and every shard is
held against the registered form's. The files are in the system's cache.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from publish.build.shard import write_shard
from publish.console.progress import megabytes, table
from tests.kit import archives, contract, forms

Lay = Callable[[Path], object]


def _cases() -> list[tuple[str, str, str, Lay]]:
    """Return (dataset, config, form, what lays it out); the registered form of each config first."""
    found: list[tuple[str, str, str, Lay]] = []
    for size in (8, 16, 64):
        config = f"{size}x{size}"
        found.append(("imagenet_resized", config, "registered", partial(archives.resized, sizes=[size])))
        found += [("imagenet_resized", config, name, lay) for name, (s, lay) in forms.RESIZED.items() if s == size]
    found.append(("downsampled_imagenet", "32x32", "registered", archives.downsampled))
    found += [("downsampled_imagenet", "32x32", name, lay) for name, lay in forms.DOWNSAMPLED.items()]
    found.append(("imagenet_v2", "topimages", "registered", archives.v2))
    return found + [("imagenet_v2", "topimages", name, lay) for name, lay in forms.V2.items()]


def _read() -> int:
    """Return the bytes that this process has asked the system for."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def _built(dataset: str, config: str, folder: Path, out: Path) -> tuple[list[str], float, int]:
    """Return the SHA-256 of each shard, seconds, and bytes read."""
    out.mkdir()
    started, before = time.perf_counter(), _read()
    plans = contract.plans(dataset, config, folder)
    jobs = [(plan.split.name, n, job) for plan in plans for n, job in enumerate(plan.jobs)]
    shards = [write_shard(job, out / f"{split}-{n}").sha256 for split, n, job in jobs]
    return shards, time.perf_counter() - started, _read() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000, help="of train, at most 1000")
    rows = parser.parse_args().rows
    archives.SPLITS.update(train=rows, validation=rows // 10)
    lines, wanted = [], list[str]()
    with tempfile.TemporaryDirectory() as name:
        archives.v2(_made(Path(name, "warm")))
        _built("imagenet_v2", "topimages", Path(name, "warm"), Path(name, "warmed"))  # so that no import is timed
    for dataset, config, form, lay in _cases():
        with tempfile.TemporaryDirectory() as name:
            lay(_made(Path(name, "source")))
            shards, seconds, read = _built(dataset, config, Path(name, "source"), Path(name, "out"))
        wanted = shards if form == "registered" else wanted
        same = "" if form == "registered" else "yes" if shards == wanted else "NO"
        lines.append((f"{dataset}/{config}", form, f"{seconds:.2f} s", megabytes(read), same))
    print(table(("config", "form", "time", "read", "same shards"), lines))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
