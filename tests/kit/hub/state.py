"""What a Hub knows: users, repositories, their refs and objects; the same state a test looks at."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .access import Access, TokenRole, User
from .cas import Cas
from .faults import Fault, Script
from .revisions import Commit, File, Refs, new_commit, regular_file
from .storage import ObjectStore
from .wire import HubError, Request

# The patterns of a new dataset repository's .gitattributes that this project can meet.
_CHECKOUT = Path(__file__).resolve().parents[3]
LFS_SUFFIXES = "7z arrow bin bz2 gz jpeg jpg npy npz parquet png pt tar tgz webp xz zip zst"
GIT_ATTRIBUTES = "".join(
    f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES.split()
).encode()


@dataclass(frozen=True)
class Push:
    """An LFS object that reached a repository: its path when it was first committed ("" before) and when it came."""

    sha256: str
    size: int
    date: str
    filename: str = ""
    xet_hash: str | None = None


@dataclass
class Repo:
    """A dataset repository: `access`, `refs` (commits, branches, tags, pull requests), `objects` it may refer to."""

    access: Access
    refs: Refs
    store: ObjectStore
    objects: dict[str, Push] = field(default_factory=dict)
    committing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def id(self) -> str:
        return self.access.repo_id

    @property
    def private(self) -> bool:
        return self.access.private

    @property
    def gated(self) -> Literal["auto", "manual", False]:
        return self.access.gated

    @property
    def branches(self) -> dict[str, str]:
        return dict(self.refs.branches)

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.refs.tags)

    @property
    def pull_requests(self) -> dict[int, str]:
        return dict(self.refs.pull_requests)

    def head(self, revision: str = "main") -> str:
        return self.refs.find(revision).oid

    def files(self, revision: str = "main") -> dict[str, File]:
        return dict(self.refs.find(revision).files)

    def history(self, revision: str = "main") -> list[Commit]:
        """Return the commits of `revision`, newest first; the last one is the Hub's own "initial commit"."""
        return list(self.refs.history(revision))

    def read(self, path: str, revision: str = "main") -> bytes:
        """Return the content of a file; raises HubError 404 when the revision has no such file."""
        file = self.files(revision).get(path)
        if file is None:
            raise entry_missing(path, self.head(revision))
        return self.store.path(file.sha256).read_bytes() if file.sha256 else file.data or b""

    def let_in(self, name: str) -> None:
        """Let the user `name` through the gate."""
        self.access.let_in.add(name)


def entry_missing(path: str, commit: str) -> HubError:
    return HubError(404, f"Entry not found: {path}", "EntryNotFound", {"X-Repo-Commit": commit})


class Hub:
    """The state of the server and the handle that tests get: `endpoint`, `requests`, `repo`, `add_user`, `inject`."""

    def __init__(self, folder: Path, page_size: int, multipart_size: int) -> None:
        self.endpoint = self.storage_endpoint = ""
        self.page_size, self.multipart_size = page_size, multipart_size
        self.store = ObjectStore(folder)
        self.cas = Cas()
        self.script = Script()
        self.lock = threading.RLock()
        self.closing = threading.Event()
        self.errors: list[Exception] = []
        self._log: list[Request] = []
        self._users: dict[str, User] = {}
        self._repos: dict[str, Repo] = {}

    @property
    def requests(self) -> list[Request]:
        """Return the log, in order of arrival."""
        with self.lock:
            return list(self._log)

    def log(self, build: Callable[[int], Request]) -> Request:
        with self.lock:
            self._log.append(build(len(self._log)))
            return self._log[-1]

    def inject(self, *faults: Fault) -> None:
        for fault in faults:
            self.script.add(fault)

    def clear_faults(self) -> None:
        self.script.clear()

    def fired(self) -> list[tuple[Fault, int]]:
        """Return each fault with the number of requests it struck: a test of a fault asserts that it happened."""
        return self.script.fired()

    def add_user(
        self,
        token: str,
        name: str,
        orgs: Mapping[str, str] | None = None,
        role: TokenRole = "write",
        scopes: Mapping[str, Iterable[str]] | None = None,
    ) -> User:
        """Add a token of the user `name` (who may have several); see `access.User` for the roles and scopes."""
        user = User(token, name, dict(orgs or {}), role, {k: tuple(v) for k, v in (scopes or {}).items()})
        with self.lock:
            self._users[token] = user
        return user

    def revoke(self, token: str) -> None:
        with self.lock:
            del self._users[token]

    def client_env(self, home: Path, token: str = "", xet: bool = False) -> dict[str, str]:
        """Return the environment of a client process that talks to this Hub alone, with HF_HOME at `home`."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
        own |= quiet | {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        own["PYTHONPATH"] = str(_CHECKOUT)  # whatever the caller's is
        own |= {"HF_TOKEN": token} if token else {}
        if xet:  # which does not begin without a certificate, though no TLS is spoken here
            return own
        own.pop("SSL_CERT_FILE", None)  # a machine's certificates take a tenth as long to read as a push to make
        return own | {"HF_HUB_DISABLE_XET": "1", "SSL_CERT_DIR": str(home)}

    def user_of(self, authorization: str | None) -> User | None:
        """Return the user of an Authorization header; raises HubError 401 for a token that is not valid."""
        if not authorization:
            return None
        user = self._users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return user

    def repo(self, repo_id: str) -> Repo:
        """Return a repository's live state; raises KeyError when there is none."""
        return self._repos[repo_id]

    def find_repo(self, repo_id: str) -> Repo | None:
        return self._repos.get(repo_id)

    def repos(self) -> list[Repo]:
        return list(self._repos.values())

    def add_repo(self, repo_id: str, creator: str, private: bool = False) -> Repo:
        """Create a repository with the Hub's own initial commit; raises HubError 409 when it exists."""
        with self.lock:
            if repo_id in self._repos:
                raise HubError(409, f"You already created this dataset repo: {repo_id}")
            first = new_commit({".gitattributes": regular_file(GIT_ATTRIBUTES)}, (), "initial commit")
            refs = Refs({first.oid: first}, {"main": first.oid})
            self._repos[repo_id] = Repo(Access(repo_id, creator, private), refs, self.store)
            return self._repos[repo_id]

    def commit(
        self, repo_id: str, changes: Mapping[str, bytes | None], title: str = "Second publisher", revision: str = "main"
    ) -> str:
        """Commit `changes` (None deletes a path) behind the clients' back, as regular files; return the commit's id."""
        with self.lock:
            repo = self.repo(repo_id)
            files = {path: file for path, file in repo.files(revision).items() if path not in changes}
            files |= {path: regular_file(data) for path, data in changes.items() if data is not None}
            commit = new_commit(files, (repo.head(revision),), title, author="someone-else")
            repo.refs.move(revision, commit)
            return commit.oid
