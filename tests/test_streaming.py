"""A reader who takes a few rows of a stream and leaves ends at once, over HTTP, from a shard of more than 100 MB.

With several row groups in a shard he does not: a background thread still reads the next ones when the process ends
(apache/arrow#45214). IMAGENET_VARIANTS_LEAVE=20 repeats every way of leaving so often, and
`python -m tests.test_streaming 20` does too and then shows what other row groups do.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from loaders import Job
from publish.build.shard import write_shard
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.hub import Hub, running

LARGE = 100_000_000
REPOSITORY, TOKEN = "lab/set", "hf_reader"
WAYS = {
    "next": "row = next(iter(ds))",
    "take": "for row in ds.take(3): pass",
    "break": "for i, row in enumerate(ds):\n    if i == 4: break",
    "arrow": "batch = next(iter(ds.with_format('arrow').iter(batch_size=100))); row = ds.features.decode_example(\n"
    "    batch.slice(0, 1).to_pylist()[0])",
}
_SECONDS = 60
_REPEATS = int(os.environ.get("IMAGENET_VARIANTS_LEAVE", "1"))


def write_large(folder: Path) -> Path:
    """Write one shard of noise, which nothing compresses, and return its path."""
    rows, source = 870, folder / "archives"
    source.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 3 * 64 * 64), np.uint8)
    labels = np.arange(rows) % 1000 + 1
    archives.resized(source, [64])
    writers.write_train_zips(source, 64, [{"data": np.roll(pixels, n, 0), "labels": labels} for n in range(10)])
    plan = contract.plans("imagenet_resized", "64x64", source)[0]
    parts = tuple(part for job in plan.jobs for part in job.parts)
    write_shard(Job("imagenet_resized", "64x64", plan.rows, parts), folder / "shard.parquet")
    return folder / "shard.parquet"


@contextmanager
def served(shard: Path) -> Iterator[Hub]:
    with running() as hub:
        hub.add_user(TOKEN, "reader", orgs={"lab": "write"})
        hub.add_repo(REPOSITORY, "reader")
        hub.commit(REPOSITORY, {"data/train-00000-of-00001.parquet": shard.read_bytes()})
        yield hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    shard = write_large(tmp_path_factory.mktemp("large"))
    footer = pq.read_metadata(shard)
    assert shard.stat().st_size > LARGE
    assert footer.num_row_groups == 1
    with served(shard) as hub:
        yield hub


def leave(hub: Hub, home: Path, way: str) -> subprocess.CompletedProcess[str]:
    """Stream, look at a few rows and end; a process that hangs is stopped after a minute."""
    code = (
        "from datasets import load_dataset\n"
        f"ds = load_dataset({REPOSITORY!r}, split='train', streaming=True)\n"
        f"{WAYS[way]}\n"
        "print(row['image'].size, row['label'])\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=hub.client_env(home, TOKEN) | {"USE_TORCH": "0"},  # which `datasets` imports to stream, for as long again
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("way", WAYS)
def test_leaving_a_stream_ends_the_process(way: str, hub: Hub, tmp_path: Path) -> None:
    for turn in range(_REPEATS):
        before = len(hub.requests)
        done = leave(hub, tmp_path, way)
        assert done.returncode == 0, (turn, done.returncode, done.stderr)
        assert done.stdout.startswith("(64, 64) ")
        ranges = [r for r in hub.requests[before:] if r.method == "GET" and r.headers.get("Range")]
        assert ranges, "it was not streamed by ranges"
    assert hub.errors == []


def outcome(hub: Hub, home: Path, way: str) -> str:
    try:
        code = leave(hub, home, way).returncode
    except subprocess.TimeoutExpired:
        return "hangs"
    return "leaves" if code == 0 else f"ends with {code}"


def main() -> None:
    """Leave as often as asked, from our shard and from one with the same rows in groups of 500."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        ours = write_large(Path(name))
        stock = ours.with_name("stock.parquet")
        pq.write_table(pq.read_table(ours), stock, row_group_size=500, compression="zstd", compression_level=1)
        for shard in (ours, stock):
            with served(shard) as hub:
                for way in WAYS:
                    found = list(pool.map(lambda turn, way=way: outcome(hub, Path(name, str(turn)), way), range(count)))
                    counts = {kind: found.count(kind) for kind in sorted(set(found))}
                    print(
                        f"{shard.stem}, {pq.read_metadata(shard).num_row_groups} row groups, {way}: {counts}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
