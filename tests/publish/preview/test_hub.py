"""A dataset on the Hub, opened with the user's login: the same page, each shard of it fetched once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import building, making
from tests.kit.browsing import Previews, Viewer, tab_on
from tests.kit.hub import Hub

NAME = "lab/imagenet_resized"
_UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[1], repo_type="dataset", private=True)
api.upload_folder(repo_id=sys.argv[1], repo_type="dataset", folder_path=sys.argv[2])
"""


@pytest.fixture(scope="module")
def uploaded(built: Path, previews: Previews) -> None:
    """A private repository on the Hub."""
    done = previews.run(_UPLOAD, NAME, built / "imagenet_resized", module="-c")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def tab(uploaded: None, profile: Any, previews: Previews) -> Iterator[Viewer]:
    """A tab on it."""
    with previews.served(NAME) as address, tab_on(profile, address) as viewer:
        yield viewer


@pytest.fixture
def there(tab: Viewer) -> Iterator[Viewer]:
    """That tab, held to what no tab may do at the end."""
    tab.tab.bring_to_front()
    yield tab
    tab.hold()


def test_it_is_shown_as_the_folder_is(there: Viewer, page: Viewer) -> None:
    assert there.chosen("config") == "8x8"
    line = f'ds = load_dataset("{NAME}", "8x8", split="train")'
    there.tab.wait_for_function(
        "text => document.querySelector('#load .cm-content').innerText.includes(text)", arg=line
    )
    shown = looks(there)
    assert looks(page.at(building.RESIZED, "8x8", "train")) == shown


def looks(viewer: Viewer) -> list[object]:
    """Return what is shown of some rows, and the addresses of the pictures on the card."""
    first = [viewer.rows, viewer.sources]
    viewer.choose("config", "64x64")
    viewer.choose_class("tench")
    of_class = [viewer.rows, viewer.sources]
    card = viewer.show("Card")
    card.locator("img").first.wait_for(state="attached")
    pictures = card.locator("img").evaluate_all("all => all.map(e => e.src)")
    viewer.show("Rows")
    assert all((*first, *of_class, pictures))
    return [first, of_class, pictures]


def test_a_shard_is_fetched_once(hub: Hub, there: Viewer, previews: Previews, built: Path) -> None:
    """Into the library's cache: turning its pages, and showing it again tomorrow, fetches nothing of it."""
    shard = making.shard_of(built / building.RESIZED, "32x32").stat().st_size
    turned(hub, there, 1.5 * shard)
    with previews.served(NAME) as address:
        turned(hub, there.open(address), shard / 2)


def turned(hub: Hub, viewer: Viewer, most: float) -> None:
    """Turn pages of 32x32, for which the Hub may send so many bytes."""
    first = len(hub.requests)
    viewer.choose("config", "32x32")
    viewer.press("Next 100")
    viewer.press("Next 100")
    assert viewer.numbers == list(range(200, 300))
    assert sum(request.bytes_sent for request in hub.requests[first:]) < most


def test_who_may_not_read_it_is_told(uploaded: None, previews: Previews) -> None:
    done = previews.run(NAME, HF_TOKEN="")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {NAME}: ")


def test_a_revision_that_is_not_there_is_refused(uploaded: None, previews: Previews) -> None:
    done = previews.run(NAME, "--revision", "v9")
    assert (done.returncode, done.stderr) == (1, f"error: {NAME}: has no revision v9.\n")


def test_what_is_neither_folder_nor_repository_is_refused(previews: Previews) -> None:
    done = previews.run("lab/none")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: lab/none: there is no such folder, and no dataset of that name at http://127.0.0.1"
    )
