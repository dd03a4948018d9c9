"""Where shards are built, and taken up again.

`OUT/.partial/DATASET/KEY/` holds the finished shards of a split, each with its receipt beside it; KEY changes when the
archives or the plan do, so that a killed run is taken up where it was and nothing stale is ever taken for done.

Files are not forced to the disk: what a power cut may leave of them has another digest than the manifest says, which
the next run finds and builds anew.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from loaders import Job
from loaders.files.cache import Arrays, load_arrays, save_arrays, take_arrays
from loaders.files.places import is_local
from loaders.files.typed import Count, Sha256
from loaders.images.jpeg import Damage
from loaders.sources.digests import sha256_of
from publish.build import shard
from publish.build.measure import Statistics
from publish.build.shard import Receipt
from publish.results import PARTIAL, written

FOLDER = PARTIAL
_ARRAYS = ("sums", "squares", "labels", "fingerprints", "first")  # of the statistics, in every receipt


@dataclass(frozen=True)
class _Facts:
    """What a receipt says beside the arrays of its statistics; `counts` are the rows and pixels that they are of."""

    rows: Count
    bytes: Count
    nbytes: Count
    sha256: Sha256
    counts: tuple[Count, Count]
    oddities: Mapping[str, Count]
    damaged: Mapping[str, Damage]


@dataclass(frozen=True)
class Done:
    """What came of a task: a shard that was built, in `seconds` of this run, and the upload of one that was sent.

    The receipt stays where it is written: of one that is longer than a pipe takes in one piece, a worker that dies
    while it hands it over leaves the driver waiting for the rest. Only a worker whose disk the driver does not see has
    it `carried`; sockets tell when the other end is gone.
    """

    built: Path | None = None
    upload: Any = None
    seconds: float = 0.0
    carried: Receipt | None = None

    @cached_property
    def receipt(self) -> Receipt | None:
        """The receipt of a shard that was built. Raises Problem when it is gone, or cannot be read."""
        if self.carried or self.built is None:
            return self.carried
        return take_arrays(_receipt_path(self.built), _Facts, _receipt)


def build(job: Job, path: Path) -> Done:
    """Write the shard of a job to `path`, or take the one that an earlier run finished there. Runs in a worker."""
    receipt = finished(path) or _write(job, path)
    return Done(path, seconds=receipt.seconds)


def _write(job: Job, path: Path) -> Receipt:
    """Write the receipt first: a shard that has its name here is whole."""
    with written(path) as temporary:
        receipt = shard.write_shard(job, temporary)
        _save(receipt, _receipt_path(path))
    return receipt


def finished(path: Path) -> Receipt | None:
    """Return the receipt of a shard that an earlier run finished, if the file still has the bytes it was given for."""
    receipt = load_arrays(_receipt_path(path), _Facts, _receipt)
    if receipt is None or not path.is_file() or path.stat().st_size != receipt.bytes:
        return None
    # A store has a file whole or not at all, and to read it costs as much as to build it.
    return receipt if not is_local(path) or sha256_of(path) == receipt.sha256 else None


def _receipt_path(path: Path) -> Path:
    return path.with_suffix(".receipt.npz")


def _save(receipt: Receipt, path: Path) -> None:
    found = receipt.statistics
    arrays = {name: getattr(found, name) for name in _ARRAYS}
    if found.mean_sums is not None:
        arrays["mean_sums"] = found.mean_sums
    counts = (found.rows, found.pixels)
    facts = _Facts(receipt.rows, receipt.bytes, receipt.nbytes, receipt.sha256, counts, found.oddities, found.damaged)
    with written(path) as temporary:  # whoever was given up, and still does the same, must not cut it short
        temporary.write_bytes(save_arrays(facts, arrays))


def _receipt(facts: _Facts, arrays: Arrays) -> Receipt:
    rows, pixels = facts.counts
    arrays |= {name: arrays[name] for name in _ARRAYS}  # one that an older release wrote, without some, is none
    found = Statistics(
        rows=rows, pixels=pixels, oddities=Counter(facts.oddities), damaged=dict(facts.damaged), **arrays
    )
    return Receipt(facts.rows, facts.bytes, facts.nbytes, facts.sha256, 0.0, found)
