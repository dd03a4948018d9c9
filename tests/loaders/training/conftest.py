"""Repositories to load from, and a cache of each test's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loaders.training import Data
from tests.kit import making


def same(found: Data, expected: Data) -> None:
    assert np.array_equal(found.images, expected.images)
    assert expected.labels is not None
    assert np.array_equal(found.labels if found.labels is not None else [], expected.labels)
    assert found.names == expected.names


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that arrays are kept in; empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "imagenet-variants" / "arrays"


@pytest.fixture
def repository(built: Path) -> str:
    """The repository of `imagenet_resized`, not to be changed."""
    return str(built / "imagenet_resized")


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return what makes a copy of a repository, of which a test may make what it likes."""
    return lambda dataset="imagenet_resized": making.copied(built, tmp_path, dataset)
