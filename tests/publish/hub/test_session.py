"""What a server answers is bounded in time, in size and in what it may ask for; the login goes nowhere else."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from loaders import Problem
from publish.hub import session

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def server() -> Iterator[Callable[[Answer], str]]:
    """Start a server that answers every GET by a function, and return its address."""
    started: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        started.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=started[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{started[-1].server_port}"

    yield start
    for each in started:
        each.shutdown()
        each.server_close()


def answering(status: int = 200, body: bytes = b"{}", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.keeps("P24")
@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("7", "7"),
        ("9" * 30, "600"),
        ("31536000", "600"),
        ("\N{SUPERSCRIPT TWO}", None),
        ("-1", None),
        ("1e9", None),
        ("Wed, 21 Oct 2065 07:28:00 GMT", None),
    ],
)
def test_a_wait_that_is_asked_for_has_an_end(asked: str, left: str | None, server: Callable[[Answer], str]) -> None:
    address = server(answering(429, Retry_After=asked))
    with session.session() as client:
        assert client.get(address).headers.get("Retry-After") == left


@pytest.mark.keeps("P24")
@pytest.mark.parametrize(("reset", "kept"), [("55", True), ("9" * 30, False), ("31536000", False), ("x", False)])
def test_a_rate_limit_has_an_end(reset: str, kept: bool, server: Callable[[Answer], str]) -> None:
    address = server(answering(429, ratelimit=f'"api";r=0;t={reset}'))
    with session.session() as client:
        assert ("ratelimit" in client.get(address).headers) is kept


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        try:
            handler.wfile.write(b" " * (1 << 20))
        except OSError:
            return


@pytest.mark.keeps("P24")
def test_an_answer_without_an_end_is_not_heard_out(
    server: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_BYTES", 4 << 20)
    with session.session() as client, pytest.raises(Problem, match="more than 4,194,304 bytes"):
        client.get(f"{server(endless)}/api/datasets/lab/set")


@pytest.mark.keeps("P24")
@pytest.mark.parametrize(
    ("begun", "piece", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" ", "was still answering when its time was over"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", "began no answer in 0 s"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "began no answer in 0 s"),
    ],
    ids=["body", "headers", "status"],
)
def test_an_answer_that_trickles_is_not_heard_out(
    begun: bytes, piece: bytes, said: str, server: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        for part in (begun, *[piece] * 200):
            try:
                handler.wfile.write(part)
            except OSError:
                return
            time.sleep(0.02)

    monkeypatch.setattr(session, "TOTAL", 0.2)
    with session.session() as client, pytest.raises(Problem, match=said):
        client.get(f"{server(trickle)}/datasets/lab/set/resolve/main/README.md")


@pytest.mark.keeps("P24")
def test_pages_without_an_end_are_not_all_read(
    server: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "TOTAL", 0.2)
    address = server(answering(body=b"[]"))

    def read() -> None:
        with session.session() as client:
            while True:
                client.get(f"{address}/api/datasets/lab/set/tree/main")

    with pytest.raises(Problem, match="still had more to say"):
        session.within(read)


@pytest.mark.keeps("P24", "P2")
def test_the_login_goes_to_no_other_server(server: Callable[[Answer], str]) -> None:
    """By a next page, for which the library asks with the login; a redirect is followed without."""
    heard: list[str | None] = []

    def other(handler: BaseHTTPRequestHandler) -> None:
        heard.append(handler.headers.get("Authorization"))
        answering()(handler)

    elsewhere = server(other)
    paged = server(answering(Link=f'<{elsewhere}/api/datasets?cursor=2>; rel="next"'))
    moved = server(answering(302, Location=f"{elsewhere}/stored"))
    inside = server(answering(Link='</api/datasets?cursor=2>; rel="next"'))
    login = {"Authorization": "Bearer hf_abcdefghij"}
    with session.session() as client:
        with pytest.raises(Problem, match="does not belong") as caught:
            client.get(paged, headers=login)
        assert client.get(moved, headers=login).status_code == 200
        assert client.get(inside, headers=login).status_code == 200
    assert "hf_" not in str(caught.value)
    assert heard == [None]


@pytest.mark.keeps("P24")
@pytest.mark.parametrize("target", ["{home}/again", "file:///etc/passwd"])
def test_redirects_come_to_an_end(target: str, server: Callable[[Answer], str]) -> None:
    def away(handler: BaseHTTPRequestHandler) -> None:
        home = f"http://127.0.0.1:{handler.server.server_port}"  # type: ignore[attr-defined]
        answering(302, Location=target.format(home=home))(handler)

    address = server(away)
    with session.session() as client, pytest.raises(httpx2.HTTPError):
        client.get(address)
