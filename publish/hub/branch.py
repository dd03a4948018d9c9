"""The one way to change a branch: a commit, tried until the branch is as it should be.

What is left to do is computed from its head before every try. So a commit that landed although its answer was lost, or
that another publisher made, is found there and not made again.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy

from publish.hub import client
from publish.hub.client import Head, RemoteFile, Repository

_TRIES = 8
_WAITS = (*client.WAITS, *client.WAITS[-1:] * (_TRIES - len(client.WAITS)), None)
Operations = Callable[[Head | None], list[Any]]  # what makes of a head what the branch should be


@dataclass(frozen=True)
class Outcome:
    """How a push ended: the commit that is in force, whether it is new, where it can be seen, and how it was checked.

    One that was not read back, because it was already, is held by the digests that the Hub lists.
    """

    commit: str
    is_new: bool
    url: str
    was_read_back: bool = False


def commit(
    place: Repository,
    operations: Operations,
    message: str,
    create_pr: bool = False,
    check: Callable[[], None] = lambda: None,
    base: Head | None = None,
    moved: bool = True,
) -> Outcome:
    """Return once the branch is as it should be; raises Problem when it cannot be brought to.

    With `create_pr` the commit is a pull request. `check` is called before anything is sent. `base` is the head that
    copied files are of. `moved` says whether to go on upon a head that somebody else has changed meanwhile.
    """
    sent = False
    for wait in _WAITS:
        head = place.head()
        todo = operations(head)
        if not todo and head:
            return Outcome(head.commit, sent, _url(place, head.commit))
        if create_pr and head and (proposed := _proposed(place, head, todo, base)):
            return replace(proposed, is_new=sent)
        check()
        try:
            return _send(place, todo, message, head, create_pr)
        except Exception as error:
            sent = True
            _bear(place, error, wait, moved)
    raise AssertionError("unreachable")


def _proposed(place: Repository, head: Head, operations: list[Any], base: Head | None) -> Outcome | None:
    """Return the pull request that proposes just this already, by an earlier run or by a lost answer."""
    for ref in place.proposals():
        found = place.head(ref)
        if found and _is_result(found.files, head.files, operations, base):
            url = f"{place.api.endpoint}/datasets/{place.name}/discussions/{ref.rpartition('/')[2]}"
            return Outcome(found.commit, False, url)
    return None


def _send(place: Repository, operations: list[Any], message: str, head: Head | None, create_pr: bool) -> Outcome:
    info = place.api.create_commit(
        place.name,
        operations,
        commit_message=message,
        repo_type="dataset",
        revision=place.revision,
        parent_commit=head.commit if head else None,
        create_pr=create_pr or None,
    )
    return Outcome(info.oid, True, info.pr_url or _url(place, info.oid))


def _bear(place: Repository, error: Exception, wait: float | None, moved: bool) -> None:
    """Wait before the next try, or raise Problem when there is none."""
    what, status = f"{place.name}: committing", client.status_of(error)
    may_go_on = status == 409 or (status == 412 and moved) or client.is_passing(error)
    if wait is None or not may_go_on:
        raise client.as_problem(error, what) from error
    if status != 412:  # the branch moved on: it can be tried again on the new head at once
        client.pause(error, what, wait)


def _url(place: Repository, commit: str) -> str:
    return f"{place.api.endpoint}/datasets/{place.name}/tree/{commit}"


def _is_result(
    files: Mapping[str, RemoteFile], before: Mapping[str, RemoteFile], operations: list[Any], base: Head | None
) -> bool:
    """Say whether the files are what the operations make of those before, with copies of the base's."""
    copied = {op.path_in_repo for op in operations if isinstance(op, CommitOperationCopy)}
    added = {op.path_in_repo: op for op in operations if isinstance(op, CommitOperationAdd)}
    touched = {op.path_in_repo for op in operations}
    rest = [{path: file for path, file in side.items() if path not in touched} for side in (files, before)]
    arrived = all(
        path in files and (files[path].sha256 == sha_of(op) or holds(files[path], op.path_or_fileobj))
        for path, op in added.items()
    )
    arrived &= base is None or all(files.get(path) == base.files[path] for path in copied)
    return arrived and rest[0] == rest[1] and not (touched - set(added) - copied) & set(files)


def holds(file: RemoteFile | None, content: Any) -> bool:
    """Say whether a file of the Hub has that content."""
    if file is None or not isinstance(content, bytes):
        return False
    return file.sha256 == hashlib.sha256(content).hexdigest() if file.sha256 else file.blob_id == git_id(content)


def sha_of(upload: CommitOperationAdd) -> str:
    """Return the SHA-256 of what an operation adds."""
    return upload.upload_info.sha256.hex()


def git_id(content: bytes) -> str:
    """Return the id git gives a file of that content."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
