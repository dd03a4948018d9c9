"""What the tests of regenerating share: drawn originals, not to be changed."""

from pathlib import Path

import pytest

from tests.kit.regenerating import Originals, drawn, lay_tars


@pytest.fixture(scope="session")
def originals() -> Originals:
    return drawn()


@pytest.fixture(scope="session")
def source(originals: Originals, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_tars(tmp_path_factory.mktemp("originals"), originals)
