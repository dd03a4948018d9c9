"""How many Parquet files a split is, and how many rows each of them has."""

import itertools

from loaders.base.dataset import Split

_MOST_BYTES, _ONE_FILE = 150_000_000, 50_000_000  # of a shard; of a split that is one


def shard_count(size: int, step: int) -> int:
    """Return how many files of at most 150 MB a split of so many bytes is: some times `step`, unless 8 or 1 will do."""
    if size < _ONE_FILE:
        return 1
    return 8 if size < 8 * _MOST_BYTES else -(-size // (step * _MOST_BYTES)) * step


def shard_rows(rows: int, split: Split) -> list[int]:
    """Return the rows of each shard: equal, or one more.

    A split that is smaller than the published one gets shards of about the published length, in a count of
    1, 2, 4 or a multiple of 8; a train split always has two, so that what reads shards is exercised at any size.
    """
    wanted = -(-rows * split.shards // split.rows)
    least = 2 if split.name == "train" and split.shards > 1 else 1
    counts = [1, 2, 4, *range(8, split.shards + 1, 8)]
    count = next((c for c in counts if c >= max(wanted, least)), split.shards)
    count = max(1, min(count, rows))
    edges = [-(-rows * i // count) for i in range(count + 1)]
    return [stop - start for start, stop in itertools.pairwise(edges)]
