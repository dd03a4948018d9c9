"""The same commands on a cluster: the same bytes, whoever dies, and nothing done where it must not be."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loaders import Problem
from publish.build import staging
from tests.kit import regenerating
from tests.kit.building import COMMAND, RESIZED, ROOT, Tree, environment, run, tree
from tests.kit.cluster import Cluster, Process, start
from tests.kit.pushing import contents
from tests.kit.refusals import says
from tests.publish.work.conftest import TOKEN, Site

LARGE = ("--config", "imagenet_v2/matched-frequency", "--allow-partial")
_DRIVER = "hf_driver0123456789"


def command(site: Site, *arguments: object, code: int = 0, **changes: str) -> str:
    """Run a command of this project on the cluster, and return what it said."""
    done = run(sys.executable, "-m", *arguments, "--scheduler", site.cluster.address, env=site.env | changes)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said, said
    return said


def without_places(folder: Path) -> Tree:
    """Return the files of a folder, but for the cards, which name the folder they are in."""
    return {path: sha256 for path, sha256 in tree(folder).items() if not path.endswith("README.md")}


def shards_by_worker(said: str) -> dict[str, int]:
    """Return the table of workers that a command prints."""
    lines = [line.split() for line in said.splitlines() if line.startswith("tcp://")]
    return {words[0]: int(words[1]) for words in lines if words[1].isdigit()}


# The same bytes


def test_every_config_of_the_sample(site: Site, sample: Path, built: Path, tmp_path: Path) -> None:
    said = command(site, "publish", "--config", "all", "--source", sample, "--out", tmp_path / "out")
    assert without_places(tmp_path / "out") == without_places(built)
    by_worker = shards_by_worker(said)
    assert sum(by_worker.values()) == len(list(built.rglob("*.parquet")))
    assert len(by_worker) == 3
    assert "dashboard" in said
    assert list((tmp_path / "out" / staging.FOLDER).rglob("*.parquet")) == []
    again = command(site, "publish", "--config", "all", "--source", sample, "--out", tmp_path / "out")
    assert shards_by_worker(again) == {}


def test_a_regeneration(site: Site, tmp_path: Path) -> None:
    source = regenerating.lay_tars(tmp_path / "in", regenerating.drawn())
    arguments = ["publish.regenerate", "--source", source, "--sizes", 8, 64]
    assert run(sys.executable, "-m", *arguments, "--out", tmp_path / "here").returncode == 0
    said = command(site, *arguments, "--out", tmp_path / "there")
    assert tree(tmp_path / "there") == tree(tmp_path / "here")
    assert len([line for line in said.splitlines() if line.startswith("tcp://")]) > 1


def test_from_a_store_into_a_store(site: Site, sample: Path, tmp_path: Path) -> None:
    for name in ("archives", "results"):
        site.store.mkdir(name)
    for path in [*sample.glob("Imagenet16*"), *sample.glob("Imagenet8*"), sample / "imagenet-variants.json"]:
        site.store.put_file(str(path), f"archives/sample/{path.name}")
    wanted = [option for size in (8, 16) for option in ("--config", f"{RESIZED}/{size}x{size}")]
    places = ["--source", "s3://archives/sample", "--out", "s3://results/hub"]
    assert shards_by_worker(command(site, "publish", *wanted, *places))
    assert shards_by_worker(command(site, "publish", *wanted, *places)) == {}  # all of it is there
    site.fetch("results/hub/", tmp_path / "got")
    run(*COMMAND, *wanted, "--source", sample, "--out", tmp_path / "here")
    assert without_places(tmp_path / "got") == without_places(tmp_path / "here")
    assert list(tmp_path.glob("got/.partial/**/*.parquet")) == []


def test_a_regeneration_into_a_store(site: Site, tmp_path: Path) -> None:
    source = regenerating.lay_tars(tmp_path / "in", regenerating.drawn())
    arguments = ["publish.regenerate", "--source", source, "--sizes", 8]
    assert run(sys.executable, "-m", *arguments, "--out", tmp_path / "here").returncode == 0
    site.store.mkdir("regenerated")
    command(site, *arguments, "--out", "s3://regenerated/out")
    site.fetch("regenerated/out/", tmp_path / "there")
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def test_a_regeneration_into_a_store_that_was_killed(site: Site, tmp_path: Path, process: list[Process]) -> None:
    source = regenerating.lay_tars(tmp_path / "in", regenerating.drawn())
    arguments = ["-m", "publish.regenerate", "--source", source, "--sizes", 8, 64]
    assert run(sys.executable, *arguments, "--out", tmp_path / "here").returncode == 0
    site.store.mkdir("killed")
    first = start(tmp_path / "log", *arguments, "--out", "s3://killed/out", "--workers", 2, env=site.env)
    process.append(first)
    first.wait_until(lambda: site.store.find("killed", refresh=True))  # what it put there first
    first.kill()
    done = run(sys.executable, *arguments, "--out", "s3://killed/out", "--workers", 2, env=site.env)
    assert done.returncode == 0, done.stderr
    site.fetch("killed/out/", tmp_path / "there")
    assert tree(tmp_path / "there") == tree(tmp_path / "here")


def test_workers_send_their_shards_with_logins_of_their_own(site: Site, sample: Path, tmp_path: Path) -> None:
    site.hub.add_user(_DRIVER, "driver", orgs={"lab": "write"})
    first = len(site.hub.requests)
    arguments = ["--config", f"{RESIZED}/8x8", "--source", sample, "--push-to", "lab", "--allow-sample"]
    command(site, "publish", *arguments, "--out", tmp_path / "out", HF_TOKEN=_DRIVER)
    requests = site.hub.requests[first:]
    senders = {r.headers.get("Authorization") for r in requests if "/info/lfs/objects/batch" in r.path}
    commits = {r.headers.get("Authorization") for r in requests if "/commit/" in r.path}
    assert f"Bearer {TOKEN}" in senders
    assert commits == {f"Bearer {_DRIVER}"}
    assert list((tmp_path / "out").rglob("*.parquet")) == []
    assert _DRIVER not in site.cluster.said()
    local = tmp_path / "local"
    assert run(*COMMAND, "--config", f"{RESIZED}/8x8", "--source", sample, "--out", local).returncode == 0
    pushed = contents(site.hub.repo(f"lab/{RESIZED}"))
    assert {p: s for p, s in pushed.items() if p.endswith(".parquet")} == {
        p: s for p, s in tree(local / RESIZED).items() if p.endswith(".parquet")
    }


# Who may work


def test_no_scheduler_there(tmp_path: Path) -> None:
    """It is looked for before anything is downloaded: ImageNetV2 is not there either."""
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    (tmp_path / "in").mkdir()
    words = ["--config", "imagenet_v2/topimages", "--source", tmp_path / "in", "--out", tmp_path / "out"]
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run(*COMMAND, *words, "--scheduler", "tcp://127.0.0.1:9", env=environment(**nowhere))
    assert done.returncode == 1
    assert "tcp://127.0.0.1:9: no Dask scheduler answers there" in done.stderr
    assert "Traceback" not in done.stderr
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


@pytest.mark.parametrize("what", ["numpy", "code"])
def test_a_worker_of_another_version(what: str, site: Site, sample: Path, tmp_path: Path) -> None:
    """What is installed there is told by the metadata that Python finds first, and our code by its bytes."""
    other = tmp_path / "numpy-0.0.1.dist-info"
    if what == "numpy":
        other.mkdir()
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    else:
        for package in ("loaders", "publish", "cards"):
            shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "publish" / "__init__.py").write_text('"""Of another release."""\n')
    (tmp_path / "of").mkdir()
    cluster = Cluster(tmp_path / "of", site.env)
    try:
        cluster.begin(0)
        cluster.add(1, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
        arguments = ["--config", RESIZED, "--source", sample, "--out", tmp_path / "out", "--scheduler", cluster.address]
        done = run(*COMMAND, *arguments, env=site.env)
    finally:
        cluster.end()
    assert done.returncode == 1
    assert ("has numpy 0.0.1, not" if what == "numpy" else "has other code of imagenet-variants") in done.stderr
    assert "Install there what is installed here" in done.stderr
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
    said = command(site, "publish", *LARGE, "--source", folder, "--out", tmp_path / "out", code=1)
    assert "expected an image that can be decoded whole" in said
    assert tree(tmp_path / "out") == {}


# Who dies


def build(site: Site, large: Path, out: Path, started: list[Process]) -> Process:
    """Start a build that takes a while, and wait until each worker has a shard in hand."""
    arguments = [*LARGE, "--source", large, "--out", out]
    driver = start(out.with_name("log"), "-m", "publish", *arguments, "--scheduler", site.cluster.address, env=site.env)
    started.append(driver)
    driver.wait_until(lambda: list((out / staging.FOLDER).glob("imagenet_v2/*")))  # a worker's first step
    time.sleep(0.1)
    return driver


@pytest.fixture(scope="session")
def expected(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    out = tmp_path_factory.mktemp("expected") / "out"
    arguments = [*LARGE, "--source", large, "--out", out]
    done = subprocess.run([*COMMAND, *map(str, arguments)], env=environment(), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    return without_places(out)


def test_one_worker_is_killed_and_another_freezes(
    site: Site, large: Path, expected: Tree, tmp_path: Path, process: list[Process]
) -> None:
    driver = build(site, large, tmp_path / "out", process)
    first, second, *_ = site.cluster.workers
    first.signal(signal.SIGKILL)
    second.signal(signal.SIGSTOP)
    said = driver.end(0)
    assert without_places(tmp_path / "out") == expected
    assert sum(shards_by_worker(said).values()) == len([path for path in expected if path.endswith(".parquet")])
    for gone in (first, second):
        gone.kill()
        site.cluster.workers.remove(gone)
    site.cluster.add(2)


def test_the_driver_is_killed_and_run_again(
    site: Site, large: Path, expected: Tree, tmp_path: Path, process: list[Process]
) -> None:
    build(site, large, tmp_path / "out", process).kill()
    assert tree(tmp_path / "out") == {}
    arguments = [*LARGE, "--source", large, "--out", tmp_path / "out"]
    command(site, "publish", *arguments)
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
    arguments = [*LARGE, "--source", large, "--out", tmp_path / "out"]
    command(site, "publish", *arguments)
    assert without_places(tmp_path / "out") == expected
