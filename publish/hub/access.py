"""Who may write where: the login, the repository and its gate, proven before anything is built."""

import sys
from functools import partial
from typing import Any

from huggingface_hub import HfApi

from loaders import Problem
from publish.hub import client
from publish.hub.client import Repository


def open_repository(place: Repository, gated: bool, create_pr: bool = False) -> None:
    """Make sure that the repository is there, that we may write to it and that it has a gate if its data ask for one.

    A new one is private. Raises Problem for one that is open without the gate it has to have.
    """
    found = place.settings()
    if found is None and create_pr:
        raise Problem(f"{place.name}: there is no such repository to propose a change to.")
    if found is None:
        _create(place)
        found = place.settings() or (True, False)
    elif not create_pr:
        _prove_write(place)
    if gated and found == (False, False):
        raise Problem(
            f"{place.name}: is open to everyone without a gate, which ImageNet's terms do not allow. Make it private "
            "or set its gate (Settings, Access requests) on the Hub, then run again."
        )
    if gated and not found[1] and not create_pr:
        _set(place, "setting its gate", gated="manual")
    if place.revision != "main" and place.head() is None:
        branch = partial(place.api.create_branch, place.name, branch=place.revision, repo_type="dataset", exist_ok=True)
        client.patiently(branch, f"{place.name}: creating the branch {place.revision}")


def check_login(organisation: str) -> None:
    """Raise Problem, in one line, unless the login may write somewhere and the organisation is one of its own."""
    me = client.patiently(HfApi(library_name="imagenet-variants").whoami, "logging in to the Hub")
    token = me.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise Problem(
            "logging in to the Hub: the token only reads. Use one with write access (Settings, Access Tokens)."
        )
    places = {me["name"], *(place["name"] for place in me.get("orgs", []))}
    if organisation not in places:
        raise Problem(
            f"{organisation}: {me['name']} is not a member of it. Push to one of {', '.join(sorted(places))}, or ask "
            "to be let in."
        )


def _create(place: Repository) -> None:
    create = partial(place.api.create_repo, place.name, repo_type="dataset", private=True, exist_ok=True)
    client.patiently(create, f"{place.name}: creating it")


def _prove_write(place: Repository) -> None:
    check = partial(place.api.auth_check, place.name, repo_type="dataset", write=True)
    try:
        client.patiently(check, f"{place.name}: asking for write access")
    except Problem as problem:
        if problem.__cause__ is None or not client.lacks_route(problem.__cause__):
            raise
        print(f"{place.name}: this server cannot say who may write; the first upload will show it", file=sys.stderr)


def _set(place: Repository, what: str, **settings: Any) -> None:
    change = partial(place.api.update_repo_settings, place.name, repo_type="dataset", **settings)
    client.patiently(change, f"{place.name}: {what}")


def tag(place: Repository, tag: str, commit: str) -> None:
    """Tag a commit; raises Problem when the tag is at another one."""
    if not is_tagged(place, tag, commit):
        make = partial(place.api.create_tag, place.name, tag=tag, revision=commit, repo_type="dataset", exist_ok=True)
        client.patiently(make, f"{place.name}: tagging")


def is_tagged(place: Repository, tag: str, commit: str | None) -> bool:
    """Say whether the tag is at the commit; raises Problem when it is at another one."""
    read = partial(place.api.list_repo_refs, place.name, repo_type="dataset")
    known = {ref.name: ref.target_commit for ref in client.patiently(read, f"{place.name}: reading tags").tags}
    if tag in known and known[tag] != commit:
        raise Problem(f"{place.name}: the tag {tag} is at {known[tag][:8]} already; choose another name.")
    return tag in known


def is_private(place: Repository) -> bool:
    """Say whether a repository is shown to its members alone."""
    found = place.settings()
    return found is None or found[0]


def make_public(place: Repository, gated: bool) -> None:
    """Open a repository; raises Problem when it has lost the gate it has to have."""
    found = place.settings()
    if gated and not (found and found[1]):
        raise Problem(f"{place.name}: has no gate any more, so it stays private. Set it on the Hub and run again.")
    if found and found[0]:
        _set(place, "making it public", private=False)
