"""All fifteen configs of the sample on the Hub as readers see them; and what Xet does, which is a process's own."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import loaders
from tests.kit.building import COMMAND, run
from tests.kit.forks import Forks
from tests.kit.hub import Fault, Hub
from tests.kit.pushing import Desk, Said, card, is_whole

READ = """
import datasets, json, pathlib, pyarrow as pa, pyarrow.parquet as pq, sys
for name, dataset in zip(sys.argv[2::2], sys.argv[3::2]):
    folder = pathlib.Path(sys.argv[1], dataset)
    listed = json.loads((folder / "manifest.json").read_text())["configs"]
    for config in datasets.get_dataset_config_names(name):
        for split, there in datasets.load_dataset(name, config, streaming=True).items():
            here = pa.concat_tables(pq.read_table(folder / shard["path"]) for shard in listed[config][split]["shards"])
            rows = pa.concat_tables(list(there.with_format("arrow").iter(5000)))
            assert there.features == datasets.Features.from_arrow_schema(here.schema), (dataset, config, split)
            assert rows.equals(here.cast(rows.schema)), (dataset, config, split)
            print(dataset, config, split, len(rows))
"""


@pytest.fixture(scope="module")
def sampler(
    rig: tuple[Hub, Forks], built: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """Someone who has published the whole sample, from a folder of it."""
    rig[0].clear_faults()
    desk = Desk(*rig, tmp_path_factory.mktemp("sampler"), "sampler")
    shutil.copytree(built, desk.out)
    said = push(desk, sample)
    assert said.commits == said.text.count("commit ") == 5
    yield desk
    assert desk.leaks() == []


def push(desk: Desk, sample: Path) -> Said:
    what = ["--config", "all", "--sample", "--allow-sample", "--out", desk.out, "--workers", 1]
    return desk.run("publish", *what, "--push-to", desk.organisation, sample=str(sample))


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
def test_every_config_reads_back_as_the_folder(sampler: Desk) -> None:
    said = sampler.run(
        "-c", READ, sampler.out, *(word for n in loaders.names() for word in (f"{sampler.name(n)}_sample", n))
    )
    splits = [
        f"{name} {config.name} {split.name}"
        for name in loaders.names()
        for config in loaders.load(name).DATASET.configs
        for split in config.splits
        if not split.optional
    ]
    assert sorted(line.rpartition(" ")[0] for line in said.text.splitlines()) == sorted(splits)


@pytest.mark.keeps("P10")
def test_a_second_run_makes_no_commit_and_sends_no_byte(sampler: Desk, sample: Path) -> None:
    heads = [sampler.repo(name).head() for name in names()]
    said = push(sampler, sample)
    assert said.text.count("nothing to change") == 5
    assert [sampler.repo(name).head() for name in names()] == heads
    assert not [r for r in said.requests if r.method != "GET" and "/paths-info/" not in r.path]


@pytest.mark.keeps("P2")
def test_the_token_stays_in_its_variable(sampler: Desk) -> None:
    token = sampler.token.encode()
    files = [repo.read(path) for repo in map(sampler.repo, names()) for path in repo.files()]
    assert not [content for content in files if token in content]
    assert sampler.leaks() == []


@pytest.mark.keeps("P2", "P18")
def test_workers_send_what_they_build_by_xet_and_it_is_read_by_xet(desk: Desk) -> None:
    """The real hf_xet and the storage of the test Hub, by a pool of processes that have the login from variables."""
    pytest.importorskip("hf_xet")
    what = ["--config", "imagenet_resized/8x8", "--source", desk.archives, "--allow-partial", "--out", desk.out]
    env = desk.environment(xet=True, PYTHONWARNINGS="error,ignore::DeprecationWarning")
    first = len(desk.hub.requests)
    done = run(*COMMAND, *what, "--workers", 2, "--push-to", desk.organisation, "--remove-local", env=env)
    assert done.returncode == 0, done.stderr
    assert desk.token not in done.stdout + done.stderr
    asked = desk.hub.requests[first:]
    assert [r for r in asked if r.path.startswith("/cas/v1/xorbs/")]
    assert not [r for r in asked if r.path.startswith("/storage/") and r.method == "PUT"]
    assert (is_whole(desk.repo()), len(desk.repo().history())) == (True, 2)
    assert list(desk.folder.glob("out/**/*.parquet")) == []
    checked = run(sys.executable, "-m", "publish.check", desk.name(), "--data", env=env)
    assert checked.stdout.strip().endswith("all right"), checked.stdout + checked.stderr
    assert desk.push().commits == 0


@pytest.mark.keeps("P18")
@pytest.mark.parametrize("status", [407, 501])
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
