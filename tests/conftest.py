"""What every test shares: caches of its own, no network but loopback, and one sample drawn a session."""

import atexit
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is no reason to fail
settings.load_profile("any machine")

# The same by libyaml, ten times as fast: a card names a thousand classes for each config, and is read all the time.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
yaml.SafeDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_ASKED_TO_END = signal.getsignal(signal.SIGTERM)
# The libraries read these when they are first imported, which is before any fixture runs.
_CACHES = tempfile.mkdtemp(prefix="imagenet-variants-tests-")
atexit.register(shutil.rmtree, _CACHES, ignore_errors=True)
for _variable in ("HF_HOME", "HF_DATASETS_CACHE", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
    os.environ[_variable] = f"{_CACHES}/{_variable.lower()}"
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
os.environ.pop("HF_TOKEN", None)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would each compile this project anew
# A shell starts what runs in its background deaf to Ctrl-C, and children of the deaf are deaf: some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the sample's archives, drawn once, by whichever worker comes first."""
    from loaders.sources.sidecar import SIDECAR
    from publish.sample.archives import write

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "sample"
    with FileLock(f"{folder}.lock"):
        if not (folder / SIDECAR).is_file():  # the last file that is written
            write(folder)
    return folder


@pytest.fixture(scope="session")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with all fifteen configs; not to be changed."""
    from tests.kit import building

    return building.shared(sample, tmp_path_factory, worker_id)


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """Undo what a command that was run in this process does to SIGTERM: a pool's forks would survive the pool's end."""
    signal.signal(signal.SIGTERM, _ASKED_TO_END)
    yield
    signal.signal(signal.SIGTERM, _ASKED_TO_END)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import the functions of `tests`."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not _is_loopback(address[0]):
            raise PermissionError(f"tests use no network, and this one asks for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
