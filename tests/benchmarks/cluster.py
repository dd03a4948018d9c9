"""What a cluster costs, and what it would bring: four Dask workers against four local processes, and a model of more.

    python -m tests.benchmarks.cluster ARCHIVES --config imagenet_resized/64x64 --repeat 5
    python -m tests.benchmarks.cluster ARCHIVES --model --photos ILSVRC

The first builds one config in turns with `--workers 4` and on a scheduler with four workers of one thread each, all
started here, and prints wall times, their ratio and the largest worker. The second measures the seconds of work that an
image of each config takes, each alone, and prints how long the whole datasets would take on more workers. The model
gives the next job to whoever is idle first, the longest first; a job is as long as measured here, and costs `--latency`
seconds more on a cluster. It knows nothing of a disk or a Hub that is shared: see docs/cluster.md.
"""

import argparse
import heapq
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import loaders
from loaders.base.dataset import Split
from loaders.base.sharding import shard_rows
from publish.build import plan
from publish.build import run as building
from publish.build.run import Options
from publish.console.progress import Progress, table
from publish.regenerate import run as regenerating
from publish.regenerate.settings import Settings
from publish.repository.folder import Folder
from publish.work.processes import Processes
from tests.benchmarks.measure import Measurement, _field, median_of, run
from tests.kit.building import environment
from tests.kit.cluster import Cluster

WORKERS = 4
SCALES = (1, 8, 64, 512)
_PHOTOS = 1_331_167
_CHUNK = 512
# Files of a regeneration at all sizes, by the rows in each: they are packed one by one, whoever has resized.
_PACKED = {64: (640_583, 640_584, 50_000), 32: (1_281_167, 50_000), 16: (1_281_167, 50_000), 8: (1_281_167, 50_000)}


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder, environment())
    try:
        made.begin(WORKERS)
        yield made
    finally:
        made.end()


def overhead(options: argparse.Namespace, folder: Path) -> None:
    """Print the table of the two, and the memory of a worker."""
    with cluster(folder) as workers:
        where = {"processes": ("--workers", str(WORKERS)), "Dask": ("--scheduler", workers.address)}

        def go(way: str) -> Measurement:
            out = folder / way
            shutil.rmtree(out, ignore_errors=True)
            wanted = ["--config", options.config, "--source", str(options.archives), "--out", str(out)]
            return run([sys.executable, "-m", "publish", *wanted, "--allow-partial", *where[way]])

        median = median_of(options.repeat, {way: partial(go, way) for way in where})
        memory = max(_field(worker.process.pid, "status", "VmHWM:") for worker in workers.workers)
    rows = [(way, f"{m.wall:.2f}", f"{m.wall / median['processes'].wall:.3f}") for way, m in median.items()]
    print(table(("workers", "seconds", "ratio"), rows))
    print(f"\nthe largest worker: {median['processes'].largest / 1e6:.0f} MB, of Dask {memory / 1e6:.0f} MB")


def seconds_an_image(config: str, archives: Path, folder: Path) -> float:
    """Return the work of one worker, alone, an image."""
    dataset, name = config.split("/")
    made = plan.make({dataset: [name]}, archives, True)
    out = folder / config.replace("/", "-")
    built = building.run(made, Options(out, Processes(1), True), Folder(out))
    return sum(each.seconds for each in built) / sum(each.entry.rows for each in built)


def regeneration(photos: Path, folder: Path) -> tuple[float, dict[int, float]]:
    """Return the seconds that a photograph takes to resize to four sizes, and that a row takes to be packed."""
    marks = [time.perf_counter()]

    class Marked(Progress):
        def at(self, what: str) -> None:
            marks.append(now())

    def resize(sizes: tuple[int, ...]) -> tuple[float, float]:
        marks[:] = [time.perf_counter()]
        settings = Settings(photos, folder / "-".join(map(str, sizes)), sizes)
        made = regenerating.run(settings, Processes(1), Marked())
        rows = sum(made[0].rows.values())
        return (marks[1] - marks[0]) / rows, (now() - marks[1]) / rows

    now = time.perf_counter
    packed = {size: resize((size,))[1] for size in _PACKED}
    return resize(tuple(_PACKED))[0], packed


def makespan(jobs: list[float], workers: int, latency: float) -> float:
    """Return when the last job ends."""
    free = [0.0] * workers
    for job in sorted(jobs, reverse=True):
        heapq.heapreplace(free, free[0] + job + (latency if workers > 1 else 0.0))
    return max(free)


def jobs_of(split: Split, seconds: float) -> list[float]:
    return [rows * seconds for rows in shard_rows(split.rows, split)]


def model(options: argparse.Namespace, folder: Path) -> None:
    """Print the seconds of the whole datasets by the number of workers."""
    work: dict[str, list[float]] = {}
    for name in loaders.names():
        dataset = loaders.load(name).DATASET
        jobs: dict[tuple[str, str], list[float]] = {}
        for config in dataset.configs:
            seconds = seconds_an_image(f"{name}/{config.name}", options.archives, folder)
            for split in [split for split in config.splits if not split.optional]:
                jobs[split.folder or config.name, split.name] = jobs_of(split, seconds)
        work[f"publish {name}"] = [job for each in jobs.values() for job in each]
    stages = {command: [jobs] for command, jobs in work.items()}
    if options.photos:
        photo, packed = regeneration(options.photos, folder)
        files = [rows * packed[size] for size, each in _PACKED.items() for rows in each]
        stages["regenerate 8 16 32 64"] = [[_CHUNK * photo] * (_PHOTOS // _CHUNK), files]
    rows = [
        (
            command,
            f"{sum(map(len, each)):,}",
            f"{max(max(jobs) for jobs in each):,.1f}",
            *(f"{sum(makespan(jobs, count, options.latency) for jobs in each):,.0f}" for count in SCALES),
        )
        for command, each in stages.items()
    ]
    print(table(("command", "jobs", "longest, s", *(f"{count} workers, s" for count in SCALES)), rows))


def main() -> int:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", type=Path)
    parser.add_argument("--config", default="imagenet_resized/64x64")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("--photos", type=Path, help="ILSVRC's archives, for the model of a regeneration")
    parser.add_argument("--latency", type=float, default=0.05)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (model if options.model else overhead)(options, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
