"""One commit for a repository: what is missing at its head, computed anew before every try."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from loaders import Problem
from publish import manifest
from publish.build.entry import Ready
from publish.card import merge, render
from publish.hub import access, client
from publish.hub.client import Head, RemoteFile, Repository
from publish.manifest import Manifest
from publish.repository import compose

MOST_FILES = 400  # ours are near 150; above this, something is wrong with the plan
_COMMIT_TRIES = 8


@dataclass(frozen=True)
class Outcome:
    """How a push ended: the commit that is in force, whether it is new, where it can be seen, and how it was checked.

    One that was not read back, because it was already, is held by the digests that the Hub lists.
    """

    commit: str
    is_new: bool
    url: str
    was_read_back: bool = False


def read_manifest(place: Repository, head: Head | None) -> Manifest | None:
    """Return the manifest at the head, or None when there is none."""
    content = place.read(manifest.NAME, head) if head else None
    return manifest.load(content, f"{place.name}/{manifest.NAME}") if content else None


def brought_back(place: Repository, paths: Iterable[str], then: Head) -> list[Any]:
    """Return the operations that make files what they were at an earlier commit; large ones are not sent again."""
    large = [path for path in paths if then.files[path].sha256]
    small = [path for path in paths if not then.files[path].sha256]
    copies = [CommitOperationCopy(path, path, src_revision=then.commit) for path in large]
    return [*copies, *(CommitOperationAdd(path, place.content(path, then.commit)) for path in small)]


class Commit:
    """One commit, tried until the branch is as it should be: what is missing is computed from its head each time.

    So a commit that landed although its answer was lost, or that another publisher made, is found there and not made
    again. `base` is the head that files were found on which need not be sent: what another publisher has replaced of
    them since is brought back from there.
    """

    def __init__(
        self,
        place: Repository,
        dataset: str,
        splits: Sequence[Ready],
        create_pr: bool = False,
        overwrite: bool = False,
        tag: str | None = None,
        base: Head | None = None,
    ) -> None:
        self._place, self._dataset, self._splits, self._base = place, dataset, splits, base
        self._create_pr, self._overwrite, self._tag = create_pr, overwrite, tag
        self._uploads = {path: upload for split in splits for path, upload in split.uploads.items()}

    def run(self) -> Outcome:
        """Return once the branch holds what was sent; raises Problem when it cannot be brought to."""
        sent = False
        for wait in (*client.WAITS, *client.WAITS[-1:] * (_COMMIT_TRIES - len(client.WAITS)), None):
            head = self._place.head()
            operations = self._operations(head)
            if not operations and head:
                return Outcome(head.commit, sent, self._url(head.commit))
            if self._create_pr and head and (proposed := self._proposed(head, operations)):
                return replace(proposed, is_new=sent)
            if self._tag:
                access.is_tagged(self._place, self._tag, None)  # a tag that is taken is told before the branch moves
            try:
                return self._send(operations, head)
            except Exception as error:
                sent = True
                self._bear(error, wait)
        raise AssertionError("unreachable")

    def _proposed(self, head: Head, operations: list[Any]) -> Outcome | None:
        """Return the pull request that proposes just this already, by an earlier run or by a lost answer."""
        for ref in self._place.proposals():
            found = self._place.head(ref)
            if found and _is_result(found.files, head.files, operations, self._base):
                url = f"{self._place.api.endpoint}/datasets/{self._place.name}/discussions/{ref.rpartition('/')[2]}"
                return Outcome(found.commit, False, url)
        return None

    def _send(self, operations: list[Any], head: Head | None) -> Outcome:
        info = self._place.api.create_commit(
            self._place.name,
            operations,
            commit_message=f"Publish {', '.join(sorted({c for s in self._splits for c in s.build.configs}))}",
            repo_type="dataset",
            revision=self._place.revision,
            parent_commit=head.commit if head else None,
            create_pr=self._create_pr or None,
        )
        return Outcome(info.oid, True, info.pr_url or self._url(info.oid))

    def _bear(self, error: Exception, wait: float | None) -> None:
        what, status = f"{self._place.name}: committing", client.status_of(error)
        if wait is None or not (status in (409, 412) or client.is_passing(error)):
            raise client.as_problem(error, what) from error
        if status != 412:  # the branch moved on: it can be tried again on the new head at once
            client.pause(error, what, wait)

    def _url(self, commit: str) -> str:
        return f"{self._place.api.endpoint}/datasets/{self._place.name}/tree/{commit}"

    def _operations(self, head: Head | None) -> list[Any]:
        files = head.files if head else {}
        old = read_manifest(self._place, head)
        texts = compose.small_files(self._dataset, self._splits)
        now = compose.merged(self._dataset, old, self._splits, texts)
        ours = render.render(now, repository=self._place.name, files=f"hf://datasets/{self._place.name}")
        theirs = self._place.read("README.md", head) if head else None
        readme = self._merged(ours, theirs, old)
        now = replace(now, card=merge.digests(ours, "the new card"))
        texts |= {manifest.NAME: now.dump().encode(), "README.md": readme.encode()}
        known = {path for path, content in texts.items() if _holds(files.get(path), content)}
        lost = self._lost(files, set(texts))
        _check_plan(self._place.name, now, old, files, (set(self._uploads) | set(texts) | set(lost)) - known)
        gone = sorted(((old.paths() if old else set()) - now.paths()) & set(files))
        adds = [_fresh(upload) for path, upload in self._uploads.items() if _sha256(files.get(path)) != _sha_of(upload)]
        adds += [
            CommitOperationAdd(path, content) for path, content in texts.items() if not _holds(files.get(path), content)
        ]
        back = brought_back(self._place, lost, self._base) if self._base else []
        return [*adds, *back, *(CommitOperationDelete(path) for path in gone)]

    def _lost(self, files: Mapping[str, RemoteFile], texts: set[str]) -> list[str]:
        """Return what is neither sent nor written, and is not at the head any more as it was at the base."""
        before = self._base.files if self._base else {}
        entries = [split.entry for split in self._splits]
        ours = {path for entry in entries for path in (*(shard.path for shard in entry.shards), *entry.pictures)}
        left = (ours - set(self._uploads) - texts) & set(before)
        return sorted(path for path in left if files.get(path) != before[path])

    def _merged(self, ours: str, theirs: bytes | None, old: Manifest | None) -> str:
        if theirs is None:
            return ours
        if self._overwrite and old is None:
            return ours
        published = old.card if old else {}
        return merge.merge(ours, theirs, published, f"{self._place.name}/README.md", self._overwrite)


def _fresh(upload: CommitOperationAdd) -> CommitOperationAdd:
    # The client remembers the file that was at the path when it was sent, and leaves an unchanged one out of a commit.
    # That memory may be of an older head than the one the commit is made on.
    upload._remote_oid = None
    return upload


def _is_result(
    files: Mapping[str, RemoteFile], before: Mapping[str, RemoteFile], operations: list[Any], base: Head | None
) -> bool:
    """Say whether the files are what the operations make of those before, with copies of the base's."""
    copied = {op.path_in_repo for op in operations if isinstance(op, CommitOperationCopy)}
    added = {op.path_in_repo: op for op in operations if isinstance(op, CommitOperationAdd)}
    touched = {op.path_in_repo for op in operations}
    rest = [{path: file for path, file in side.items() if path not in touched} for side in (files, before)]
    arrived = all(
        path in files and (files[path].sha256 == _sha_of(op) or _holds(files[path], op.path_or_fileobj))
        for path, op in added.items()
    )
    arrived &= base is None or all(files.get(path) == base.files[path] for path in copied)
    return arrived and rest[0] == rest[1] and not (touched - set(added) - copied) & set(files)


