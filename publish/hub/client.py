"""A dataset repository on the Hub as the publisher sees it: its head, its settings, and patience with the network.

Every call goes through `huggingface_hub`, with the user's own login and endpoint. What the client does not retry, or
gives up on, is tried again here to a stated end; what a person has to mend is said in one line.
"""

import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem, constants, hf_hub_download, set_client_factory
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._http import parse_ratelimit_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from loaders import Problem
from loaders.sources.digests import remember_sha256
from publish.console.exits import discreet
from publish.hub import session
from publish.hub.session import within

T = TypeVar("T")
WAITS = (5.0, 15.0, 30.0, 60.0, 120.0)  # seconds between tries, after the client's own have come to nothing
_PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
_DATASET = re.compile(r"/datasets/([^/]+/[^/]+)(?:/(?!auth-check)|$)")  # in an address; not where writing is asked for
_STORAGE = re.compile(r"HTTP status \w+ error \((\d{3})\b")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_MOST_LISTED = 100_000
_TOKEN_HELP = "log in with `hf auth login`, or set HF_TOKEN to a token with write access"


@dataclass(frozen=True)
class RemoteFile:
    """A file at a revision: bytes, SHA-256 if it is stored as a large file, and the id git gives its content."""

    size: int
    sha256: str | None
    blob_id: str


@dataclass(frozen=True)
class Head:
    """A branch at one moment: its commit and its files by path."""

    commit: str
    files: dict[str, RemoteFile]


set_client_factory(session.session)  # left to itself, the client waits for ever


def status_of(error: BaseException | None) -> int | None:
    """Return the HTTP status behind an error of the client, or None when no answer came."""
    response = _answer(error)
    return None if response is None else int(response.status_code)


def _storage_status(error: BaseException | None) -> int | None:
    """Return the HTTP status of Xet's storage, which its client tells in words alone."""
    found = _STORAGE.search(str(error)) if isinstance(error, ConnectionError) else None
    return int(found[1]) if found else None


def _answer(error: BaseException | None) -> Any:
    while error is not None:
        if isinstance(error, HfHubHTTPError) and error.response is not None:
            return error.response
        error = error.__cause__
    return None


def is_passing(error: BaseException) -> bool:
    """Say whether the same request may succeed later: the server was busy or broken, or the connection was."""
    if isinstance(error, OfflineModeIsEnabled | NotImplementedError):  # the latter of pyarrow, over a damaged file
        return False
    status = status_of(error) or _storage_status(error)
    if status is not None:
        return status in _PASSING
    return isinstance(error, ConnectionError | TimeoutError | RuntimeError) or "httpx" in type(error).__module__


def patiently(call: Callable[[], T], what: str, waits: tuple[float, ...] = WAITS) -> T:
    """Return what the call returns, trying again after passing errors; raises Problem when patience ends.

    For calls that may be made twice: a commit has a loop of its own.
    """
    for wait in (*waits, None):
        try:
            return call()
        except Exception as error:
            if wait is None or not is_passing(error):
                raise as_problem(error, what) from error
            pause(error, what, wait)
    raise AssertionError("unreachable")


def pause(error: BaseException, what: str, wait: float) -> None:
    """Say what is waited for, and wait: as long as the server asks, if it does."""
    wait = max(wait, _asked_wait(error))
    print(f"{what}: {_reason(error)}; trying again in {wait:.0f} s", file=sys.stderr, flush=True)
    time.sleep(wait)


def _asked_wait(error: BaseException) -> float:
    response = _answer(error)
    if response is None:
        return 0.0
    asked, limit = response.headers.get("Retry-After", "0"), parse_ratelimit_headers(response.headers)
    spent = limit.reset_in_seconds if limit and not limit.remaining else 0
    return float(max(int(asked), spent))  # both bounded by the session


def _reason(error: BaseException) -> str:
    status = status_of(error)
    return f"the Hub answered {status}" if status else f"no answer ({type(error).__name__})"


