"""One build of the sample, one command that shows it, and one browser, shared by the tests that only look."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit import building
from tests.kit.browsing import CHROMIUM, Previews, Viewer, launch_settings


@pytest.fixture(scope="session")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with all fifteen configs; not to be changed."""
    return building.shared(sample, tmp_path_factory, worker_id)


@pytest.fixture(scope="session")
def previews(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previews]:
    """What forks previews of folders."""
    with closing(Previews(tmp_path_factory.mktemp("previews"))) as previews:
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


Open = Callable[..., Viewer]


@pytest.fixture(scope="session")
def profile(browser: Any) -> Any:
    """A person's profile: what it has read of the page's scripts it need not read again."""
    return browser.new_context()


@pytest.fixture
def open_tab(profile: Any) -> Iterator[Open]:
    """Open tabs of any width. None may have asked another machine for anything, nor have complained, at the end."""
    viewers = []

    def open_tab(width: int = 1280, height: int = 900) -> Viewer:
        viewers.append(Viewer(profile.new_page()))
        viewers[-1].tab.set_viewport_size({"width": width, "height": height})
        return viewers[-1]

    yield open_tab
    for viewer in viewers:
        viewer.tab.close()
    assert {host for viewer in viewers for host in viewer.hosts} <= {"127.0.0.1", ""}
    assert [trouble for viewer in viewers for trouble in viewer.troubles] == []


@pytest.fixture
def viewer(open_tab: Open, address: str) -> Viewer:
    """A tab on the preview of all datasets."""
    return open_tab().open(address)