def _holds(file: RemoteFile | None, content: Any) -> bool:
    if file is None or not isinstance(content, bytes):
        return False
    return file.sha256 == hashlib.sha256(content).hexdigest() if file.sha256 else file.blob_id == git_id(content)


def _sha256(file: RemoteFile | None) -> str | None:
    return file.sha256 if file else None


def _sha_of(upload: CommitOperationAdd) -> str:
    return upload.upload_info.sha256.hex()


def git_id(content: bytes) -> str:
    """Return the id git gives a file of that content."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def _check_plan(name: str, now: Manifest, old: Manifest | None, files: Mapping[str, RemoteFile], new: set[str]) -> None:
    """Raise Problem for what would break the repository or touch a person's file."""
    module = f"{name.rpartition('/')[2]}.py"
    if module in files:
        raise Problem(f"{name}: holds {module}, and `datasets` refuses to load a repository with it. Delete it first.")
    if len(now.paths()) > MOST_FILES:
        raise Problem(f"{name}: {len(now.paths())} files are more than a viewer takes well; at most {MOST_FILES}.")
    ours = old.paths() if old else set[str]()
    for path, sha256 in now.digests().items():
        if path in new and path in files and path not in ours and files[path].sha256 != sha256:
            raise Problem(f"{name}: holds another file at {path}, which this project did not put there. Move it away.")
        if path not in new and (path not in files or files[path].sha256 not in (None, sha256)):
            config = path.partition("/")[0]
            raise Problem(f"{name}: {path} is missing or damaged there: add --config {now.dataset}/{config}.")
