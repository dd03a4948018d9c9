"""Endpoints that read a revision: tree, paths-info, resolve, and the download from the object storage."""

from typing import Any, TypeVar
from urllib.parse import parse_qs

from .call import Call, page
from .revisions import Commit, File, tree_oids
from .state import Repo, entry_missing
from .storage import Ticket
from .wire import HubError, Response, ranged

EXPANDED_PAGE = 50


def tree(call: Call) -> Response:
    """List a folder: folders first, then files, each by name; all that lies below with ``recursive``."""
    commit, folder = call.readable_commit, call.params.get("path", "").strip("/")
    below = {p: f for p, f in commit.files.items() if not folder or p.startswith(f"{folder}/")}
    if folder and not below:
        raise entry_missing(folder, commit.oid)
    oids = {p: oid for p, oid in tree_oids(commit.files).items() if p and (not folder or p.startswith(f"{folder}/"))}
    if not call.request.flag("recursive"):
        below, oids = (_children(entries, folder) for entries in (below, oids))
    expand = call.request.flag("expand")
    entries = [_folder(call, p, oids[p], expand) for p in sorted(oids)] + [
        _file(call, p, below[p], expand) for p in sorted(below)
    ]
    return page(call, entries, min(call.hub.page_size, EXPANDED_PAGE) if expand else call.hub.page_size)


T = TypeVar("T")


def _children(entries: dict[str, T], folder: str) -> dict[str, T]:
    return {path: entry for path, entry in entries.items() if path.rpartition("/")[0] == folder}


def _file(call: Call, path: str, file: File, expand: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    if file.xet_hash:
        entry["xetHash"] = file.xet_hash
    if expand:
        entry |= _last_commit(call, path, file)
        entry["securityFileStatus"] = {"status": "safe", "avScan": {"status": "safe"}, "pickleImportScan": None}
    return entry


def _folder(call: Call, path: str, oid: str, expand: bool) -> dict[str, Any]:
    return {"type": "directory", "oid": oid, "size": 0, "path": path} | (
        _last_commit(call, path, None) if expand else {}
    )


def _last_commit(call: Call, path: str, file: File | None) -> dict[str, Any]:
    """Return the newest commit in which `path` became what it is (for a folder: the newest commit)."""
    found = call.commit
    for commit in call.repo.refs.history(found.oid):
        if file is not None and commit.files.get(path) != file:
            break
        found = commit if file is not None else found
    return {"lastCommit": {"id": found.oid, "title": found.title, "date": found.date}}


def paths_info(call: Call) -> Response:
    """Describe the files and folders asked for (in a form); unknown ones are left out."""
    commit, form = call.readable_commit, parse_qs(call.request.body.read().decode())
    expand = form.get("expand", [""])[-1].lower() == "true"
    files, folders = commit.files, tree_oids(commit.files)
    found = [_file(call, p, files[p], expand) for p in form.get("paths", []) if p in files]
    found += [_folder(call, p, folders[p], expand) for p in form.get("paths", []) if p and p in folders]
    return Response.json(found)


def resolve(call: Call) -> Response:
    """Answer a regular file itself, an LFS object with a redirection to the storage (another origin)."""
    repo, commit, path = call.repo, call.readable_commit, call.params["path"]
    file = commit.files.get(path)
    if file is None:
        raise entry_missing(path, commit.oid)
    name = path.rpartition("/")[2]
    headers = {"X-Repo-Commit": commit.oid, "Content-Disposition": f'inline; filename="{name}"'}
    if file.data is not None:
        response = Response(200, headers | {"ETag": f'"{file.oid}"', "Content-Type": "text/plain"}, file.data)
        return ranged(response, call.request.headers.get("Range"))
    return Response(302, headers | _linked(call, repo, commit, file))


def _linked(call: Call, repo: Repo, commit: Commit, file: File) -> dict[str, str]:
    assert file.sha256 is not None
    key = call.hub.store.issue(Ticket(repo.id, file.sha256, file.size, upload=False))
    headers = {
        "Location": f"{call.hub.storage_endpoint}/storage/{repo.id}/{file.sha256}?signature={key}",
        "X-Linked-Size": str(file.size),
        "X-Linked-Etag": f'"{file.sha256}"',
    }
    if file.xet_hash:
        route = f"{call.hub.endpoint}/api/datasets/{repo.id}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": file.xet_hash, "Link": f'<{route}>; rel="xet-auth"'}
    return headers


def download(call: Call) -> Response:
    """Answer (a range of) an object to the holder of a signed address."""
    ticket = call.hub.store.redeem(call.request.query.get("signature", [""])[-1], upload=False)
    path = call.hub.store.path(ticket.sha256)
    if not path.is_file():
        raise HubError(404, f"NoSuchKey: {ticket.sha256}")
    headers = {"ETag": f'"{ticket.sha256}"', "Content-Type": "application/octet-stream"}
    return ranged(Response(200, headers, file=path, length=ticket.size), call.request.headers.get("Range"))
