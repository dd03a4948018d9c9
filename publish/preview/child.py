"""The process in which shards are read and images decoded: limited in memory, and ended when it takes too long.

What a foreign shard claims bounds nothing: a page of 62 kB may hold 2 GB. So nothing of one is parsed where the page is
served. `publish.preview.reader` is the other end; a request and an answer are each JSON and, after it, bytes.
"""

import json
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from loaders.images.arrow import PARQUET_ERRORS
from publish.preview import card
from publish.preview.shard import Refused, Shard, labels
from publish.preview.sparse import Missing, Sparse

ROOM = 1 << 30  # bytes of address space over what the libraries take; ours need 2 x 153 MB and a decoded photograph
_HEAD = 4  # bytes that say how long the JSON is

Answer = tuple[dict[str, Any], bytes]


def serve(connection: Connection, room: int) -> None:
    """Answer requests until the other end is closed, in so many bytes of memory over what the libraries take."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end is stopped by it, and closes
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _limit_memory(room)
    answers = Answers()
    connection.send_bytes(packed({}))
    while True:
        try:
            request, body = unpacked(connection.recv_bytes())
        except (EOFError, OSError):
            return
        connection.send_bytes(packed(*answers.of(request, body)))


def _limit_memory(room: int) -> None:
    with suppress(OSError, ValueError):  # no /proc: what the footer claims is the only bound there
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))


def packed(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Return a message."""
    text = json.dumps(head).encode()
    return b"".join([len(text).to_bytes(_HEAD, "little"), text, body])


def unpacked(message: bytes) -> Answer:
    """Return what a message was packed from; raises ValueError for what is none."""
    end = _HEAD + int.from_bytes(message[:_HEAD], "little")
    head = json.loads(message[_HEAD:end])
    if not isinstance(head, dict):
        raise ValueError("expected an object")
    return head, message[end:]


def _card(body: bytes, paths: Sequence[str], sizes: Sequence[int]) -> bytes:
    """Return a card as HTML, given its pictures and then its text."""
    pictures = {}
    for path, size in zip(paths, sizes, strict=True):
        pictures[path], body = body[:size], body[size:]
    return card.shown(body.decode(errors="replace"), pictures.__getitem__).encode()


def _too_large() -> str:
    return "reading it takes more memory than the preview gives it"


def _spelled(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if "realloc of size" in str(error) or "malloc of size" in str(error):
        return _too_large()
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, PARQUET_ERRORS) else f"{type(error).__name__}: {text}"


class Answers:
    """What can be asked, and the rows of the shard that was read last."""

    def __init__(self) -> None:
        self._key: object = None
        self._shard: Shard | None = None

    def of(self, request: dict[str, Any], body: bytes) -> Answer:
        """Return the answer to a request: what is `missing` for it, or a `problem`, if it cannot be given."""
        try:
            return self._of(request, body)
        except Missing as missing:
            return {"missing": missing.span}, b""
        except Refused as refused:
            return {"problem": str(refused)}, b""
        except MemoryError:
            self._forget()
            return {"problem": _too_large()}, b""
        except Exception as error:  # of whatever kind: what a file may lead to has no end
            return {"problem": _spelled(error)}, b""

    def _of(self, request: dict[str, Any], body: bytes) -> Answer:
        asked: dict[str, Callable[[], Answer]] = {
            "names": lambda: ({"names": self._opened(request).names()}, b""),
            "rows": lambda: (self._opened(request).page(request["numbers"]), b""),
            "paths": lambda: ({"paths": card.paths(body.decode(errors="replace"))}, b""),
            "card": lambda: ({}, _card(body, request["paths"], request["sizes"])),
            "labels": lambda: ({}, labels(Sparse(request["size"], request["spans"], body), request["rows"])),
        }
        return asked[request["what"]]()

    def _forget(self) -> None:
        self._key = self._shard = None

    def _opened(self, request: dict[str, Any]) -> Shard:
        path = Path(request["path"])
        status = path.stat()
        key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        if self._shard is None or self._key != key:
            self._forget()  # before the next is read: there is room for one
            self._shard, self._key = Shard(path, request["rows"]), key
        return self._shard
