"""Publishing to the test Hub as a person does: a command, what it said, what it sent, and what stands there then."""

import copy
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from publish import manifest
from publish.manifest import Manifest
from publish.sample import archives as sample
from tests.kit import archives
from tests.kit.building import ROOT
from tests.kit.forks import Forks, Job
from tests.kit.hub import Fault, Hub, Repo, Request, running

CONFIG = "imagenet_resized/8x8"
# What only a git history remembers, and what the Hub itself puts into a new repository.
NOT_OURS = ".gitattributes"


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, all it said, and the requests it made."""

    code: int
    text: str
    requests: Sequence[Request] = field(repr=False)

    @property
    def sent(self) -> int:
        """Bytes of large files that were sent, by LFS or by Xet."""
        return sum(request.bytes_received for request in self._stored())

    @property
    def arrived(self) -> int:
        """Bytes of large files that were sent and taken."""
        return sum(request.bytes_received for request in self._stored() if request.status == 200)

    def _stored(self) -> list[Request]:
        return [r for r in self.requests if r.method in ("PUT", "POST") and re.match("/storage/|/cas/v1/x", r.path)]

    @property
    def commits(self) -> int:
        """Commits that were asked for."""
        return sum(r.method == "POST" and "/commit/" in r.path for r in self.requests)


class Desk:
    """A person at a machine with a login: archives, a folder for builds, and an organisation on the Hub."""

    def __init__(self, hub: Hub, forks: Forks, folder: Path, organisation: str) -> None:
        self.hub, self._forks, self.folder, self.organisation = hub, forks, folder, organisation
        self.token = f"hf_secret{hashlib.sha256(organisation.encode()).hexdigest()[:24]}"
        hub.add_user(self.token, "alice", orgs={organisation: "write"})

    @cached_property
    def archives(self) -> Path:
        """Archives of two train batches' rows: two shards and one."""
        folder = self.folder / "archives"
        return folder if folder.exists() else self.lay("archives", 60)

    def lay(self, name: str, rows: int, sizes: Sequence[int] = (8,), variation: int = 0) -> Path:
        """Lay out archives with so many train rows, drawn in a variation of their own."""
        folder = self.folder / name
        folder.mkdir()
        for size in sizes:
            pixels = sample.planar(archives.pictures(rows, size, variation))
            sample.write_train_zips(folder, size, sample.train_batches(pixels, archives.labels(rows)))
            sample.write_validation_zip(folder, size, archives.resized_batches(size)[1])
        return folder

    @property
    def out(self) -> Path:
        """Where this machine builds."""
        return self.folder / "out"

    @property
    def pid(self) -> int:
        """The process of the command that runs."""
        return self._forks.pid

    def push(
        self, *more: object, source: Path | None = None, config: str = CONFIG, code: int | None = 0, **turns: Any
    ) -> Said:
        """Publish a config from archives that are not upstream's."""
        what = ["--config", config, "--source", source or self.archives, "--allow-partial"]
        organisation = turns.pop("organisation", self.organisation)
        where = ["--out", turns.pop("out", self.out), "--workers", 1, "--push-to", organisation]
        return self.run("publish", *what, *where, *more, code=code, **turns)

    def run(self, module: str, *arguments: object, code: int | None = 0, typed: str = "", **turns: Any) -> Said:
        """Run a command of this project, and hold its exit code and its discretion against what is expected."""
        first, output = len(self.hub.requests), self.folder / "output"
        variables = {"HF_TOKEN": turns.pop("token", self.token), **turns.pop("variables", {})}
        job = Job(module, [str(a) for a in arguments], str(output), variables, typed, **turns)
        found = self._forks.run(job)
        said = Said(found, output.read_text(), self.hub.requests[first:])
        assert code in (None, found), said.text
        assert "Traceback" not in said.text, said.text
        assert variables["HF_TOKEN"] not in said.text or not variables["HF_TOKEN"]
        return said

    def environment(self, xet: bool = False, **changes: str) -> dict[str, str]:
        """Return the variables of a process that is not forked: a whole interpreter, from its start to its exit."""
        own = self.hub.client_env(self.folder / "hf", self.token, xet) | {"XDG_CACHE_HOME": str(self.folder / "cache")}
        return own | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | changes

    def repo(self, dataset: str = "imagenet_resized") -> Repo:
        """Return the live state of a repository of the organisation."""
        return self.hub.repo(f"{self.organisation}/{dataset}")

    def name(self, dataset: str = "imagenet_resized") -> str:
        """Return the name of a repository of the organisation."""
        return f"{self.organisation}/{dataset}"

    def forget(self) -> None:
        """Remove the folder of builds: what is published next is taken from the archives or from the Hub."""
        if self.out.exists():
            self.out.rename(self.folder / f"out.{len(list(self.folder.iterdir()))}")

    def leaks(self) -> list[Path]:
        """Return the files of this machine that hold the token."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return [path for path in files if self.token.encode() in path.read_bytes()]


class Starts:
    """Desks from which something was published, once for all tests that begin there."""

    def __init__(self, rig: tuple[Hub, Forks], factory: pytest.TempPathFactory) -> None:
        self._rig, self._factory = rig, factory
        self._made: dict[str, tuple[Path, Repo, dict[Path, bytes]]] = {}

    @contextmanager
    def desk(self, name: str, folder: Path, publish: Callable[[Desk], object]) -> Iterator[Desk]:
        """Give a desk in a folder of its own, as `publish` left the first of the name; its token is in no file then."""
        hub, forks = self._rig
        hub.clear_faults()
        if name not in self._made:
            first = Desk(hub, forks, self._factory.mktemp(name), name)
            publish(first)
            repo = _copied(first.repo())
            stored = {path: path.read_bytes() for path in map(repo.store.path, repo.objects)}
            self._made[name] = first.folder, repo, stored
        made, repo, stored = self._made[name]
        for path, content in stored.items():  # a test may have damaged it, or withdrawn it
            path.write_bytes(content)
        desk = Desk(hub, forks, Path(shutil.copytree(made, folder)), name)
        put_back(hub, desk.name(), repo)
        yield desk
        hub.clear_faults()
        assert desk.leaks() == []


@contextmanager
def desks(folder: Path, hub: Hub | None = None) -> Iterator[tuple[Hub, Forks]]:
    """Run what commands are forked from, and a Hub unless there is one."""
    with nullcontext(hub) if hub else running() as place:
        own = place.client_env(folder / "hf") | {"XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "120"}
        own |= {"USE_TORCH": "0"}  # or every process that streams would import it
        quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
        forks = Forks(own | quiet | {"PYTHONWARNINGS": "error"}, folder)
        try:
            yield place, forks
        finally:
            forks.close()


def contents(repo: Repo, revision: str = "main") -> dict[str, str]:
    """Return the SHA-256 of every file of a revision."""
    files = repo.files(revision)
    return {path: f.sha256 or hashlib.sha256(f.data or b"").hexdigest() for path, f in files.items()}


def is_whole(repo: Repo, revision: str = "main") -> bool:
    """Say whether a revision holds each file of its manifest with its digest, and no shard besides."""
    found = contents(repo, revision)
    if manifest.NAME not in found:
        return set(found) == {NOT_OURS}
    expected = read_manifest(repo, revision).digests()
    shards = {path for path in found if path.endswith(".parquet")}
    return expected.items() <= found.items() and shards <= set(expected) and "README.md" in found


def read_manifest(repo: Repo, revision: str = "main") -> Manifest:
    """Return the manifest of a revision."""
    return manifest.load(repo.read(manifest.NAME, revision).decode(), repo.id)


def card(repo: Repo, revision: str = "main") -> str:
    """Return the card of a revision."""
    return repo.read("README.md", revision).decode()


def front(text: str) -> dict[str, Any]:
    """Return the YAML of a card, as the client reads it."""
    data: Any = DatasetCard(text).data
    return dict(data.to_dict())


def flip(path: Path, place: int = 100) -> None:
    """Let a bit of a file be another."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """The same for a while: the Hub's storage has one file for all who sent those bytes."""
    flip(path)
    yield
    flip(path)


def saved(hub: Hub, name: str) -> Repo | None:
    """Return a copy of a repository as it stands, to be put back by `put_back`."""
    repo = hub.find_repo(name)
    return _copied(repo) if repo else None


def put_back(hub: Hub, name: str, repo: Repo | None) -> None:
    """Let a repository be what it was, or not be."""
    hub._repos.pop(name, None)
    if repo:
        hub._repos[name] = _copied(repo)


def _copied(repo: Repo) -> Repo:
    access = replace(repo.access, let_in=set(repo.access.let_in))
    return Repo(access, copy.deepcopy(repo.refs), repo.store, dict(repo.objects))


def killed(desk: Desk, landed: bool = False, **which: Any) -> Fault:
    """Return what kills the command when a request comes, or when it has taken effect."""
    return Fault(**which, hook=lambda _: os.kill(desk.pid, 9), cut="before", landed=landed)
