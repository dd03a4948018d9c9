"""How long regenerating takes: ours, the authors' way, and decoding plus resizing alone, over the same photographs.

    python -m tests.benchmarks.regenerate SOURCE --sizes 8 16 32 64 --times 4 --repeat 3

SOURCE is a folder of ILSVRC's two tars, of any size, or of photographs named WNID_NAME.JPEG. They are laid out once in
class folders, --times times each, so that starting up counts for little. The three take turns, each in a fresh folder
and from a warm cache. Processor time stands beside wall time: on a machine that others use, it is the one to believe.
"""

import argparse
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from loaders.ilsvrc import layout
from publish.console.progress import table
from publish.regenerate.originals import find
from tests.benchmarks.measure import Measurement, interleaved, run

WAYS = ("ours", "authors", "bound")


def photographs(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (WordNet id, or "" for validation; photograph)."""
    if (source / layout.TARS["train"][0]).is_file():
        for split, held in find(source).held.items():
            for name, (_, file) in zip(held.photos.names, held.photos.read(), strict=True):
                yield name[:9].decode() if split == "train" else "", file
        return
    for number, path in enumerate(sorted(source.glob("n*.JPEG"))):
        yield path.name[:9] if number % 20 else "", path.read_bytes()


def lay_out(source: Path, folder: Path, times: int) -> int:
    """Write train/WNID/ and val/, each photograph `times` times, and return how many there are."""
    count = 0
    validation = itertools.count(1)
    for wnid, file in photographs(source):
        for _ in range(times):
            count += 1
            name = f"train/{wnid}/{wnid}_{count}" if wnid else f"val/ILSVRC2012_val_{next(validation):08d}"
            path = folder / f"{name}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file)
    return count


def go(way: str, source: Path, out: Path, options: argparse.Namespace) -> Measurement:
    """Run one of the three from an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    shared = ["--sizes", *map(str, options.sizes), "--workers", str(options.workers)]
    if way == "ours":
        command = ["publish.regenerate", "--source", str(source), "--out", str(out), *shared]
    else:
        command = ["tests.benchmarks.peers.resizing", way, str(source), str(out), *shared]
    return run([sys.executable, "-m", *command])


def compare(count: int, source: Path, work: Path, options: argparse.Namespace) -> str:
    """Return the table of the three."""
    runs = {way: partial(go, way, source, work / "out", options) for way in WAYS}
    found = interleaved(options.repeat, runs)
    middle = {way: sorted(each, key=lambda m: m.wall)[(len(each) - 1) // 2] for way, each in found.items()}
    cpu = {way: sorted(m.cpu for m in each)[(len(each) - 1) // 2] for way, each in found.items()}
    lines = [
        (
            way,
            f"{count / middle[way].wall:,.0f}",
            f"{1e3 * cpu[way] / count:.3f}",
            f"{middle[way].wall / middle['ours'].wall:.2f}",
            f"{cpu[way] / cpu['ours']:.2f}",
            f"{max(m.peak for m in found[way]) / 1e6:,.0f}",
        )
        for way in WAYS
    ]
    return table(("way", "images/s", "CPU ms/image", "wall to ours", "CPU to ours", "peak MB"), lines)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64])
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=Path.cwd()) as folder:
        work = Path(folder)
        count = lay_out(options.source, work / "in", options.times)
        text = compare(count, work / "in", work, options)
        size = sum(path.stat().st_size for path in (work / "in").rglob("*.JPEG")) / count
    print(f"{count:,} photographs of {size / 1e3:.0f} kB, {options.workers} workers, medians of {options.repeat}")
    print(text)


if __name__ == "__main__":
    main()
