"""How fast the preview shows a split of a million rows, beside one of a hundred, in the same browser and the same run.

    python -m tests.benchmarks.preview --rows 1281167 --repeat 9

Both are built from noise by the publisher itself. Each number is seconds on the wall, from the click or the key to the
hundred new rows in the page, their images decoded: the median of --repeat tries, the worst in brackets. `open` is a new
window with an empty cache; `far row` goes to another place in the split each time; `class, first` is a new server's
first choice of a class, which reads all labels of the split; `read` is the server's share of `far row`, without Gradio
and without the browser, and `pyarrow` the same rows by `pyarrow.parquet` from the one shard that they lie in.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from publish.console.progress import table
from publish.preview import place
from publish.sample import archives as sample
from tests.kit import building
from tests.kit.browsing import Viewer, launch_settings, served

FEW = 100
HEAD = ("rows", "open", "far row", "next page", "class, first", "class, again", "read", "pyarrow")
_DECODED = (
    "() => Promise.all([...document.querySelectorAll('#rows img')].map(image => image.decode())).then(() => true)"
)


def build(folder: Path, rows: int) -> Path:
    """Build `imagenet_resized/8x8` with so many train rows of noise, and return the folder of the repository."""
    archives = folder / "archives"
    archives.mkdir(parents=True)
    rng = np.random.default_rng(rows)
    edges = np.linspace(0, rows, 11).astype(int)
    sample.write_train_zips(archives, 8, (_batch(rng, count) for count in np.diff(edges)))
    sample.write_validation_zip(archives, 8, _batch(rng, FEW))
    building.publish("--config", "imagenet_resized/8x8", "--source", archives, "--out", folder, "--allow-partial")
    return folder / "imagenet_resized"


def _batch(rng: np.random.Generator, count: int) -> dict[str, npt.NDArray[Any]]:
    return {
        "data": rng.integers(0, 256, (count, 192), np.uint8),
        "labels": rng.permutation(count) % min(1000, count) + 1,
    }


def places(rows: int, count: int) -> list[int]:
    """Return first rows of pages: far from each other, none the first of the split or the same twice."""
    found: list[int] = (np.random.default_rng(1).permutation(max(rows - FEW, count))[:count] + 1).tolist()
    return found


def seconds(act: Callable[[], object]) -> float:
    """Return how long it takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def turned(viewer: Viewer, act: Callable[[], object]) -> float:
    """Return the seconds until the page shows other rows, their images decoded."""

    def turn() -> None:
        with viewer.turned():
            act()
        viewer.tab.evaluate(_DECODED)

    return seconds(turn)


def next_class(viewer: Viewer) -> float:
    """Return the seconds that the next class of the list takes, from the key that chooses it."""
    viewer.tab.locator("#label input").click()
    viewer.tab.locator("[role=option].active").wait_for()
    viewer.tab.keyboard.press("ArrowDown")
    return turned(viewer, lambda: viewer.tab.keyboard.press("Enter"))


def shown(viewer: Viewer, address: str) -> None:
    """Open the page and wait for its images."""
    viewer.open(address)
    viewer.tab.evaluate(_DECODED)


def in_browser(browser: Any, repository: Path, rows: int, repeat: int) -> list[list[float]]:
    """Return the tries of each column that is of the page."""
    tries: list[list[float]] = [[], [], [], [], []]
    opened, far, after, first, again = tries
    with served(repository) as address:
        for row in places(rows, repeat):
            context = browser.new_context()
            viewer = Viewer(context.new_page())
            opened.append(seconds(partial(shown, viewer, address)))
            viewer.tab.locator("#row input").fill(str(row))
            far.append(turned(viewer, partial(viewer.tab.locator("#row input").press, "Enter")))
            if rows > FEW:
                after.append(turned(viewer, viewer.tab.locator("#after").click))
            for held in (again if first else first, again):
                held.append(next_class(viewer))
            context.close()
    return tries


def by_code(repository: Path, rows: int, repeat: int) -> list[list[float]]:
    """Return the tries of reading a hundred rows by page, and by pyarrow from the shard that they lie in."""
    shards = place.find(str(repository), "main").dataset(str(repository)).manifest.configs["8x8"]["train"].shards
    tries: list[list[float]] = [[], []]
    ours, stock = tries
    for row in places(rows, repeat):
        split = place.find(str(repository), "main").dataset(str(repository)).split("8x8", "train")
        wanted = np.arange(row, min(row + FEW, rows))
        ours.append(seconds(partial(split.read, wanted)))
        path = repository / shards[min(row * len(shards) // rows, len(shards) - 1)].path
        stock.append(seconds(partial(_by_pyarrow, path)))
    return tries


def _by_pyarrow(path: Path) -> list[Any]:
    rows: list[Any] = pq.read_table(path).slice(0, FEW).to_pylist()
    return rows


def cell(tries: Sequence[float]) -> str:
    return f"{statistics.median(tries):.3f} ({max(tries):.3f})" if tries else "-"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_281_167)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--work", type=Path, help="keep what was built here, for the next run")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        work, lines = options.work or Path(temporary), []
        browser = driver.chromium.launch(**launch_settings())
        for rows in (FEW, options.rows):
            repository = work / str(rows) / "imagenet_resized"
            repository = repository if repository.is_dir() else build(work / str(rows), rows)
            tries = in_browser(browser, repository, rows, options.repeat) + by_code(repository, rows, options.repeat)
            lines.append((f"{rows:,}", *(cell(held) for held in tries)))
    print(table(HEAD, lines))
    print(f"{os.cpu_count()} cores; the load of the machine was {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
