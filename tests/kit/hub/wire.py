"""What travels: a request with its streamed body, a response (bytes or a slice of a file), an error reply."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

BLOCK = 1 << 20


class HubError(Exception):
    """An error reply: the client tells errors apart by ``X-Error-Code``, and shows ``X-Error-Message``."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, dict(headers or {})

    def response(self) -> "Response":
        headers = error_headers(self.message) | ({"X-Error-Code": self.code} if self.code else {})
        return Response.json({"error": self.message}, self.status, headers | self.headers)


def error_headers(message: str) -> dict[str, str]:
    """Return ``X-Error-Message``: one line of ASCII, whatever the message."""
    return {"X-Error-Message": " ".join(message.split()).encode("ascii", "replace").decode()}


class Headers:
    """Request headers, by name in any case."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._values = {name.lower(): value for name, value in items}

    def get(self, name: str, default: str = "") -> str:
        return self._values.get(name.lower(), default)


class ConnectionCut(Exception):
    """The connection ends here, without an answer."""


class Body:
    """A request body read in blocks, so that a shard never sits in memory whole.

    `cut_after` (bytes) ends the connection when that much has been read, as a fault.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._kept: bytes | None = None
        self.received = 0
        self.cut_after: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        if self._kept is not None:
            yield self._kept
        for block in self._blocks:
            self.received += len(block)
            if self.cut_after is not None and self.received >= self.cut_after:
                raise ConnectionCut
            yield block

    def read(self) -> bytes:
        return b"".join(self)

    def keep(self) -> None:
        """Receive the rest now, for a later `read`."""
        self._kept = b"".join(self)

    def drain(self) -> None:
        for _ in self:
            pass


def fixed_blocks(stream: BufferedIOBase, length: int, block: int = 1 << 16) -> Iterator[bytes]:
    """Yield the `length` bytes of a body with Content-Length; raise ConnectionCut when the client goes away."""
    while length > 0:
        data = stream.read(min(length, block))
        if not data:
            raise ConnectionCut
        length -= len(data)
        yield data


def chunked_blocks(stream: BufferedIOBase) -> Iterator[bytes]:
    """Yield the data of a body with ``Transfer-Encoding: chunked``; raise ConnectionCut on a broken one."""
    while True:
        size_line = stream.readline().split(b";")[0].strip()
        if not size_line:
            raise ConnectionCut
        size = int(size_line, 16)
        yield from fixed_blocks(stream, size)
        stream.readline()
        if size == 0:
            return


@dataclass
class Request:
    """One request, as logged in `hub.requests`: `status` is None when the connection was cut before an answer.

    `bytes_received` and `bytes_sent` count body bytes (headers excluded); `path` is unquoted, `raw_path` is not.
    """

    index: int
    method: str
    raw_path: str
    raw_query: str
    headers: Headers = field(repr=False)
    body: Body = field(repr=False)
    bytes_sent: int = 0
    status: int | None = None

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.raw_query, keep_blank_values=True)

    @property
    def bytes_received(self) -> int:
        return self.body.received

    def flag(self, name: str) -> bool:
        return self.query.get(name, [""])[-1].lower() in ("1", "true")

    def json(self) -> Any:
        try:
            return json.loads(self.body.read() or b"{}")
        except ValueError as error:
            raise HubError(400, f"The body is not JSON: {error}") from error


@dataclass
class Response:
    """Status, headers and a body: bytes, or `length` bytes of `file` from `offset`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: Path | None = None
    offset: int = 0
    length: int = 0

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> "Response":
        return cls(
            status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, json.dumps(value).encode()
        )

    @property
    def size(self) -> int:
        return self.length if self.file else len(self.body)

    def blocks(self) -> Iterator[bytes]:
        if self.file is None:
            yield self.body
            return
        with self.file.open("rb") as stream:
            stream.seek(self.offset)
            yield from fixed_blocks(stream, self.length, BLOCK)


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (offset, length) of a single ``Range: bytes=`` in `size` bytes, None for the whole (RFC 9110, 14.2).

    Raises HubError 416 when the range starts behind the end.
    """
    if not header or not header.startswith("bytes=") or "," in header:
        return None
    first, _, last = header.removeprefix("bytes=").strip().partition("-")
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size or stop <= start:
        raise HubError(
            416, f"The range {header} is not in the {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return start, stop - start


def ranged(response: Response, range_header: str | None) -> Response:
    """Return `response` cut to the requested range, as 206 with Content-Range, or whole."""
    whole = response.size
    response.headers["Accept-Ranges"] = "bytes"
    part = requested_range(range_header, whole)
    if part is None:
        return response
    start, length = part
    response.status = 206
    response.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{whole}"
    if response.file is None:
        response.body = response.body[start : start + length]
    else:
        response.offset, response.length = start, length
    return response
