"""How long building `imagenet_resized` takes: ours, stock `datasets`, TFDS, and the floor, on the same archives.

    python -m tests.benchmarks.build [SOURCE] --sizes 8 16 32 64 --repeat 5 --tfds PYTHON

SOURCE is a folder of upstream's zips, of any size; without one, archives of --images drawn images are made. Each
command is run whole, in a fresh folder, in turn with the others. What an image costs is the marginal time: the run on
SOURCE minus the run on 2,000 images; the fixed part stands beside it. TFDS wants an environment of its own: the extra
`bench`, or any other whose python is given with --tfds.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from publish.console.progress import table
from tests.benchmarks import archives
from tests.benchmarks.measure import Measurement, interleaved, run

SMALL = 2_000


@dataclass(frozen=True)
class Peer:
    """A way to build: its name and the command for (source, out)."""

    name: str
    command: Callable[[Path, Path], list[str]]


def peers(size: int, workers: int, tfds: str | None) -> list[Peer]:
    """Return ours, stock and, when its python is given, TFDS."""
    here = [sys.executable, "-m"]
    parallel = ["--workers", str(workers)]

    def ours(source: Path, out: Path) -> list[str]:
        config = ["--config", f"imagenet_resized/{size}x{size}", "--allow-partial"]
        return [*here, "publish", *config, "--source", str(source), "--out", str(out), *parallel]

    def stock(source: Path, out: Path) -> list[str]:
        return [*here, "tests.benchmarks.peers.stock", str(source), str(out), "--size", str(size), *parallel]

    def tensorflow(source: Path, out: Path) -> list[str]:
        return [str(tfds), "-m", "tests.benchmarks.peers.tfds_peer", str(source), str(out), "--size", str(size)]

    return [Peer("ours", ours), Peer("stock", stock)] + ([Peer("TFDS", tensorflow)] if tfds else [])


def build(peer: Peer, source: Path, out: Path, memory: bool = False) -> Measurement:
    """Build once into an emptied folder; what was remembered of the archives is forgotten first."""
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as cache:
        env = {"XDG_CACHE_HOME": cache, "HF_HOME": cache, "HF_HUB_OFFLINE": "1"}
        return run(peer.command(source, out), env, memory=memory)


def images(out: Path) -> int:
    """Return the rows of all Parquet files under a folder."""
    return sum(pq.read_metadata(path).num_rows for path in out.rglob("*.parquet"))


def size_of(out: Path, pattern: str) -> int:
    """Return the bytes of the files under a folder that match the pattern."""
    return sum(path.stat().st_size for path in out.rglob(pattern))


def compare(size: int, source: Path, work: Path, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Measure one image size and return a row of the table for each peer, and one for the floor."""
    small = work / f"small-{size}"
    archives.write(small, [size], SMALL, seed=0)
    every = peers(size, options.workers, options.tfds)
    runs = {p.name: partial(build, p, source, work / p.name) for p in every}
    runs |= {f"{p.name} small": partial(build, p, small, work / f"{p.name}-small") for p in every}
    command = [sys.executable, "-m", "tests.benchmarks.floor", str(source), str(work / "ours"), "--size", str(size)]
    runs["floor"] = partial(run, [*command, "--workers", str(options.workers)])
    found = interleaved(options.repeat, runs)
    peaks = {p.name: build(p, source, work / p.name, memory=True).peak for p in every}
    rows, few = images(work / "ours"), images(work / "ours-small")
    wall = {name: statistics.median(m.wall for m in ms) for name, ms in found.items()}
    cost = {p.name: (wall[p.name] - wall[f"{p.name} small"]) / (rows - few) * 1e6 for p in every}
    cost["floor"] = statistics.median(json.loads(m.output)["seconds"] for m in found["floor"]) / rows * 1e6
    sizes = {p.name: size_of(work / p.name, "*.tfrecord*" if p.name == "TFDS" else "*.parquet") for p in every}
    lines: list[tuple[str, ...]] = []
    for name, each in cost.items():
        peak = peaks.get(name, 0)
        fixed = f"{wall[f'{name} small']:.2f}" if name != "floor" else "-"
        written = f"{sizes[name] / rows:,.0f}" if name in sizes else "-"
        ratio = f"{sizes[name] / sizes['stock']:.3f}" if name in sizes else "-"
        against = f"{each / cost['ours']:.1f}" if name != "floor" else f"{cost['ours'] / each:.2f} x floor"
        memory = f"{peak / 1e6:,.0f}" if peak else "-"
        lines.append((f"{size}x{size}", name, f"{each:.2f}", against, written, ratio, memory, fixed))
    return lines


HEAD = ("size", "who", "us/image", "ours is faster", "bytes/image", "to stock", "peak MB", f"s for {SMALL:,}")


def main() -> None:
    """Measure every size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", help="folder of upstream's zips (default: drawn ones)")
    parser.add_argument("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64])
    parser.add_argument("--images", type=int, default=50_000, help="of the archives that are drawn without SOURCE")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--tfds", metavar="PYTHON", help="python of an environment with the extra `bench`")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        work = Path(folder)
        source = options.source or work / "archives"
        if not options.source:
            archives.write(source, options.sizes, options.images, seed=0)
        lines = [line for size in options.sizes for line in compare(size, source, work, options)]
    print(f"{options.workers} workers, medians of {options.repeat}, time beyond that for {SMALL:,} images")
    print(table(HEAD, lines))


if __name__ == "__main__":
    main()
