"""Which address is answered by which endpoint."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from . import commits, content, lfs, repos, xet
from .call import Call
from .wire import HubError, Response

REPO = r"(?P<repo>[^/]+/[^/]+)"
# A pull request's ref comes quoted (as one segment) from HfApi and plain from HfFileSystem.
REVISION = r"(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+)"
API = rf"/api/datasets/{REPO}"

Handler = Callable[[Call], Response]


@contextmanager
def one_commit_at_a_time(call: Call) -> Iterator[None]:
    """Raise HubError 409 while another commit to the same repository runs."""
    repo = call.hub.find_repo(call.params["repo"])
    if repo is None:
        yield
        return
    if not repo.committing.acquire(blocking=False):
        raise HubError(409, "Another commit is in progress. Please retry later.")
    try:
        yield
    finally:
        repo.committing.release()


def unguarded(call: Call) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Route:
    """`guard` is entered before a fault's delay; `locked` endpoints see and change the state alone, streaming
    ones do not; `signed` ones have their own keys instead of a Hub token.
    """

    methods: str
    pattern: re.Pattern[str]
    handler: Handler
    guard: Callable[[Call], AbstractContextManager[Any]] = unguarded
    locked: bool = True
    signed: bool = False


def _route(methods: str, pattern: str, handler: Handler, **options: Any) -> Route:
    return Route(methods, re.compile(pattern), handler, **options)


ROUTES = (
    _route("GET", "/is-valid", repos.is_valid),
    _route("GET", "/api/whoami-v2", repos.whoami),
    _route("POST", "/api/validate-yaml", repos.validate_yaml),
    _route("POST", "/api/repos/create", repos.create_repo),
    _route("POST", "/api/complete_multipart", lfs.complete, locked=False, signed=True),
    _route("PUT", rf"{API}/settings", repos.update_settings),
    _route("GET", rf"{API}/auth-check(?P<write>/write)?", repos.auth_check),
    _route("GET", API, repos.dataset_info),
    _route("GET", rf"{API}/revision/{REVISION}", repos.dataset_info),
    _route("GET", rf"{API}/refs", repos.list_refs),
    _route("POST", rf"{API}/branch/(?P<name>[^/]+)", repos.create_branch),
    _route("DELETE", rf"{API}/branch/(?P<name>[^/]+)", repos.delete_branch),
    _route("POST", rf"{API}/tag/{REVISION}", repos.create_tag),
    _route("DELETE", rf"{API}/tag/{REVISION}", repos.delete_tag),
    _route("GET", rf"{API}/commits/{REVISION}", repos.list_commits),
    _route("POST", rf"{API}/super-squash/{REVISION}", repos.super_squash),
    _route("GET", rf"{API}/lfs-files", repos.list_lfs_files),
    _route("POST", rf"{API}/lfs-files/batch", repos.delete_lfs_files),
    _route("POST", rf"{API}/preupload/{REVISION}", commits.preupload),
    _route("POST", rf"{API}/commit/{REVISION}", commits.commit, guard=one_commit_at_a_time),
    _route("GET", rf"{API}/tree/{REVISION}(?:/(?P<path>.+))?", content.tree),
    _route("POST", rf"{API}/paths-info/{REVISION}", content.paths_info),
    _route("GET HEAD", rf"/datasets/{REPO}/resolve/{REVISION}/(?P<path>.+)", content.resolve),
    _route("POST", rf"/datasets/{REPO}\.git/info/lfs/objects/batch", lfs.batch),
    _route("POST", rf"/datasets/{REPO}\.git/info/lfs/objects/verify", lfs.verify),
    _route("GET HEAD", rf"/storage/{REPO}/[0-9a-f]+", content.download, locked=False, signed=True),
    _route("PUT", rf"/storage/{REPO}/[0-9a-f]+", lfs.upload, locked=False, signed=True),
    _route("GET", rf"{API}/xet-(?P<direction>read|write)-token/{REVISION}", xet.token),
    _route("POST", r"/cas/v1/xorbs/default/(?P<hash>[0-9a-f]{64})", xet.upload_xorb, locked=False, signed=True),
    _route("POST", r"/cas/v1/shards", xet.upload_shard, locked=False, signed=True),
    _route("GET", r"/cas/v1/reconstructions/(?P<hash>[0-9a-f]{64})", xet.reconstruction, signed=True),
    _route("GET", r"/cas/xorbs/(?P<hash>[0-9a-f]{64})", xet.download_xorb, locked=False, signed=True),
)


def find_route(method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """Return the route of a request and its unquoted parameters; raises HubError 404."""
    for route in ROUTES:
        found = route.pattern.fullmatch(raw_path)
        if found and method in route.methods.split():
            return route, {name: unquote(value) for name, value in found.groupdict().items() if value is not None}
    raise HubError(404, f"Sorry, this Hub has no {method} {raw_path}")
