"""The same commands on a cluster: the same bytes, whoever dies, and nothing done where it must not be."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from loaders import Problem
from publish.build import staging
from tests.kit import regenerating
from tests.kit.building import COMMAND, RESIZED, ROOT, Tree, run, tree
from tests.kit.cluster import Cluster, Process, fork
from tests.kit.pushing import contents
from tests.kit.refusals import says
from tests.publish.work.conftest import TOKEN, Site

LARGE = ("--config", "imagenet_v2/matched-frequency", "--allow-partial")
# A config of each other dataset.
OTHERS = ("downsampled_imagenet/32x32", "imagenet2012_subset/1pct", f"{RESIZED}/8x8", "imagenet_v2_resized/8x8")
_DRIVER = "hf_driver0123456789"


def command(site: Site, folder: Path, *arguments: object, code: int = 0, **turns: Any) -> str:
    """Run a command of this project on the cluster, and return what it said."""
    return site.run(folder / "log", *arguments, "--scheduler", site.cluster.address, code=code, **turns)


def without_places(folder: Path) -> Tree:
    """Return the files of a folder, but for the cards, which name the folder they are in."""
    return {path: sha256 for path, sha256 in tree(folder).items() if not path.endswith("README.md")}


def shards(folder: Path) -> Tree:
    """Return the shards of a folder."""
    return {path: sha256 for path, sha256 in tree(folder).items() if path.endswith(".parquet")}


def shards_by_worker(said: str) -> dict[str, int]:
    """Return the table of workers that a command prints."""
    lines = [line.split() for line in said.splitlines() if line.startswith("tcp://")]
    return {words[0]: int(words[1]) for words in lines if words[1].isdigit()}


# The same bytes


def test_a_config_of_each_dataset(site: Site, sample: Path, built: Path, tmp_path: Path) -> None:
    """Those of ImageNetV2 are built below."""
    wanted = [word for config in OTHERS for word in ("--config", config)]
    arguments = ["publish", *wanted, "--source", sample, "--out", tmp_path / "out"]
    said = command(site, tmp_path, *arguments)
    made = shards(tmp_path / "out")
    assert made.items() <= shards(built).items()
    by_worker = shards_by_worker(said)
    assert sum(by_worker.values()) == len(made)
    assert len(by_worker) == 3
    assert "dashboard" in said
    assert list((tmp_path / "out" / staging.FOLDER).rglob("*.parquet")) == []
    assert shards_by_worker(command(site, tmp_path, *arguments)) == {}


@pytest.fixture(scope="module")
def regenerated(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[object], Tree]:
    """The command of a regeneration, and what comes of it on one machine."""
    folder = tmp_path_factory.mktemp("regenerated")
    source = regenerating.lay_tars(folder / "in", regenerating.drawn())
    words = ["publish.regenerate", "--source", source, "--sizes", 8, 64, "--out"]
    site.run(folder / "log", *words, folder / "out", "--workers", 1)
    return words, tree(folder / "out")


def test_a_regeneration(site: Site, regenerated: tuple[list[object], Tree], tmp_path: Path) -> None:
    words, expected = regenerated
    said = command(site, tmp_path, *words, tmp_path / "out")
    assert tree(tmp_path / "out") == expected
    assert len([line for line in said.splitlines() if line.startswith("tcp://")]) > 1


def test_from_a_store_into_a_store(site: Site, sample: Path, tmp_path: Path) -> None:
    for name in ("archives", "results"):
        site.store.mkdir(name)
    for path in [*sample.glob("Imagenet8*"), sample / "imagenet-variants.json"]:
        site.store.put_file(str(path), f"archives/sample/{path.name}")
    wanted = ["publish", "--config", f"{RESIZED}/8x8"]
    places = ["--source", "s3://archives/sample", "--out", "s3://results/hub"]
    assert shards_by_worker(command(site, tmp_path, *wanted, *places))
    assert shards_by_worker(command(site, tmp_path, *wanted, *places)) == {}  # all of it is there
    site.fetch("results/hub/", tmp_path / "got")
    site.run(tmp_path / "log", *wanted, "--source", sample, "--out", tmp_path / "here", "--workers", 1)
    assert without_places(tmp_path / "got") == without_places(tmp_path / "here")
    assert list(tmp_path.glob("got/.partial/**/*.parquet")) == []


def test_a_regeneration_into_a_store_that_was_killed(
    site: Site, regenerated: tuple[list[object], Tree], tmp_path: Path, process: list[Process]
) -> None:
    words, expected = regenerated
    site.store.mkdir("killed")
    first = fork(site.forks, tmp_path / "first", *words, "s3://killed/out", "--workers", 1)
    process.append(first)
    first.wait_until(lambda: site.store.find("killed", refresh=True))  # what it put there first
    first.kill()
    command(site, tmp_path, *words, "s3://killed/out")
    site.fetch("killed/out/", tmp_path / "out")
    assert tree(tmp_path / "out") == expected


def test_workers_send_their_shards_with_logins_of_their_own(
    site: Site, sample: Path, built: Path, tmp_path: Path
) -> None:
    site.hub.add_user(_DRIVER, "driver", orgs={"lab": "write"})
    first = len(site.hub.requests)
    arguments = ["--config", f"{RESIZED}/8x8", "--source", sample, "--push-to", "lab", "--allow-sample"]
    command(site, tmp_path, "publish", *arguments, "--out", tmp_path / "out", HF_TOKEN=_DRIVER)
    requests = site.hub.requests[first:]
    senders = {r.headers.get("Authorization") for r in requests if "/info/lfs/objects/batch" in r.path}
    commits = {r.headers.get("Authorization") for r in requests if "/commit/" in r.path}
    assert f"Bearer {TOKEN}" in senders
    assert commits == {f"Bearer {_DRIVER}"}
    assert shards(tmp_path / "out") == {}
    assert _DRIVER not in site.cluster.said()
    pushed = contents(site.hub.repo(f"lab/{RESIZED}"))
    local = {path: sha256 for path, sha256 in shards(built / RESIZED).items() if path.startswith("8x8/")}
    assert {path: sha256 for path, sha256 in pushed.items() if path.endswith(".parquet")} == local


# Who may work


def test_no_scheduler_there(site: Site, tmp_path: Path) -> None:
    """It is looked for before anything is downloaded: ImageNetV2 is not there either."""
    (tmp_path / "in").mkdir()
    words = ["publish", "--config", "imagenet_v2/topimages", "--source", tmp_path / "in", "--out", tmp_path / "out"]
    said = site.run(tmp_path / "log", *words, "--scheduler", "tcp://127.0.0.1:9", code=1, timeout=1)
    assert "tcp://127.0.0.1:9: no Dask scheduler answers there" in said
    assert tree(tmp_path / "out") == tree(tmp_path / "in") == {}


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "http://127.0.0.1:9",
        "tcp://127.0.0.1",
        "tcp://:9",
        "tcp://127.0.0.1:x",
        "tcp://[::1:9",
        "nonsense",
        "",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    """Dask's client takes twenty seconds over some of these, and leaves a traceback."""
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    from publish.work.cluster import Cluster

    with pytest.raises(Problem) as caught:
        Cluster(address)
    says(str(caught.value), address or "an empty address", "expected the address of a Dask scheduler", "tcp://10.0.0.5")


