"""A few kills of each case; `python -m tests.kills` goes on for longer."""

import pytest

from tests import kills


@pytest.mark.keeps("B2", "P8")
@pytest.mark.parametrize(("name", "times", "workers"), [("build", 1, 2), ("regenerate", 2, 1), ("publish", 2, 1)])
def test_killed_at_any_instant_and_run_again(name: str, times: int, workers: int) -> None:
    assert kills.kill(name, 7, times, workers) == []
