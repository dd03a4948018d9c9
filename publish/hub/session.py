"""The client's way to the network, bounded: what a server answers is not trusted with time, memory or the login.

The library waits for as long as `Retry-After` says, follows every next page with the token, and reads answers to their
end. Here each answer has a stated total time, which grows with the length of what is sent and of what it gave, answers
of the API a largest size, waits that are asked for an end, and the login stays with the server it is for.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

import httpx2
from huggingface_hub.utils._http import hf_request_event_hook

from loaders import Problem

T = TypeVar("T")
SILENCE = 120.0  # seconds after which a server that says nothing is given up; a large commit takes up to 60
TOTAL = 300.0  # seconds for an answer, beside what its length takes, and for all pages of a listing
SLOWEST = 20_000  # bytes a second of what is sent, and of an answer, beside that
LONGEST_WAIT = 600  # seconds between tries, whatever a server asks for
MOST_BYTES = 64 << 20  # of an answer of the API; a page of a listing has 1,000 files
_DIGITS = frozenset("0123456789")
_until: ContextVar[float | None] = ContextVar("until", default=None)


def session() -> httpx2.Client:
    """Return a client as the library makes it, with bounds."""
    hooks: dict[str, list[Callable[..., object]]] = {
        "request": [hf_request_event_hook, _keep_time],
        "response": [_keep_login, _bound],
    }
    return _Client(event_hooks=hooks, follow_redirects=True, timeout=SILENCE)


class _Client(httpx2.Client):
    """A client that waits a stated time for the headers of an answer, however they come.

    A timeout of the library is one of silence, which a server that says a byte a minute never keeps. So a thread
    waits for the headers, which is left alone with them when their time is over.
    """

    def send(self, request: httpx2.Request, *, stream: bool = False, **how: Any) -> httpx2.Response:
        seconds = TOTAL + _length(request.headers) / SLOWEST
        answer = _begin(lambda: super(_Client, self).send(request, stream=True, **how))
        if not wait([answer], seconds).done:
            raise Problem(f"{request.url.host}: began no answer in {seconds:.0f} s, and was not heard out.")
        response = answer.result()
        if not stream:
            with closing(response):
                response.read()
        return response


def _begin(call: Callable[[], T]) -> Future[T]:
    """Call it in a thread, which does not keep the process from ending."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=copy_context().run, args=(run,), daemon=True).start()
    return outcome


def within(call: Callable[[], T]) -> T:
    """Return what a call that only reads returns; raises Problem when its requests go on for more than `TOTAL`."""
    token = _until.set(time.monotonic() + TOTAL)
    try:
        return call()
    finally:
        _until.reset(token)


def _keep_time(request: httpx2.Request) -> None:
    until = _until.get()
    if until is not None and time.monotonic() > until:
        raise Problem(f"{request.url.host}: still had more to say after {TOTAL:.0f} s, and was not heard out.")


def _keep_login(response: httpx2.Response) -> None:
    """Raise Problem for a next page elsewhere: the library would ask for it with the login. Redirects go without."""
    here, link = response.request.url, response.links.get("next", {}).get("url")
    there = here.join(link) if link else here
    if (there.scheme, there.host, there.port) != (here.scheme, here.host, here.port):
        raise Problem(
            f"{here.host}: sends on to {there.scheme}://{there.netloc.decode()} for the next page, where this login "
            "does not belong. Nothing was sent there. Is HF_ENDPOINT the server you mean?"
        )


def _bound(response: httpx2.Response) -> None:
    """Hold an answer to the bounds of this module: its waits now, its body while it is read."""
    _bound_waits(response.headers)
    most = MOST_BYTES if "/api/" in response.request.url.path else None
    until = time.monotonic() + TOTAL + _length(response.headers) / SLOWEST
    response.stream = _Bounded(response.stream, response.request.url, most, until)


class _Bounded(httpx2.SyncByteStream):
    """The body of an answer, read in the time and to the size that it may have."""

    def __init__(self, stream: Any, url: httpx2.URL, most: int | None, until: float) -> None:
        self._stream, self._url, self._most, self._until = stream, url, most, until

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if self._most is not None and size > self._most:
                raise Problem(f"{self._url.host}: answered with more than {self._most:,} bytes, and was not heard out.")
            if time.monotonic() > self._until:
                raise Problem(f"{self._url.host}: was still answering when its time was over, and was not heard out.")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _length(headers: httpx2.Headers) -> int:
    length = headers.get("Content-Length", "")
    return int(length) if _is_number(length, 15) else 0


def _is_number(text: str, digits: int) -> bool:
    return 0 < len(text) <= digits and set(text) <= _DIGITS


def _bound_waits(headers: httpx2.Headers) -> None:
    """Leave in the headers no wait that is longer than a person would, and none that is no number."""
    asked = headers.get("Retry-After", "").strip()
    if asked and set(asked) <= _DIGITS:
        headers["Retry-After"] = str(min(int(asked), LONGEST_WAIT) if len(asked) < 10 else LONGEST_WAIT)
    else:
        headers.pop("Retry-After", None)  # a date, or no number: the client waits as it does without one
    limit = headers.get("ratelimit", "")
    if len(limit) > 200 or not limit.isascii() or _longest(limit) > LONGEST_WAIT:
        del headers["ratelimit"]


def _longest(limit: str) -> int:
    """Return the seconds that a rate limit asks to wait."""
    waits = [part.strip()[2:] for part in limit.split(";") if part.strip().startswith("t=")]
    return max((int(wait) if _is_number(wait, 9) else LONGEST_WAIT + 1 for wait in waits), default=0)