def test_workers_of_another_version(site: Site, sample: Path, tmp_path: Path) -> None:
    """What is installed there is told by the metadata that Python finds first, and our code by its bytes."""
    numpy, code = (tmp_path / name for name in ("numpy", "code"))
    (numpy / "numpy-0.0.1.dist-info").mkdir(parents=True)
    (numpy / "numpy-0.0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    for package in ("loaders", "publish", "cards"):
        shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "publish" / "__init__.py").write_text('"""Of another release."""\n')
    (tmp_path / "of").mkdir()
    cluster = Cluster(tmp_path / "of", site.env, site.forks)
    try:
        cluster.begin(0)
        for path in (numpy, code):
            cluster.add(1, PYTHONPATH=os.pathsep.join([str(path), str(ROOT)]))
        arguments = ["--config", RESIZED, "--source", sample, "--out", tmp_path / "out"]
        said = site.run(tmp_path / "log", "publish", *arguments, "--scheduler", cluster.address, code=1)
    finally:
        cluster.end()
    assert "has numpy 0.0.1, not" in said
    assert "has other code of imagenet-variants" in said
    assert said.count("Install there what is installed here") == 2
    assert tree(tmp_path / "out") == {}


def test_a_folder_that_workers_do_not_see(site: Site, sample: Path, tmp_path: Path) -> None:
    """A name space of its own hides a folder of the driver's from everybody else."""
    inside = (
        f"mount -t tmpfs none {tmp_path} && exec {' '.join(map(str, COMMAND))} --config {RESIZED} --source {sample}"
    )
    hidden = f"{inside} --out {tmp_path}/out --scheduler {site.cluster.address}"
    done = run("unshare", "-m", "sh", "-c", hidden, env=site.env)
    if "Operation not permitted" in done.stderr:
        pytest.skip("may not make a name space here")
    assert done.returncode == 1, done.stderr
    assert f"does not see the folder {tmp_path}/out" in done.stderr
    assert "--push-to" in done.stderr


