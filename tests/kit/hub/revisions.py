"""Files, trees and commits with the object ids that git gives them, and the history of a repository's refs.

Object ids: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects. LFS pointers: https://github.com/git-lfs/git-lfs,
docs/spec.md. A revision is a branch, a tag, ``refs/pr/N``, a full commit id or its first 7+ digits.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .wire import HubError

Files = dict[str, "File"]


def git_oid(kind: str, data: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data).hexdigest()


def iso_date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


@dataclass(frozen=True)
class File:
    """A file of a revision: `data` of a regular one, or the `sha256` (and `xet_hash`, if any) of an LFS object."""

    size: int
    oid: str
    data: bytes | None = field(default=None, repr=False)
    sha256: str | None = None
    xet_hash: str | None = None
    pointer_size: int = 0


def regular_file(data: bytes) -> File:
    return File(size=len(data), oid=git_oid("blob", data), data=data)


def lfs_file(sha256: str, size: int, xet_hash: str | None = None) -> File:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    return File(size, git_oid("blob", pointer), sha256=sha256, xet_hash=xet_hash, pointer_size=len(pointer))


def tree_oids(files: Mapping[str, File]) -> dict[str, str]:
    """Return the git tree id of each folder path ('' is the root) of `files`."""
    folders: dict[str, dict[str, str]] = {"": {}}
    for path in files:
        parts = path.split("/")[:-1]
        for depth in range(len(parts)):
            folders.setdefault("/".join(parts[: depth + 1]), {})
    for path, file in files.items():
        folder, _, name = path.rpartition("/")
        folders[folder][name] = file.oid
    return _hash_folders(folders, set(files))


def _hash_folders(folders: dict[str, dict[str, str]], files: set[str]) -> dict[str, str]:
    oids: dict[str, str] = {}
    for folder in sorted(folders, key=_depth, reverse=True):
        entries = [(name, b"100644", oid) for name, oid in folders[folder].items() if _join(folder, name) in files]
        subfolders = [f for f in oids if f.rpartition("/")[0] == folder and f]
        entries += [(f.rpartition("/")[2] + "/", b"40000", oids[f]) for f in subfolders]
        data = b"".join(m + b" " + n.rstrip("/").encode() + b"\0" + bytes.fromhex(o) for n, m, o in sorted(entries))
        oids[folder] = git_oid("tree", data)
    return oids


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


@dataclass(frozen=True)
class Commit:
    """A commit: its id, its parents (none or one), who, when (seconds since the epoch), why, and every file."""

    oid: str
    parents: tuple[str, ...]
    title: str
    message: str
    author: str
    time: float
    files: Mapping[str, File] = field(repr=False)

    @property
    def date(self) -> str:
        return iso_date(self.time)


def new_commit(
    files: Mapping[str, File], parents: tuple[str, ...], title: str, message: str = "", author: str = "system"
) -> Commit:
    now = time.time()
    who = f"{author} <{author}@example.org> {now:.6f} +0000"
    lines = [f"tree {tree_oids(files)['']}", *(f"parent {p}" for p in parents), f"author {who}", f"committer {who}", ""]
    oid = git_oid("commit", "\n".join([*lines, title, message]).encode())
    return Commit(oid, parents, title, message, author, now, dict(files))


@dataclass
class Refs:
    """Commits by id, and the refs that name them: branches, tags and pull requests (number -> commit id)."""

    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pull_requests: dict[int, str] = field(default_factory=dict)

    def find(self, revision: str) -> Commit:
        """Return the commit that `revision` names; raises HubError 404 RevisionNotFound."""
        for names in (self.branches, self.tags):
            if revision in names:
                return self.commits[names[revision]]
        number = revision.removeprefix("refs/pr/")
        if number != revision and number.isdigit() and int(number) in self.pull_requests:
            return self.commits[self.pull_requests[int(number)]]
        found = [c for oid, c in self.commits.items() if len(revision) >= 7 and oid.startswith(revision)]
        if len(found) != 1:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found[0]

    def history(self, revision: str = "main") -> Iterator[Commit]:
        """Yield the commits of `revision`, newest first."""
        commit: Commit | None = self.find(revision)
        while commit is not None:
            yield commit
            commit = self.commits[commit.parents[0]] if commit.parents else None

    def move(self, revision: str, commit: Commit) -> None:
        """Add `commit` and point the branch or pull request `revision` to it; raises HubError 404 for another ref."""
        number = revision.removeprefix("refs/pr/")
        if revision in self.branches:
            self.branches[revision] = commit.oid
        elif number != revision and number.isdigit() and int(number) in self.pull_requests:
            self.pull_requests[int(number)] = commit.oid
        else:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        self.commits[commit.oid] = commit

    def rewrite(self, forbidden: set[str]) -> None:
        """Rewrite every commit without the LFS objects `forbidden` (sha256), and let all refs point to the new ones."""
        renamed: dict[str, str] = {}
        for old in sorted(self.commits.values(), key=lambda c: c.time):
            files = {path: f for path, f in old.files.items() if f.sha256 not in forbidden}
            parents = tuple(renamed[p] for p in old.parents)
            new = old if (len(files), parents) == (len(old.files), old.parents) else _recreate(old, files, parents)
            renamed[old.oid] = new.oid
            self.commits[new.oid] = new
        self.commits = {oid: self.commits[oid] for oid in renamed.values()}
        self.branches = {name: renamed[oid] for name, oid in self.branches.items()}
        self.tags = {name: renamed[oid] for name, oid in self.tags.items()}
        self.pull_requests = {number: renamed[oid] for number, oid in self.pull_requests.items()}


def _recreate(old: Commit, files: Files, parents: tuple[str, ...]) -> Commit:
    new = new_commit(files, parents, old.title, old.message, old.author)
    return Commit(new.oid, parents, old.title, old.message, old.author, old.time, files)
