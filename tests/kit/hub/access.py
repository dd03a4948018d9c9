"""Users, tokens, and who may read, write or open a pull request; error replies as the real Hub words them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .wire import HubError

TokenRole = Literal["read", "write", "fineGrained"]


@dataclass(frozen=True)
class User:
    """A token and its owner.

    `orgs` maps an organization to the role in it: admin, write, contributor or read. With `role="fineGrained"`,
    `scopes` maps a namespace ("alice") or a repository ("alice/set") to permissions: ``repo.content.read``,
    ``repo.write``, ``discussion.write`` (pull requests only).
    """

    token: str
    name: str
    orgs: Mapping[str, str] = field(default_factory=dict)
    role: TokenRole = "write"
    scopes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def whoami(self) -> dict[str, Any]:
        """Return the answer of ``GET /api/whoami-v2``."""
        orgs = [
            {
                "type": "org",
                "id": f"org-{name}",
                "name": name,
                "fullname": name,
                "isEnterprise": False,
                "roleInOrg": role,
            }
            for name, role in self.orgs.items()
        ]
        token: dict[str, Any] = {"displayName": "test", "role": self.role, "createdAt": "2026-01-01T00:00:00.000Z"}
        if self.role == "fineGrained":
            token["fineGrained"] = {"canReadGatedRepos": True, "global": [], "scoped": self._scoped()}
        return {
            "type": "user",
            "id": f"user-{self.name}",
            "name": self.name,
            "fullname": self.name,
            "email": f"{self.name}@example.org",
            "emailVerified": True,
            "canPay": False,
            "isPro": False,
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        }

    def _scoped(self) -> list[dict[str, Any]]:
        def entity(name: str) -> dict[str, str]:
            kind = "dataset" if "/" in name else "org" if name in self.orgs else "user"
            return {"_id": f"{kind}-{name}", "type": kind, "name": name}

        return [{"entity": entity(name), "permissions": list(p)} for name, p in self.scopes.items()]

    def permits(self, repo_id: str, permission: str) -> bool:
        """Return whether the token itself (not its owner's rights) allows `permission` on `repo_id`."""
        if self.role != "fineGrained":
            return self.role == "write" or permission == "repo.content.read"
        granted = {p for scope in (repo_id, repo_id.split("/")[0]) for p in self.scopes.get(scope, ())}
        return permission in granted or (permission == "repo.content.read" and "repo.write" in granted)

    def belongs(self, namespace: str, *roles: str) -> bool:
        return namespace == self.name or self.orgs.get(namespace) in roles

    def can_create(self, repo_id: str) -> bool:
        owner = self.belongs(repo_id.split("/")[0], "admin", "write", "contributor")
        return owner and self.permits(repo_id, "repo.write")


@dataclass
class Access:
    """Visibility of a repository: who made it, private or not, gated or not, and who was let in."""

    repo_id: str
    creator: str
    private: bool
    gated: Literal["auto", "manual", False] = False
    let_in: set[str] = field(default_factory=set)

    def is_member(self, user: User | None) -> bool:
        namespace = self.repo_id.split("/")[0]
        member = user is not None and user.belongs(namespace, "admin", "write", "contributor", "read")
        return user is not None and member and user.permits(self.repo_id, "repo.content.read")

    def can_write(self, user: User | None) -> bool:
        if user is None or not user.permits(self.repo_id, "repo.write"):
            return False
        namespace = self.repo_id.split("/")[0]
        return user.belongs(namespace, "admin", "write") or (
            user.belongs(namespace, "contributor") and user.name == self.creator
        )

    def can_open_pull_request(self, user: User | None) -> bool:
        allowed = user is not None and any(user.permits(self.repo_id, p) for p in ("repo.write", "discussion.write"))
        return allowed and (not self.private or self.is_member(user))

    def check_visible(self, user: User | None) -> None:
        """Raise HubError as `missing` does when the repository is private to `user`."""
        if self.private and not self.is_member(user):
            raise missing(user)

    def check_content(self, user: User | None) -> None:
        """Raise HubError 401 or 403 GatedRepo when the content is gated and `user` was not let in."""
        self.check_visible(user)
        if not self.gated or self.is_member(user) or (user is not None and user.name in self.let_in):
            return
        what = f"Access to dataset {self.repo_id} is restricted"
        if user is None:
            raise HubError(
                401,
                f"{what}. You must have access to it and be authenticated to access it. Please log in.",
                "GatedRepo",
            )
        raise HubError(403, f"{what} and you are not in the authorized list. Ask for access.", "GatedRepo")

    def check_write(self, user: User | None, pull_request: bool = False) -> None:
        """Raise HubError when `user` may not write, or not open a pull request: 401, 403, or 404 of a private one."""
        self.check_visible(user)
        if user is None:
            raise missing(user)
        if self.can_write(user) or (pull_request and self.can_open_pull_request(user)):
            return
        if pull_request:
            raise HubError(403, "Forbidden: this token may not open a Pull Request")
        raise HubError(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")


def missing(user: User | None) -> HubError:
    """Return the reply for a repository that is not there, or not for `user`: 401 to the anonymous, else 404.

    The real Hub's 401 has no code; the client takes it for RepoNotFound only at an https address
    (huggingface_hub 2.4, utils/_http.py, REPO_API_REGEX), so that over plain http the same error needs the code.
    """
    if user is None:
        return HubError(401, "Invalid username or password.", "RepoNotFound")
    return HubError(404, "Repository not found", "RepoNotFound")
