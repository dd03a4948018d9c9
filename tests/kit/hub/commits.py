"""Endpoints that write a revision: preupload (LFS or regular?) and commit (NDJSON)."""

import base64
import json
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

from .call import Call
from .card import check_card
from .revisions import Commit, File, Files, lfs_file, new_commit, regular_file
from .state import Push, Repo, entry_missing
from .wire import HubError, Response

REGULAR_LIMIT = 10 << 20


def preupload(call: Call) -> Response:
    """Tell LFS from regular files: by .gitattributes, by size, and binary content (a zero byte, as git does)."""
    repo = call.writable_repo(call.request.flag("create_pr"))
    files, patterns = call.commit.files, _lfs_patterns(call.commit)
    reply = []
    for asked in call.request.json()["files"]:
        sample = base64.b64decode(asked["sample"])
        matched = any(fnmatch(asked["path"].rpartition("/")[2], pattern) for pattern in patterns)
        lfs = matched or asked["size"] > REGULAR_LIMIT or b"\0" in sample
        entry = {"path": asked["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        known = files.get(asked["path"])
        reply.append(entry | ({"oid": known.sha256 or known.oid} if known else {}))
    return Response.json({"files": reply, "commitOid": repo.head(call.params["revision"])})


def _lfs_patterns(commit: Commit) -> list[str]:
    attributes = commit.files.get(".gitattributes")
    lines = (attributes.data or b"").decode().splitlines() if attributes else []
    return [line.split()[0] for line in lines if "filter=lfs" in line]


def commit(call: Call) -> Response:
    """Apply a commit to the branch (or a new pull request): all or nothing.

    Raises HubError 412 when `parentCommit` is not the head any more, 400 for a README that does not validate, an LFS
    object that did not arrive, or a file in a folder's place, 404 for a deletion of what is not there.
    """
    pull_request = call.request.flag("create_pr")
    repo = call.writable_repo(pull_request)
    assert call.user is not None
    lines = [json.loads(line) for line in call.request.body.read().splitlines() if line.strip()]
    if not lines or lines[0]["key"] != "header":
        raise HubError(400, "The first line of a commit must be its header")
    header, parent = lines[0]["value"], call.commit
    _check_parent(header.get("parentCommit"), parent)
    files: Files = dict(parent.files)
    for line in lines[1:]:
        _operation(line["key"])(repo, parent, files, line["value"])
    _check_paths(files)
    new = new_commit(files, (parent.oid,), header["summary"], header.get("description", ""), call.user.name)
    return _land(call, repo, new, pull_request)


def _check_parent(wanted: str | None, head: Commit) -> None:
    if wanted and not head.oid.startswith(wanted.lower()):
        raise HubError(412, "A commit has happened since. Please refresh and try again.")


def _land(call: Call, repo: Repo, new: Commit, pull_request: bool) -> Response:
    url = f"{call.hub.endpoint}/datasets/{repo.id}"
    reply = {"success": True, "commitOid": new.oid, "commitUrl": f"{url}/commit/{new.oid}", "hookOutput": ""}
    revision = call.params["revision"]
    if pull_request:
        number = len(repo.refs.pull_requests) + 1
        repo.refs.pull_requests[number] = new.oid
        revision = f"refs/pr/{number}"
        reply["pullRequestUrl"] = f"{url}/discussions/{number}"
    repo.refs.move(revision, new)
    return Response.json(reply)


Operation = Callable[[Repo, Commit, Files, dict[str, Any]], None]


def _operation(key: str) -> Operation:
    operations: dict[str, Operation] = {
        "file": _add_regular,
        "lfsFile": _add_lfs,
        "deletedFile": _delete_file,
        "deletedFolder": _delete_folder,
    }
    if key not in operations:
        raise HubError(400, f"Unknown operation {key}")
    return operations[key]


def _add_regular(repo: Repo, parent: Commit, files: Files, value: dict[str, Any]) -> None:
    path, data = value["path"], base64.b64decode(value["content"])
    if len(data) > REGULAR_LIMIT:
        raise HubError(400, f"{path} is larger than 10 MiB: it must be uploaded as an LFS file")
    errors = check_card(data.decode("utf-8", "replace"))[0] if path == "README.md" else []
    if errors:
        raise HubError(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
    files[path] = regular_file(data)


def _add_lfs(repo: Repo, parent: Commit, files: Files, value: dict[str, Any]) -> None:
    path, sha256 = value["path"], value["oid"]
    push = repo.objects.get(sha256)
    if push is None or not repo.store.has(sha256, value.get("size")):
        raise HubError(400, f"An LFS pointer pointed to a file that does not exist: {path} ({sha256})")
    files[path] = lfs_file(sha256, push.size, push.xet_hash)
    if not push.filename:
        repo.objects[sha256] = Push(sha256, push.size, push.date, path, push.xet_hash)


def _delete_file(repo: Repo, parent: Commit, files: Files, value: dict[str, Any]) -> None:
    if files.pop(value["path"], None) is None:
        raise entry_missing(f"A file with this name doesn't exist: {value['path']}", parent.oid)


def _delete_folder(repo: Repo, parent: Commit, files: Files, value: dict[str, Any]) -> None:
    folder = value["path"].strip("/") + "/"
    inside = [path for path in files if path.startswith(folder)]
    if not inside:
        raise entry_missing(f"A folder with this name doesn't exist: {folder}", parent.oid)
    for path in inside:
        del files[path]


def _check_paths(files: dict[str, File]) -> None:
    for path in files:
        parts = path.split("/")
        if "" in parts or any("/".join(parts[:depth]) in files for depth in range(1, len(parts))):
            raise HubError(400, f"{path}: one of its folders is a file, or has no name")
