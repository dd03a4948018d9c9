"""One build of the sample, one command that shows it, one browser and one tab of it, shared by the tests that look."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit import building
from tests.kit.browsing import CHROMIUM, WINDOW, Previews, Viewer, launch_settings
from tests.kit.hub import Hub, running

TOKEN = "hf_secret0123456789"


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    """A Hub with a person who may write to it, for those who look at what is on one."""
    with running() as hub:
        hub.add_user(TOKEN, "alice", orgs={"lab": "write"})
        yield hub


@pytest.fixture(scope="session")
def previews(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previews]:
    """What forks previews, with the login of that person."""
    env = building.environment() | hub.client_env(tmp_path_factory.mktemp("hf"), TOKEN)
    with closing(Previews(tmp_path_factory.mktemp("previews"), env)) as previews:
        yield previews


@pytest.fixture(scope="session")
def address(built: Path, previews: Previews) -> Iterator[str]:
    """The address of the preview of all of them."""
    with previews.served(built) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM} on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="the extra `test` is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(**launch_settings())
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def profile(browser: Any) -> Any:
    """A person's profile: what it has read of the page's scripts it need not read again."""
    return browser.new_context(viewport=WINDOW)


@pytest.fixture
def open_tab(profile: Any) -> Iterator[Callable[[], Viewer]]:
    """Open tabs, which are held to what no tab may do at the end."""
    viewers = []

    def open_tab() -> Viewer:
        viewers.append(Viewer(profile.new_page()))
        return viewers[-1]

    yield open_tab
    for viewer in viewers:
        viewer.tab.close()
        viewer.hold()


@pytest.fixture(scope="session")
def page(profile: Any, address: str) -> Viewer:
    """A tab on the preview of all datasets: opening one costs two seconds of a processor."""
    return Viewer(profile.new_page()).open(address)


@pytest.fixture
def viewer(page: Viewer) -> Iterator[Viewer]:
    """That tab, at the first rows of `imagenet_resized`."""
    yield page.at(building.RESIZED, "8x8", "train")
    page.hold()
