"""The HTTP server: reads a request, lets the script of faults strike, answers, and logs what went over the wire."""

import socket
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .call import Call
from .faults import Fault
from .routes import find_route
from .state import Hub
from .wire import Body, ConnectionCut, Headers, HubError, Request, Response, chunked_blocks, error_headers, fixed_blocks


class Server(ThreadingHTTPServer):
    """Serves one Hub; there are two of them, as the storage is at another origin than the Hub."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub = hub

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that was killed breaks its connections."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing: `hub.requests` is the log."""

    def _serve(self) -> None:
        hub, url = self.server.hub, urlsplit(self.path)
        body = Body(self._blocks())
        headers = Headers(self.headers.items())
        request = hub.log(lambda i: Request(i, self.command, url.path, url.query, headers, body))
        fault = hub.script.choose(request)
        try:
            self._answer(request, *perform(hub, request, fault))
        except (ConnectionCut, ConnectionError):
            self._cut(fault is not None and fault.reset)
        except Exception as error:
            hub.errors.append(error)
            self._cut(reset=False)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _blocks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return chunked_blocks(self.rfile)
        return fixed_blocks(self.rfile, int(self.headers.get("Content-Length", "0")))

    def _answer(self, request: Request, response: Response, cut_after: int | None) -> None:
        request.body.drain()
        request.status = response.status
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(response.size))
        self.send_header("X-Request-Id", f"request-{request.index}")
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(request, response, cut_after)

    def _send_body(self, request: Request, response: Response, cut_after: int | None) -> None:
        for block in response.blocks():
            rest = len(block) if cut_after is None else max(cut_after - request.bytes_sent, 0)
            request.bytes_sent += min(rest, len(block))
            self.wfile.write(block[:rest])
            if rest < len(block):
                raise ConnectionCut

    def _cut(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


def perform(hub: Hub, request: Request, fault: Fault | None) -> tuple[Response, int | None]:
    """Return the answer to `request` under `fault`, and after how many bytes of its body to cut the connection.

    Raises ConnectionCut for no answer at all.
    """
    if fault is None:
        return respond(hub, request, 0.0), None
    no_effect = not fault.landed and (fault.status is not None or fault.cut == "before")
    if not fault.landed:
        _strike(hub, request, fault, fault.delay if no_effect else 0.0)
    response = Response() if no_effect else respond(hub, request, fault.delay)
    if fault.landed:
        _strike(hub, request, fault, 0.0)
    response = response if fault.status is None else _scripted(fault)
    return response, fault.after if fault.cut == "download" else None


def _strike(hub: Hub, request: Request, fault: Fault, delay: float) -> None:
    if fault.hook is not None:
        fault.hook(request)
    hub.closing.wait(delay)
    if fault.cut == "before":
        raise ConnectionCut
    if fault.cut == "upload":
        request.body.cut_after = fault.after


def _scripted(fault: Fault) -> Response:
    assert fault.status is not None
    return Response.json({"error": fault.message}, fault.status, error_headers(fault.message) | dict(fault.headers))


def respond(hub: Hub, request: Request, delay: float) -> Response:
    """Route a request to its endpoint and return the answer, an error reply included."""
    try:
        route, params = find_route(request.method, request.raw_path)
        user = None if route.signed else hub.user_of(request.headers.get("Authorization"))
        call = Call(hub, request, user, params)
        with route.guard(call):
            hub.closing.wait(delay)
            if not route.locked:
                return route.handler(call)
            request.body.keep()
            with hub.lock:
                return route.handler(call)
    except HubError as error:
        return error.response()
    except (KeyError, TypeError, ValueError) as error:
        return HubError(400, f"Malformed request: {error!r}").response()


@contextmanager
def running(faults: Iterable[Fault] = (), page_size: int = 1000, multipart_size: int = 16 << 20) -> Iterator[Hub]:
    """Run a Hub on loopback until the block ends.

    An error in a hook or in the server itself cuts the connection, and is raised here at the end of the block.
    `page_size`: entries a page of a listing; `multipart_size`: LFS objects above it (bytes) come in parts of that size.
    """
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        hub = Hub(Path(folder), page_size, multipart_size)
        hub.inject(*faults)
        servers = [Server(hub), Server(hub)]
        hub.endpoint, hub.storage_endpoint = (server.url for server in servers)
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield hub
            for error in hub.errors:
                raise error
        finally:
            hub.closing.set()
            for server in servers:
                server.shutdown()
                server.server_close()
