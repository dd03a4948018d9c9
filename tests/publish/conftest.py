"""One build of the whole sample, shared by the tests that only look at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import archives, building
from tests.kit.forks import Forks
from tests.kit.hub import Hub
from tests.kit.pushing import Desk, Starts, desks


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Forks]]:
    """A test Hub, and what commands that talk to it are forked from."""
    with desks(tmp_path_factory.mktemp("hub")) as rig:
        yield rig


@pytest.fixture
def desk(rig: tuple[Hub, Forks], tmp_path: Path) -> Iterator[Desk]:
    """A person with a login and an organisation of their own; their token is in no file afterwards."""
    hub, forks = rig
    hub.clear_faults()
    desk = Desk(hub, forks, tmp_path, f"lab{len(hub.requests)}")
    yield desk
    hub.clear_faults()
    assert desk.leaks() == []


@pytest.fixture(scope="session")
def starts(rig: tuple[Hub, Forks], tmp_path_factory: pytest.TempPathFactory) -> Starts:
    """What has been published before a test begins, published once."""
    return Starts(rig, tmp_path_factory)


@pytest.fixture
def published(starts: Starts, tmp_path: Path) -> Iterator[Desk]:
    """A desk from which 8x8 was published, with archives of another 40 rows in its folder `newer`."""

    def publish(desk: Desk) -> None:
        desk.push()
        desk.lay("newer", 40, variation=1)

    with starts.desk("published", tmp_path / "desk", publish) as desk:
        yield desk


@pytest.fixture
def laid(tmp_path: Path) -> archives.Laid:
    """The archives of two configs, of which every test here may make what it likes."""
    return archives.resized(building.make(tmp_path / "archives"), [8, 16])