def test_what_fails_everywhere_is_told_as_it_is(site: Site, large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in large.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with (folder / "imagenetv2-matched-frequency.tar.gz").open("r+b") as file:
        file.seek(1024)  # behind two headers: the first photograph
        file.write(bytes(1024))
    said = command(site, tmp_path, "publish", *LARGE, "--source", folder, "--out", tmp_path / "out", code=1)
    assert "expected an image that can be decoded whole" in said
    assert tree(tmp_path / "out") == {}


# Who dies


def build(site: Site, large: Path, out: Path, started: list[Process], cluster: Cluster | None = None) -> Process:
    """Start a build that takes a while, and wait until workers have a shard in hand."""
    address = (cluster or site.cluster).address
    arguments = [*LARGE, "--source", large, "--out", out, "--scheduler", address]
    driver = fork(site.forks, out.with_name("driver"), "publish", *arguments)
    started.append(driver)
    driver.wait_until(lambda: list((out / staging.FOLDER).glob("imagenet_v2/*")))  # a worker's first step
    return driver


@pytest.fixture(scope="module")
def expected(site: Site, large: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    folder = tmp_path_factory.mktemp("expected")
    site.run(folder / "log", "publish", *LARGE, "--source", large, "--out", folder / "out", "--workers", 1)
    return without_places(folder / "out")


def test_one_worker_is_killed_and_another_freezes(
    site: Site, large: Path, expected: Tree, tmp_path: Path, process: list[Process]
) -> None:
    """Dask gives up a worker that has said nothing for five seconds, or for longer if it is told so: here, for one."""
    (tmp_path / "of").mkdir()
    cluster = Cluster(tmp_path / "of", site.env, site.forks)
    try:
        cluster.begin(4, DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="1s")
        driver = build(site, large, tmp_path / "out", process, cluster)
        cluster.workers[0].signal(signal.SIGKILL)
        cluster.workers[1].signal(signal.SIGSTOP)
        said = driver.end(0)
    finally:
        cluster.end()
    assert without_places(tmp_path / "out") == expected
    assert sum(shards_by_worker(said).values()) == len([path for path in expected if path.endswith(".parquet")])


def test_the_driver_is_killed_and_run_again(
    site: Site, large: Path, expected: Tree, tmp_path: Path, process: list[Process]
) -> None:
    build(site, large, tmp_path / "out", process).kill()
    assert tree(tmp_path / "out") == {}
    command(site, tmp_path, "publish", *LARGE, "--source", large, "--out", tmp_path / "out")
    assert without_places(tmp_path / "out") == expected


def test_the_scheduler_is_lost_and_started_again(
    site: Site, large: Path, expected: Tree, tmp_path: Path, process: list[Process]
) -> None:
    driver = build(site, large, tmp_path / "out", process)
    assert site.cluster.scheduler
    site.cluster.scheduler.kill()
    said = driver.end(1)
    assert f"{site.cluster.address}: the scheduler is gone" in said
    assert tree(tmp_path / "out") == {}
    site.cluster.end()
    site.cluster.begin(3)
    command(site, tmp_path, "publish", *LARGE, "--source", large, "--out", tmp_path / "out")
    assert without_places(tmp_path / "out") == expected
