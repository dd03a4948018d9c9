"""All fifteen configs of the sample on the Hub, by commands run from start to exit, as readers see them."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import loaders
from tests.kit.building import COMMAND, run, run_reader
from tests.kit.forks import Forks
from tests.kit.hub import Fault, Hub
from tests.kit.pushing import Desk, card, is_whole

# The same by libyaml, ten times as fast: forty cards of a thousand names a config are read.
QUICK = "import yaml; yaml.SafeLoader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"
READ = (
    f"""
{QUICK}
import datasets, pyarrow as pa, sys
from huggingface_hub import HfApi
"""
    + """
organisation, folder = sys.argv[1:]
for name in sorted(repo.id for repo in [*map(HfApi().dataset_info, sys.stdin.read().split())]):
    dataset = name.partition("/")[2].removesuffix("_sample")
    for config in datasets.get_dataset_config_names(name):
        there = datasets.load_dataset(name, config, streaming=True)
        here = datasets.load_dataset(f"{folder}/{dataset}", config, streaming=True)
        assert list(there) == list(here), (config, list(there))
        for split in there:
            assert there[split].features == here[split].features
            rows = [pa.concat_tables(list(s.with_format("arrow").iter(500))) for s in (there[split], here[split])]
            assert rows[0].equals(rows[1]), (dataset, config, split)
            print(dataset, config, split, len(rows[0]))
"""
)
PEEK = f"""
{QUICK}
import datasets, sys

def broken(rows):
    for row in rows:
        return [row]

ways = (lambda rows: [next(iter(rows))], lambda rows: list(rows.take(3)), broken)
for name in sys.argv[1:]:
    for config in datasets.get_dataset_config_names(name):
        for split, rows in datasets.load_dataset(name, config, streaming=True).items():
            for way in ways:
                found = way(rows)
                print(name, config, split, len(found), found[0]["image"].size)
"""


@pytest.fixture(scope="module")
def sampler(rig: tuple[Hub, Forks], built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Someone who has published the whole sample, from a folder of it."""
    rig[0].clear_faults()
    desk = Desk(*rig, tmp_path_factory.mktemp("sampler"), "sampler")
    shutil.copytree(built, desk.out)
    said = push(desk)
    assert said.count("commit ") == 5
    yield desk
    assert desk.leaks() == []


def push(desk: Desk) -> str:
    what = ["--config", "all", "--sample", "--allow-sample", "--out", desk.out, "--workers", 2]
    env = desk.environment(PYTHONWARNINGS="error,ignore::DeprecationWarning")
    done = run(*COMMAND, *what, "--push-to", desk.organisation, env=env)
    assert done.returncode == 0, done.stderr
    assert desk.token not in done.stdout + done.stderr
    return done.stdout + done.stderr


def names() -> list[str]:
    return [f"{dataset}_sample" for dataset in loaders.names()]


def test_each_repository_is_one_commit_and_says_that_it_is_a_sample(sampler: Desk) -> None:
    repos = [sampler.repo(name) for name in names()]
    assert [len(repo.history()) for repo in repos] == [2] * 5
    assert [(repo.private, is_whole(repo)) for repo in repos] == [(True, True)] * 5
    assert [repo.gated for repo in repos] == [
        "manual" if loaders.load(n).DATASET.gated else False for n in loaders.names()
    ]
    assert all("**This is a sample.**" in card(repo) and "(sample)" in card(repo) for repo in repos)


@pytest.mark.keeps("P21")
def test_every_config_reads_back_as_the_folder(sampler: Desk, tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(READ.replace("sys.stdin.read().split()", repr([sampler.name(name) for name in names()])))
    done = run(sys.executable, script, sampler.organisation, sampler.out, env=sampler.environment())
    assert done.returncode == 0, done.stderr
    splits = [
        f"{name} {config.name} {split.name}"
        for name in loaders.names()
        for config in loaders.load(name).DATASET.configs
        for split in config.splits
        if not split.optional
    ]
    assert sorted(line.rpartition(" ")[0] for line in done.stdout.splitlines()) == sorted(splits)


@pytest.mark.keeps("P10")
def test_a_second_run_makes_no_commit_and_sends_no_byte(sampler: Desk) -> None:
    heads = [sampler.repo(name).head() for name in names()]
    first = len(sampler.hub.requests)
    said = push(sampler)
    assert said.count("nothing to change") == 5
    assert [sampler.repo(name).head() for name in names()] == heads
    assert not [r for r in sampler.hub.requests[first:] if r.method != "GET" and "/paths-info/" not in r.path]


def test_leaving_early_ends_well(sampler: Desk, tmp_path: Path) -> None:
    """Having asked for one row, taken three, or left the loop."""
    script = tmp_path / "peek.py"
    script.write_text(PEEK)
    done = run_reader(sys.executable, script, *map(sampler.name, names()), env=sampler.environment())
    assert (done.returncode, done.stdout.count("\n")) == (0, 3 * 31), done.stderr


@pytest.mark.keeps("P2")
def test_the_token_stays_in_its_variable(sampler: Desk) -> None:
    token = sampler.token.encode()
    files = [repo.read(path) for repo in map(sampler.repo, names()) for path in repo.files()]
    assert not [content for content in files if token in content]
    assert sampler.leaks() == []


@pytest.mark.keeps("P18")
def test_xet_takes_and_gives_the_same(desk: Desk) -> None:
    """The real hf_xet against the content-addressed storage of the test Hub, as a command and as a reader."""
    pytest.importorskip("hf_xet")
    what = ["--config", "imagenet_resized/8x8", "--source", desk.archives, "--allow-partial", "--out", desk.out]
    env = desk.environment(xet=True)
    first = len(desk.hub.requests)
    done = run(*COMMAND, *what, "--workers", 2, "--push-to", desk.organisation, env=env)
    assert done.returncode == 0, done.stderr
    asked = desk.hub.requests[first:]
    assert [r for r in asked if r.path.startswith("/cas/v1/xorbs/")]
    assert not [r for r in asked if r.path.startswith("/storage/") and r.method == "PUT"]
    assert is_whole(desk.repo())
    assert len(desk.repo().history()) == 2
    checked = run(sys.executable, "-m", "publish.check", desk.name(), "--data", env=env)
    assert checked.stdout.strip().endswith("all right"), checked.stdout + checked.stderr
    again = run(*COMMAND, *what, "--workers", 2, "--push-to", desk.organisation, env=env)
    assert "nothing to change" in again.stdout


@pytest.mark.keeps("P18")
@pytest.mark.parametrize("status", [403, 407, 501])
def test_storage_that_is_blocked_ends_it_with_the_reason(status: int, desk: Desk) -> None:
    """As by a proxy that lets the Hub through, and not the storage that Xet sends to."""
    pytest.importorskip("hf_xet")
    desk.hub.inject(Fault(path="^/cas/", times=0, status=status))
    what = ["--config", "imagenet_resized/8x8", "--source", desk.archives, "--allow-partial", "--out", desk.out]
    env = desk.environment(xet=True, HF_XET_CLIENT_RETRY_MAX_ATTEMPTS="1", HF_XET_CLIENT_RETRY_MAX_DURATION="1s")
    done = run(*COMMAND, *what, "--workers", 1, "--push-to", desk.organisation, env=env)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: {desk.name()}: sending 8x8/"), done.stderr
    assert f"the Hub's storage answered {status}" in done.stderr
    assert "HF_HUB_DISABLE_XET=1" in done.stderr
    assert desk.token not in done.stderr
    assert list(desk.repo().files()) == [".gitattributes"]