def as_problem(error: BaseException, what: str) -> Problem:
    """Return an error of the client in one line, with its remedy."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return Problem(f"{what}: HF_HUB_OFFLINE is set, so nothing can be sent. Unset it and run again.")
    status = 401 if isinstance(error, LocalTokenNotFoundError) else status_of(error)
    remedies = {
        401: f"the Hub does not know the token, or none was sent: {_TOKEN_HELP}.",
        403: "the token may not write there: use one with write access to it, or name another organisation.",
        404: "there is no such repository, or this login may not see it.",
        412: "somebody else has changed it meanwhile. Look at what they did, and run the same command again.",
    }
    if stored := _storage_status(error):
        return Problem(
            f"{what}: the Hub's storage answered {stored} ({discreet(error)}). If a proxy keeps it out, "
            "HF_HUB_DISABLE_XET=1 sends everything by way of LFS."
        )
    if lacks_route(error):
        asked = _answer(error).request
        return Problem(
            f"{what}: this server knows no {asked.method} {asked.url.path}: it does not do all that the Hub does."
        )
    if status in remedies:
        return Problem(f"{what}: {_unread(error) or remedies[status]}")
    if is_passing(error):
        return Problem(f"{what}: {_reason(error)}, and went on so. Run the same command later: what was sent is kept.")
    return Problem(f"{what}: {type(error).__name__}: {discreet(error)}")


def lacks_route(error: BaseException) -> bool:
    """Say whether a server does not know what was asked of it at all, rather than whom it was asked about."""
    answer = _answer(error)
    return answer is not None and answer.status_code == 404 and not answer.headers.get("X-Error-Code")


def _unread(error: BaseException) -> str | None:
    """Return what to do about a repository that this login is not shown, or None when that is not what is wrong."""
    response = _answer(error)
    asked = _DATASET.search(response.request.url.path) if response is not None else None
    if asked is None:
        return None
    page = f"ask for access at {constants.ENDPOINT}/datasets/{asked[1]}."
    if response.headers.get("X-Error-Code") == "GatedRepo":
        login = "log in with `hf auth login`, and " if response.status_code == 401 else ""
        return f"is shown only to those who were let in: {login}{page}"
    reads = response.status_code == 403 and response.request.method in ("GET", "HEAD")
    return f"this login may not read it: use a token that may, or {page}" if reads else None


class Repository:
    """A dataset repository at a branch."""

    def __init__(self, name: str, revision: str = "main") -> None:
        self.name, self.revision = name, revision

    @cached_property
    def api(self) -> HfApi:
        """The client, made where it is used: a worker process makes its own."""
        return HfApi(library_name="imagenet-variants")

    def settings(self) -> tuple[bool, bool] | None:
        """Return (private, gated), or None when there is no such repository."""
        try:
            info = patiently(partial(within, self._info), f"{self.name}: reading its settings")
        except Problem as problem:
            if isinstance(problem.__cause__, RepositoryNotFoundError) and status_of(problem.__cause__) != 401:
                return None
            raise
        return bool(info.private), bool(info.gated)

    def _info(self) -> Any:
        return self.api.repo_info(self.name, repo_type="dataset")

    def head(self, revision: str | None = None) -> Head | None:
        """Return the branch (or another revision) as it is now, or None when there is none yet."""
        read = partial(within, partial(self._head, revision or self.revision))
        return patiently(read, f"{self.name}: reading the head")

    def _head(self, revision: str) -> Head | None:
        try:
            commit = str(self.api.repo_info(self.name, repo_type="dataset", revision=revision).sha)
            if not _COMMIT.fullmatch(commit):
                raise Problem(f"{self.name}: its head is {commit[:80]!r}, expected the id of a commit.")
            tree = self.api.list_repo_tree(self.name, repo_type="dataset", revision=commit, recursive=True)
            return Head(commit, dict(self._listed(tree)))
        except RevisionNotFoundError:
            return None
        except EntryNotFoundError:  # an empty repository has no tree
            return Head(commit, {})

    def _listed(self, tree: Iterable[object]) -> Iterator[tuple[str, RemoteFile]]:
        """Yield each file of a listing; raises Problem for one that does not end."""
        for count, entry in enumerate(tree):
            if count == _MOST_LISTED:
                raise Problem(f"{self.name}: lists more than {_MOST_LISTED:,} files, and was not heard out.")
            if isinstance(entry, RepoFile):
                yield self._inside(entry), _remote(entry)

    def _inside(self, entry: RepoFile) -> str:
        """Return the path of a listed file; raises Problem for one that no git has, before it is part of an address."""
        parts = entry.path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise Problem(f"{self.name}: lists the file {entry.path!r}, which leads out of the repository.")
        return str(entry.path)

    def proposals(self) -> list[str]:
        """Return the refs of its pull requests, the newest first."""
        list_refs = partial(self.api.list_repo_refs, self.name, repo_type="dataset", include_pull_requests=True)
        refs = patiently(partial(within, list_refs), f"{self.name}: reading its pull requests")
        return sorted((ref.ref for ref in refs.pull_requests or []), key=lambda ref: -int(ref.rpartition("/")[2]))

    def read(self, path: str, head: Head) -> bytes | None:
        """Return the content of a file at the head, or None when it has none of that name."""
        return self.content(path, head.commit) if path in head.files else None

    def content(self, path: str, commit: str) -> bytes:
        """Return the bytes of a file at a commit."""

        def read() -> bytes:
            with self.open(path, commit) as file:
                return bytes(file.read())

        return patiently(read, f"{self.name}: reading {path}")

    def open(self, path: str, commit: str) -> Any:
        """Open a file at a commit for reading by ranges."""
        return self._files.open(f"datasets/{self.name}@{commit}/{path}", "rb")

    def span(self, path: str, commit: str, begin: int, end: int) -> bytes:
        """Return bytes of a file at a commit; a person waits for them."""
        read = partial(self._files.cat_file, f"datasets/{self.name}@{commit}/{path}", cache_type="none")
        return bytes(patiently(partial(read, begin, end), f"{self.name}: reading {path}", waits=(1.0,)))

    def download(self, path: str, commit: str) -> Path:
        """Return a file at a commit in the library's cache, where it is put, with a bar, unless it is there."""
        get = partial(hf_hub_download, self.name, path, repo_type="dataset", revision=commit)
        return Path(patiently(get, f"{self.name}: downloading {path}", waits=(1.0,)))

    @cached_property
    def _files(self) -> HfFileSystem:
        """One for all files of a commit: it lists their folders once."""
        return HfFileSystem(endpoint=constants.ENDPOINT, skip_instance_cache=True)

    def upload(self, path: str, file: Path, sha256: str, create_pr: bool = False) -> CommitOperationAdd:
        """Send a file ahead of its commit, unless the Hub has its bytes; return what the commit needs of it.

        Raises Problem for a file that has not that digest any more.
        """
        disable_progress_bars()  # they would run into our own
        operation = CommitOperationAdd(path_in_repo=path, path_or_fileobj=str(file))
        if (found := operation.upload_info.sha256.hex()) != sha256:
            remember_sha256(file, found)  # an older note would let the next run take it for whole
            raise Problem(
                f"{file}: expected SHA-256 {sha256}, found {found}: it was damaged after it was built, and was not "
                "sent. Run the same command again to build it anew."
            )
        send = partial(self.api.preupload_lfs_files, self.name, [operation], repo_type="dataset", num_threads=1)
        patiently(partial(send, revision=self.revision, create_pr=create_pr), f"{self.name}: sending {path}")
        return operation


def _remote(entry: RepoFile) -> RemoteFile:
    return RemoteFile(entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
