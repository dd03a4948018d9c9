"""What tests of a cluster share: a Hub, a store and a cluster whose workers have a login and credentials for both."""

import socket
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from publish.sample import archives as writers
from tests.kit.building import ROOT
from tests.kit.cluster import MODULES, Cluster, Process, fork
from tests.kit.forks import Forks, Job
from tests.kit.hub import Hub, running

TOKEN = "hf_worker0123456789"


@dataclass(frozen=True)
class Site:
    """A cluster, the Hub it publishes to, and an S3-compatible store; `env` is of a machine that may use all.

    `forks` is such a machine, on which everything is imported.
    """

    cluster: Cluster
    hub: Hub
    store: Any
    env: dict[str, str]
    forks: Forks

    def run(self, log: Path, *command: object, code: int = 0, timeout: float | None = None, **changes: str) -> str:
        """Run a command of this project, hold its exit code against the expected one, and return what it said."""
        module, *arguments = map(str, command)
        found = self.forks.run(Job(module, arguments, str(log), changes, timeout=timeout))
        said = log.read_text()
        assert found == code, said
        assert "Traceback" not in said, said
        return said

    def fetch(self, path: str, folder: Path) -> None:
        """Copy what lies in the store at a path."""
        self.store.get(path, f"{folder}/", recursive=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    folder = tmp_path_factory.mktemp("cluster")
    with running() as hub:
        hub.add_user(TOKEN, "worker", orgs={"lab": "write"})
        env = hub.client_env(folder / "hf", TOKEN) | {"XDG_CACHE_HOME": str(folder / "cache")}
        env |= {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
        port = _free_port()
        env |= _credentials(port)
        forks = Forks(env, folder, [*MODULES, "s3fs", "moto.server"])
        store = fork(forks, folder / "moto.log", "moto.server", "-H", "127.0.0.1", "-p", port)
        cluster = Cluster(folder, env, forks)
        try:
            store.wait_until(lambda: _answers(port))
            cluster.begin(3)
            yield Site(cluster, hub, _client(env), env, forks)
        finally:
            cluster.end()
            store.kill()
            forks.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _credentials(port: int) -> dict[str, str]:
    """Return what the S3 client reads on each machine."""
    return {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secretkey0123456789",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }


def _client(env: Mapping[str, str]) -> Any:
    """Return the store as this process sees it, without what others have put there meanwhile kept in mind."""
    s3fs = pytest.importorskip("s3fs", reason="needs the extra 's3'")
    keys = {"key": env["AWS_ACCESS_KEY_ID"], "secret": env["AWS_SECRET_ACCESS_KEY"]}
    return s3fs.S3FileSystem(
        **keys, endpoint_url=env["AWS_ENDPOINT_URL"], use_listings_cache=False, skip_instance_cache=True
    )


def _answers(port: int) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
        return True
    return False


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of four shards that take a third of a second each: their photographs are decoded, each once."""
    folder = tmp_path_factory.mktemp("large")
    photo = writers.jpeg(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    config = "matched-frequency"
    rows = [(n % 1000, writers.v2_name(config, n, n % 1000), photo) for n in range(1300)]
    writers.write_v2(folder, config, [(str(label), name, photo) for label, name, photo in rows])
    return folder


@pytest.fixture
def process(tmp_path: Path) -> Iterator[list[Process]]:
    """Processes that a test started, ended with it."""
    started: list[Process] = []
    yield started
    for each in started:
        each.kill()
