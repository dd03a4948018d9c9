"""The object storage: LFS objects by sha256 in a folder, checked on arrival, and the signed addresses to reach them."""

import hashlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .wire import HubError


@dataclass(frozen=True)
class Ticket:
    """The right to upload (with the `size` announced) or to download one object of one repository."""

    repo_id: str
    sha256: str
    size: int
    upload: bool


class ObjectStore:
    """Objects shared by all repositories; each repository lists those it may use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._tickets: dict[str, Ticket] = {}

    def path(self, sha256: str) -> Path:
        return self._folder / sha256

    def has(self, sha256: str, size: int | None = None) -> bool:
        path = self.path(sha256)
        return path.is_file() and (size is None or path.stat().st_size == size)

    def size(self, sha256: str) -> int:
        return self.path(sha256).stat().st_size

    def issue(self, ticket: Ticket) -> str:
        key = secrets.token_hex(8)
        with self._lock:
            self._tickets[key] = ticket
        return key

    def redeem(self, key: str, upload: bool) -> Ticket:
        """Return the ticket `key`; raises HubError 403 for an unknown one or one for the other direction."""
        with self._lock:
            ticket = self._tickets.get(key)
        if ticket is None or ticket.upload != upload:
            raise HubError(403, "AccessDenied: the signature of this address is not valid")
        return ticket

    def put(self, blocks: Iterable[bytes], sha256: str, size: int) -> None:
        """Store an object; raises HubError 400 when its size or sha256 is not the one announced, and keeps nothing."""
        temporary = self.scratch()
        found_sha256, found_size = write_blocks(temporary, blocks)
        if (found_sha256, found_size) != (sha256, size):
            temporary.unlink()
            raise HubError(400, f"BadDigest: {size} bytes of {sha256} announced, {found_size} of {found_sha256} came")
        temporary.replace(self.path(sha256))

    def part(self, key: str, number: int) -> Path:
        return self._folder / f"part-{key}-{number:05d}"

    def assemble(self, key: str, numbers: Iterable[int]) -> None:
        """Join the parts of a multipart upload as one object, checked as by `put`; raises HubError 400."""
        ticket = self.redeem(key, upload=True)
        parts = [self.part(key, number) for number in numbers]
        self.put(_read_parts(parts), ticket.sha256, ticket.size)
        for part in parts:
            part.unlink()

    def scratch(self) -> Path:
        return self._folder / f"incoming-{secrets.token_hex(8)}"

    def forget(self, sha256: str) -> None:
        self.path(sha256).unlink(missing_ok=True)


def write_blocks(path: Path, blocks: Iterable[bytes]) -> tuple[str, int]:
    """Write `blocks` to `path` and return (sha256 in hex, bytes); nothing stays when the blocks end with an error."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("wb") as stream:
            for block in blocks:
                digest.update(block)
                size += stream.write(block)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return digest.hexdigest(), size


def _read_parts(parts: list[Path]) -> Iterator[bytes]:
    for part in parts:
        if not part.is_file():
            raise HubError(400, f"InvalidPart: {part.name} was not uploaded")
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                yield block
