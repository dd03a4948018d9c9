"""Repositories on the Hub: the commit as it is now, through the Hub's own cache, held against the manifest."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import building
from tests.kit.hub import Hub, running

NAME, TOKEN = "lab/imagenet_resized", "hf_secret0123456789"
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


@pytest.fixture
def person(tmp_path: Path) -> Iterator[tuple[Hub, dict[str, str]]]:
    """A Hub, and the variables of a person who may write to it."""
    with running() as hub:
        hub.add_user(TOKEN, "alice", orgs={"lab": "write"})
        env = building.environment() | hub.client_env(tmp_path / "hf", TOKEN)
        yield hub, env | {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def run(program: str, repository: str, env: dict[str, str]) -> str:
    done = building.run(sys.executable, "-c", _BEGIN + program, repository, NAME, env=env)
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


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
def test_a_repository_that_changes_between_two_openings(repository: str, person: tuple[Hub, dict[str, str]]) -> None:
    hub, env = person
    run(_CHANGES, repository, env)
    asked = len(hub.requests)
    run(_OFFLINE, repository, env | {"HF_HUB_OFFLINE": "1"})
    assert len(hub.requests) == asked


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
def test_a_shard_that_rots_in_the_cache_of_the_hub(repository: str, person: tuple[Hub, dict[str, str]]) -> None:
    run(_ROTS, repository, person[1])


_WITHOUT = """
commit = upload(ignore_patterns=["manifest.json"])
same(load_array(NAME, "8x8", "train"))
same(again := load_array(NAME, "8x8", "train", memmap=True))
assert memmap.read_about(again.folder).version == commit
assert "no split 'test'" in refused(NAME, "8x8", "test")
assert "different sizes" not in refused(NAME, "7x7", "train")
"""


def test_without_a_manifest_the_card_says_where_rows_are(repository: str, person: tuple[Hub, dict[str, str]]) -> None:
    run(_WITHOUT, repository, person[1])


def test_only_the_shards_of_the_split_are_fetched(repository: str, person: tuple[Hub, dict[str, str]]) -> None:
    run("upload(); same(load_array(NAME, '8x8', 'train'))", repository, person[1])
    fetched = {request.path.rpartition("/")[2] for request in person[0].requests if "/resolve/" in request.path}
    assert fetched == {"manifest.json", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}
