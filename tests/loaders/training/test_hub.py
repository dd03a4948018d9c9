"""Repositories on the Hub: the commit as it is now, through the Hub's own cache, held against the manifest."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.kit import building
from tests.kit.forks import Forks, Job
from tests.kit.hub import Hub, running

TOKEN = "hf_secret0123456789"
# What each program below begins with: a repository like the folder sys.argv[1], and how to compare with that.
_BEGIN = """
import os, pathlib, shutil, sys, tempfile
import numpy as np
from huggingface_hub import HfApi
from loaders import Problem
from loaders.training import load_array, memmap, repository

NAME, FOLDER = sys.argv[2], sys.argv[1]
expected = load_array(FOLDER, "8x8", "train")
api = HfApi()

def upload(folder=FOLDER, **options):
    api.create_repo(NAME, repo_type="dataset", private=True, exist_ok=True)
    files = ["8x8/*", "*.md", "manifest.json"]
    api.upload_folder(repo_id=NAME, repo_type="dataset", folder_path=folder, allow_patterns=files, **options)
    return api.dataset_info(NAME).sha

def same(found):
    assert np.array_equal(found.images, expected.images) and np.array_equal(found.labels, expected.labels)
    assert found.names == expected.names

def refused(*arguments, **options):
    try:
        load_array(*arguments, **options)
    except Problem as problem:
        return str(problem)
    raise AssertionError(arguments)

"""


@dataclass(frozen=True)
class Person:
    """Who may write to a Hub, to a repository and with a cache of arrays for each test."""

    hub: Hub
    variables: dict[str, str]
    forks: Forks
    folder: Path

    def run(self, program: str, repository: str) -> None:
        """Run a program that has nothing left to import."""
        output, errors = (str(self.folder / name) for name in ("output", "errors"))
        words = [_BEGIN + program, repository, self.name]
        code = self.forks.run(Job("-c", words, output, self._own(), errors=errors))
        self._hold(code, Path(output).read_text(), Path(errors).read_text())

    def run_offline(self, program: str, repository: str) -> None:
        """Run one that is told so before it imports anything."""
        env = self.variables | self._own() | {"HF_HUB_OFFLINE": "1"}
        done = building.run(sys.executable, "-c", _BEGIN + program, repository, self.name, env=env)
        self._hold(done.returncode, done.stdout, done.stderr)

    @property
    def name(self) -> str:
        return f"lab/{self.folder.name}"

    def _own(self) -> dict[str, str]:
        return {"XDG_CACHE_HOME": str(self.folder / "cache")}

    def _hold(self, code: int, output: str, errors: str) -> None:
        assert code == 0, errors
        assert TOKEN not in output + errors


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Person]]:
    """Return what makes a person of a folder, of one Hub."""
    with running() as hub:
        hub.add_user(TOKEN, "alice", orgs={"lab": "write"})
        folder = tmp_path_factory.mktemp("hf")
        env = building.environment() | hub.client_env(folder, TOKEN)
        with closing(Forks(env, folder, ("datasets", "huggingface_hub.hf_api", "loaders.training"))) as forks:
            yield partial(Person, hub, env, forks)


@pytest.fixture
def person(people: Callable[[Path], Person], tmp_path: Path) -> Person:
    return people(tmp_path)


_CHANGES = """
first = upload()
same(load_array(NAME, "8x8", "train"))
same(old := load_array(NAME, "8x8", "train", memmap=True))
assert memmap.read_about(old.folder).version == first

text = (pathlib.Path(FOLDER) / "manifest.json").read_text()
with tempfile.TemporaryDirectory() as folder:
    text = text.replace('"train"', '"x"').replace('"validation"', '"train"')
    (pathlib.Path(folder) / "manifest.json").write_text(text)
    second = upload(folder)
new = load_array(NAME, "8x8", "train", memmap=True)
assert memmap.read_about(new.folder).version == second and len(new) != len(old)
same(load_array(NAME, "8x8", "train", revision=first))
assert load_array(NAME, "8x8", "train", memmap=True, revision=first).folder == old.folder

assert "no config '9x9'" in refused(NAME, "9x9", "train")
assert "RepositoryNotFoundError" in refused("lab/nothing", "8x8", "train")
assert "RevisionNotFoundError" in refused(NAME, "8x8", "train", revision="v9")
print(second)
"""

_OFFLINE = """
assert os.environ["HF_HUB_OFFLINE"] == "1"
assert len(load_array(NAME, "8x8", "train", memmap=True)) != len(expected)
assert "OfflineModeIsEnabled" in (said := refused(NAME, "16x16", "train")) or "expected 16x16" in said, said
"""


@pytest.mark.keeps("R4")
def test_a_repository_that_changes_between_two_openings(repository: str, person: Person) -> None:
    person.run(_CHANGES, repository)
    asked = len(person.hub.requests)
    person.run_offline(_OFFLINE, repository)
    assert len(person.hub.requests) == asked


_ROTS = """
upload()
same(load_array(NAME, "8x8", "train"))
path = repository.find(NAME, "8x8", "train", None, None).paths[1]
data = bytearray(path.read_bytes())
data[3000] ^= 1
path.resolve().write_bytes(data)
said = refused(NAME, "8x8", "train")
assert "expected SHA-256" in said and f"remove {path.resolve()} and load again" in said, said
path.resolve().unlink()
same(load_array(NAME, "8x8", "train"))
"""


@pytest.mark.keeps("R5")
def test_a_shard_that_rots_in_the_cache_of_the_hub(repository: str, person: Person) -> None:
    person.run(_ROTS, repository)


_WITHOUT = """
commit = upload(ignore_patterns=["manifest.json"])
same(load_array(NAME, "8x8", "train"))
same(again := load_array(NAME, "8x8", "train", memmap=True))
assert memmap.read_about(again.folder).version == commit
assert "no split 'test'" in refused(NAME, "8x8", "test")
assert "different sizes" not in refused(NAME, "7x7", "train")
"""


def test_without_a_manifest_the_card_says_where_rows_are(repository: str, person: Person) -> None:
    person.run(_WITHOUT, repository)


def test_only_the_shards_of_the_split_are_fetched(repository: str, person: Person) -> None:
    before = len(person.hub.requests)
    person.run("upload(); same(load_array(NAME, '8x8', 'train'))", repository)
    asked = [request.path for request in person.hub.requests[before:]]
    fetched = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
    assert fetched == {"manifest.json", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}
