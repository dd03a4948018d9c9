"""Shards: equal in rows, in a count that ranks share, and no larger than is read in one go."""

from hypothesis import given
from hypothesis import strategies as st

import loaders
from loaders.base.dataset import Split
from loaders.base.sharding import shard_count, shard_rows


@given(st.integers(1, 1_281_167), st.sampled_from([1, 8, 16, 40, 80, 96]), st.sampled_from(["train", "validation"]))
def test_shards_are_equal_and_shared_by_ranks(rows: int, shards: int, name: str) -> None:
    split = Split(name, 1_281_167, shards)
    cut = shard_rows(rows, split)
    assert sum(cut) == rows
    assert max(cut) - min(cut) <= 1
    assert len(cut) <= shards
    assert len(cut) in (1, 2, 4) or len(cut) % 8 == 0 or len(cut) == rows


def test_a_whole_split_has_the_published_shards() -> None:
    for name in loaders.names():
        for config in loaders.load(name).DATASET.configs:
            for split in config.splits:
                assert len(shard_rows(split.rows, split)) == split.shards


@given(st.integers(1, 200_000_000_000), st.sampled_from([8, 40]))
def test_no_shard_is_large_and_no_split_of_many_is_small(size: int, step: int) -> None:
    count = shard_count(size, step)
    assert size / count <= 150_000_000
    assert count in (1, 8) or count % step == 0
    assert (count == 1) == (size < 50_000_000)
