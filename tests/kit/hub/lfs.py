"""Endpoints of Git LFS: batch (basic and multipart), upload to the storage, completion, verify.

Protocol: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md; multipart as huggingface_hub 2.4 speaks it
(lfs.py): `header.chunk_size` and one address a part, then the parts' ETags to `href`.
"""

import time
from typing import Any

from .call import Call
from .revisions import iso_date
from .state import Push, Repo
from .storage import Ticket, write_blocks
from .wire import HubError, Response


def batch(call: Call) -> Response:
    """Answer for each object how to upload it; one that the repository already holds gets no `actions`."""
    repo, wanted = call.writable_repo(pull_request=True), call.request.json()
    if wanted.get("operation") != "upload":
        raise HubError(422, "This Hub's LFS is for uploads: download with resolve")
    objects = [_object(call, repo, o["oid"], o["size"], "multipart" in wanted["transfers"]) for o in wanted["objects"]]
    headers = {"Content-Type": "application/vnd.git-lfs+json"}
    return Response.json({"transfer": "basic", "objects": objects}, headers=headers)


def _object(call: Call, repo: Repo, sha256: str, size: int, multipart: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"oid": sha256, "size": size}
    if sha256 in repo.objects and repo.store.has(sha256):
        return entry
    hub = call.hub
    key = hub.store.issue(Ticket(repo.id, sha256, size, upload=True))
    url = f"{hub.storage_endpoint}/storage/{repo.id}/{sha256}?signature={key}"
    upload: dict[str, Any] = {"href": url}
    if multipart and size > hub.multipart_size:
        count = -(-size // hub.multipart_size)
        parts = {f"{n:05d}": f"{url}&partNumber={n}" for n in range(1, count + 1)}
        href = f"{hub.endpoint}/api/complete_multipart?signature={key}"
        upload = {"href": href, "header": {"chunk_size": str(hub.multipart_size), **parts}}
    verify = {"href": f"{hub.endpoint}/datasets/{repo.id}.git/info/lfs/objects/verify"}
    return entry | {"actions": {"upload": upload, "verify": verify}}


def upload(call: Call) -> Response:
    """Take an object, or one part of it, from the holder of a signed address."""
    key = call.request.query.get("signature", [""])[-1]
    ticket = call.hub.store.redeem(key, upload=True)
    if "partNumber" not in call.request.query:
        call.hub.store.put(call.request.body, ticket.sha256, ticket.size)
        _arrived(call, ticket)
        return Response(200, {"ETag": f'"{ticket.sha256}"'})
    number = int(call.request.query["partNumber"][-1])
    digest, _ = write_blocks(call.hub.store.part(key, number), call.request.body)
    return Response(200, {"ETag": f'"{digest}"'})


def complete(call: Call) -> Response:
    """Join the parts of an upload; raises HubError 400 when a part is missing or the whole is not the object."""
    key = call.request.query.get("signature", [""])[-1]
    ticket = call.hub.store.redeem(key, upload=True)
    call.hub.store.assemble(key, [part["partNumber"] for part in call.request.json()["parts"]])
    _arrived(call, ticket)
    return Response.json({"success": True})


def verify(call: Call) -> Response:
    """Confirm that an object arrived with the size announced; raises HubError 404 or 422."""
    repo, asked = call.writable_repo(pull_request=True), call.request.json()
    push = repo.objects.get(asked["oid"])
    if push is None:
        raise HubError(404, f"The object {asked['oid']} did not arrive", "EntryNotFound")
    if push.size != asked["size"]:
        raise HubError(422, f"The object {asked['oid']} has {push.size} bytes, not {asked['size']}")
    return Response.json({"success": True})


def _arrived(call: Call, ticket: Ticket) -> None:
    register(call, call.hub.repo(ticket.repo_id), ticket.sha256, ticket.size)


def register(call: Call, repo: Repo, sha256: str, size: int, xet_hash: str | None = None) -> None:
    """Note that `repo` holds an object from now on."""
    with call.hub.lock:
        repo.objects.setdefault(sha256, Push(sha256, size, iso_date(time.time()), xet_hash=xet_hash))
