"""Three kills of each case; `python -m tests.kills` goes on for longer."""

import pytest

from tests import kills


@pytest.mark.keeps("B2", "P8")
@pytest.mark.parametrize("name", kills.CASES)
def test_killed_at_any_instant_and_run_again(name: str) -> None:
    assert kills.kill(name, seed=7, times=1) == []
