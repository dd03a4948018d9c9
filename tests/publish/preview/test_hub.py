"""A dataset on the Hub, opened with the user's login: the same page, each shard of it fetched once."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit import building, making
from tests.kit.browsing import COMMAND, Previews, Viewer
from tests.kit.hub import Hub, running

NAME, TOKEN = "lab/imagenet_resized", "hf_secret0123456789"
_UPLOAD = """
import sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo(sys.argv[1], repo_type="dataset", private=True)
api.upload_folder(repo_id=sys.argv[1], repo_type="dataset", folder_path=sys.argv[2])
"""


@pytest.fixture(scope="module")
def hub(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, dict[str, str]]]:
    """A Hub with a private repository, and the variables of a person who may read it."""
    with running() as hub:
        hub.add_user(TOKEN, "alice", orgs={"lab": "write"})
        env = building.environment() | hub.client_env(tmp_path_factory.mktemp("hf"), TOKEN)
        done = building.run(sys.executable, "-c", _UPLOAD, NAME, built / "imagenet_resized", env=env)
        assert done.returncode == 0, done.stderr
        yield hub, env


@pytest.fixture(scope="module")
def on_hub(hub: tuple[Hub, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previews]:
    """What forks previews with the login of that person."""
    with closing(Previews(tmp_path_factory.mktemp("previews"), hub[1])) as previews:
        yield previews


def test_it_is_shown_as_the_folder_is(on_hub: Previews, open_tab: Callable[..., Viewer], address: str) -> None:
    folder = open_tab().open(address, "imagenet_resized")
    with on_hub.served(NAME) as there:
        viewer = open_tab().open(there)
        assert (viewer.rows, viewer.sources) == (folder.rows, folder.sources)
        line = f'ds = load_dataset("{NAME}", "8x8", split="train")'
        viewer.tab.wait_for_function(
            "text => document.querySelector('#load .cm-content').innerText.includes(text)", arg=line
        )
        for tab in (viewer, folder):
            tab.choose("config", "64x64")
            tab.choose_class("tench")
        assert (viewer.rows, viewer.sources) == (folder.rows, folder.sources)
        assert pictures(viewer) == pictures(folder) != []


def pictures(viewer: Viewer) -> list[str]:
    """Return the addresses of the pictures on the card."""
    card = viewer.show("Card")
    card.locator("img").first.wait_for(state="attached")
    found: list[str] = card.locator("img").evaluate_all("all => all.map(e => e.src)")
    return found


def test_a_shard_is_fetched_once(
    hub: tuple[Hub, dict[str, str]], on_hub: Previews, built: Path, open_tab: Callable[..., Viewer]
) -> None:
    """Into the library's cache: turning its pages, and showing it again tomorrow, fetches nothing of it."""
    shard = making.shard_of(built / "imagenet_resized", "32x32").stat().st_size
    for most in (1.5 * shard, shard / 2):
        with on_hub.served(NAME) as address:
            viewer = open_tab().open(address)
            first = len(hub[0].requests)
            viewer.choose("config", "32x32")
            viewer.press("Next 100")
            viewer.press("Next 100")
            assert viewer.numbers == list(range(200, 300))
            assert sum(request.bytes_sent for request in hub[0].requests[first:]) < most


def test_who_may_not_read_it_is_told(hub: tuple[Hub, dict[str, str]]) -> None:
    done = building.run(*COMMAND, NAME, env=hub[1] | {"HF_TOKEN": ""})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {NAME}: ")


def test_a_revision_that_is_not_there_is_refused(hub: tuple[Hub, dict[str, str]]) -> None:
    done = building.run(*COMMAND, NAME, "--revision", "v9", env=hub[1])
    assert (done.returncode, done.stderr) == (1, f"error: {NAME}: has no revision v9.\n")


def test_what_is_neither_folder_nor_repository_is_refused(hub: tuple[Hub, dict[str, str]]) -> None:
    done = building.run(*COMMAND, "lab/none", env=hub[1])
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: lab/none: there is no such folder, and no dataset of that name at http://127.0.0.1"
    )
