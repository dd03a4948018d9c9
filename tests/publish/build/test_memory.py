"""What a worker holds while it writes the largest shard of ours, as the system counts it."""

import sys
from pathlib import Path

import numpy as np
import pytest

import loaders
from tests.kit.building import run

WRITES = """
import sys
from pathlib import Path
from loaders import Job
from loaders.formats.batches import BatchFile
from publish.build import staging
path, rows = Path(sys.argv[1]), int(sys.argv[2])
job = Job("imagenet_resized", "64x64", rows, ((BatchFile(path), 0, rows),))
staging.build(job, path.with_name("train-00000-of-00001.parquet"))
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line[:5] == "VmHWM"))
"""
MOST = 450e6  # bytes


def largest() -> int:
    """Return the rows of the largest shard of 64x64."""
    train = loaders.load("imagenet_resized").DATASET.config("64x64").splits[0]
    return -(-train.rows // train.shards)


@pytest.mark.keeps("B7")
def test_the_largest_shard_of_pixels(tmp_path: Path) -> None:
    """Of noise, which no compression makes smaller."""
    rows = largest()
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 12288), np.uint8)
    path = tmp_path / "train_data_batch_1.npz"
    np.savez(path, data=pixels, labels=np.arange(rows) % 1000 + 1)
    done = run(sys.executable, "-c", WRITES, path, rows)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) * 1024 < MOST, done.stdout
