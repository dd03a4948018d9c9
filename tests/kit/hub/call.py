"""One call of an endpoint: the request with its user, and the parameters found in the address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from .access import User, missing
from .revisions import Commit
from .state import Hub, Repo
from .wire import Request, Response


@dataclass(frozen=True)
class Call:
    """`params` are the unquoted groups of the route's pattern."""

    hub: Hub
    request: Request
    user: User | None
    params: dict[str, str]

    @property
    def repo(self) -> Repo:
        """The repository named in the address; raises HubError 401 or 404 when it is not there for this user."""
        repo = self.hub.find_repo(self.params["repo"])
        if repo is None:
            raise missing(self.user)
        repo.access.check_visible(self.user)
        return repo

    @property
    def readable_repo(self) -> Repo:
        """As `repo`, for content: raises HubError 401 or 403 when it is gated for this user."""
        repo = self.repo
        repo.access.check_content(self.user)
        return repo

    def writable_repo(self, pull_request: bool = False) -> Repo:
        repo = self.repo
        repo.access.check_write(self.user, pull_request)
        return repo

    @property
    def commit(self) -> Commit:
        return self.repo.refs.find(self.params.get("revision", "main"))

    @property
    def readable_commit(self) -> Commit:
        return self.readable_repo.refs.find(self.params.get("revision", "main"))


def page(call: Call, items: Sequence[Any], limit: int) -> Response:
    """Answer one page of `items`, with the address of the next one in ``Link`` (cursor: an offset)."""
    query = {name: values[-1] for name, values in call.request.query.items()}
    start = int(query.get("cursor", "0"))
    headers = {"X-Total-Count": str(len(items))}
    if start + limit < len(items):
        following = urlencode(query | {"cursor": str(start + limit)})
        headers["Link"] = f'<{call.hub.endpoint}{call.request.raw_path}?{following}>; rel="next"'
    return Response.json(items[start : start + limit], headers=headers)
