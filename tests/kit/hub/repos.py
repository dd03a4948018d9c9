"""Endpoints of accounts and repositories: whoami, create, settings, info, refs, branches, tags, history, LFS files."""

from typing import Any

from .access import missing
from .call import Call, page
from .card import card_data, check_card
from .revisions import Commit, new_commit
from .state import Repo
from .wire import HubError, Response


def whoami(call: Call) -> Response:
    if call.user is None:
        raise HubError(401, "Invalid username or password.")
    return Response.json(call.user.whoami())


def validate_yaml(call: Call) -> Response:
    errors, warnings = check_card(call.request.json()["content"])
    reply = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
    return Response.json(reply, 400 if errors else 200)


def create_repo(call: Call) -> Response:
    wanted = call.request.json()
    if call.user is None:
        raise HubError(401, "Invalid username or password.")
    if wanted.get("type") != "dataset":
        raise HubError(400, "This Hub holds datasets only: pass repo_type='dataset'")
    namespace = wanted.get("organization") or call.user.name
    repo_id = f"{namespace}/{wanted['name']}"
    if not call.user.can_create(repo_id):
        raise HubError(403, f'You don\'t have the rights to create a dataset under the namespace "{namespace}"')
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    url = f"{call.hub.endpoint}/datasets/{repo_id}"
    if call.hub.find_repo(repo_id) is not None:
        return Response.json({"error": f"You already created this dataset repo: {repo_id}", "url": url}, 409)
    call.hub.add_repo(repo_id, call.user.name, private)
    return Response.json({"url": url, "name": repo_id, "id": f"repo-{repo_id}"})


def update_settings(call: Call) -> Response:
    repo, wanted = call.writable_repo(), call.request.json()
    if wanted.get("gated", False) not in ("auto", "manual", False):
        raise HubError(400, "gated must be one of auto, manual, false")
    if "gated" in wanted:
        repo.access.gated = wanted["gated"]
    if "visibility" in wanted or "private" in wanted:
        repo.access.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    return Response.json({"private": repo.private, "gated": repo.gated})


def auth_check(call: Call) -> Response:
    if call.params.get("write"):
        call.writable_repo()
    return Response.json({"success": bool(call.readable_repo)})


def dataset_info(call: Call) -> Response:
    """Answer what a repository is. A gated one shows it to everybody (huggingface_hub, issue 2457)."""
    info = _info(call.repo, call.commit, call.request.flag("blobs"))
    expand = call.request.query.get("expand", []) + call.request.query.get("expand[]", [])
    return Response.json({k: v for k, v in info.items() if not expand or k in ("_id", "id", *expand)})


def _info(repo: Repo, commit: Commit, blobs: bool) -> dict[str, Any]:
    first = list(repo.refs.history(commit.oid))[-1]
    return {
        "_id": f"repo-{repo.id}",
        "id": repo.id,
        "author": repo.id.split("/")[0],
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": first.date,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": card_data(commit.files["README.md"].data) if "README.md" in commit.files else None,
        "siblings": [_sibling(commit, path, blobs) for path in sorted(commit.files)],
        "usedStorage": sum(push.size for push in repo.objects.values()),
    }


def _sibling(commit: Commit, path: str, blobs: bool) -> dict[str, Any]:
    file = commit.files[path]
    if not blobs:
        return {"rfilename": path}
    sibling: dict[str, Any] = {"rfilename": path, "blobId": file.oid, "size": file.size}
    if file.sha256:
        sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return sibling


def is_valid(call: Call) -> Response:
    """The dataset viewer's word on a split, which stands at another address than the real Hub."""
    repo = call.hub.find_repo(call.request.query["dataset"][0])
    if repo is None:
        raise missing(call.user)
    repo.access.check_visible(call.user)
    works = ("preview", "viewer", "search", "filter", "statistics")
    return Response.json(dict.fromkeys(works, True), headers={"X-Revision": repo.head()})


def list_refs(call: Call) -> Response:
    def entry(name: str, ref: str, oid: str) -> dict[str, str]:
        return {"name": name, "ref": ref, "targetCommit": oid}

    repo = call.repo
    reply = {
        "branches": [entry(name, f"refs/heads/{name}", oid) for name, oid in repo.branches.items()],
        "converts": [],
        "tags": [entry(name, f"refs/tags/{name}", oid) for name, oid in repo.tags.items()],
    }
    if call.request.flag("include_prs"):
        pulls = repo.pull_requests
        reply["pullRequests"] = [entry(str(n), f"refs/pr/{n}", oid) for n, oid in pulls.items()]
    return Response.json(reply)


def create_branch(call: Call) -> Response:
    repo, name = call.writable_repo(), call.params["name"]
    if name.startswith("refs/"):
        raise HubError(400, f"Invalid reference for a branch: {name}")
    start = repo.refs.find(call.request.json().get("startingPoint", "main"))
    if name in repo.refs.branches:
        raise HubError(409, f"Reference already exists: {name}")
    repo.refs.branches[name] = start.oid
    return Response.json({"success": True}, 201)


def delete_branch(call: Call) -> Response:
    repo, name = call.writable_repo(), call.params["name"]
    if name == "main":
        raise HubError(403, "The main branch cannot be deleted")
    if repo.refs.branches.pop(name, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return Response.json({"success": True})


def create_tag(call: Call) -> Response:
    repo, name = call.writable_repo(), call.request.json()["tag"]
    if name in repo.refs.tags:
        raise HubError(409, f"Tag reference exists already: {name}")
    repo.refs.tags[name] = call.commit.oid
    return Response.json({"success": True}, 201)


def delete_tag(call: Call) -> Response:
    repo, name = call.writable_repo(), call.params["revision"]
    if repo.refs.tags.pop(name, None) is None:
        raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return Response.json({"success": True})


def list_commits(call: Call) -> Response:
    history = [
        {"id": c.oid, "title": c.title, "message": c.message, "authors": [{"user": c.author}], "date": c.date}
        for c in call.repo.refs.history(call.commit.oid)
    ]
    return page(call, history, call.hub.page_size)


def super_squash(call: Call) -> Response:
    repo, old = call.writable_repo(), call.commit
    message = call.request.json().get("message", "Super-squash")
    repo.refs.move(call.params["revision"], new_commit(old.files, (), message, author=old.author))
    return Response.json({"success": True})


def list_lfs_files(call: Call) -> Response:
    repo = call.writable_repo()
    files = [
        {
            "fileOid": p.sha256,
            "oid": p.sha256,
            "filename": p.filename,
            "pushedAt": p.date,
            "ref": "main",
            "size": p.size,
        }
        for p in repo.objects.values()
    ]
    return page(call, files, call.hub.page_size)


def delete_lfs_files(call: Call) -> Response:
    """Delete objects of a repository for good; unless other repositories hold them too, their bytes go."""
    repo, wanted = call.writable_repo(), call.request.json()["deletions"]
    for sha256 in wanted["sha"]:
        if repo.objects.pop(sha256, None) is None:
            raise HubError(404, f"No such LFS file: {sha256}", "EntryNotFound")
        if not any(sha256 in other.objects for other in call.hub.repos()):
            repo.store.forget(sha256)
    if wanted.get("rewriteHistory"):
        repo.refs.rewrite(set(wanted["sha"]))
    return Response.json({"success": True})
