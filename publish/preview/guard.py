"""Who is answered: the page's own requests, from the address that the command printed, and nobody else's.

The secret stands in the path, as it stands in the address of a notebook server. It does not become a cookie: a browser
sends those of 127.0.0.1 to every port of it, so that whoever else listens on this machine would be told the secret.
"""

import hmac
from collections.abc import Mapping
from typing import Any

from starlette.responses import PlainTextResponse, Response

_MOST = 1 << 16  # bytes of a request; a choice has some hundred
_RUN = "gradio_api/run/"  # where choices are sent to
_CLOSED = ("gradio_api/file", "gradio_api/proxy", "gradio_api/stream", "file", "proxy", "monitoring", "login", "svelte")
# Whatever a card or Gradio itself asks for, the browser asks nobody but this server, and tells nobody its address.
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; "
    "form-action 'self'; base-uri 'self'; object-src 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Refuses what is not asked by the page itself, before anything else looks at it, and adds HEADERS to answers."""

    def __init__(self, app: Any, secret: str) -> None:
        self._app, self._secret = app, secret

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # no page of ours opens a web socket
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            why = refusal(self._secret, scope["method"], scope["path"], headers)
            app = PlainTextResponse(f"{why}\n", 403) if why else self._app
            if scope["path"] == "/favicon.ico":  # which a browser asks for by itself
                app = Response(status_code=204)
            await app(scope, receive, with_headers)


def refusal(secret: str, method: str, path: str, headers: Mapping[str, str]) -> str:
    """Return why a request is not answered; empty when it is."""
    first, _, rest = path.removeprefix("/").partition("/")
    if not hmac.compare_digest(first.encode(), secret.encode()):
        return "Open the address that `python -m publish.preview` printed: it holds a secret, which this one does not."
    if _is_of_another_page(method, headers):
        return "This was asked by another page than the preview's own."
    if method == "POST" and rest.startswith(_RUN):
        size = headers.get("content-length", "")
        return "" if size.isdecimal() and int(size) <= _MOST else f"A request may have up to {_MOST} bytes."
    if method not in ("GET", "HEAD") or rest.startswith(_CLOSED):
        return "The preview takes no files and serves none."
    return ""


def _is_of_another_page(method: str, headers: Mapping[str, str]) -> bool:
    if (origin := headers.get("origin")) is not None and origin != f"http://{headers.get('host')}":
        return True
    navigates = method == "GET" and headers.get("sec-fetch-dest") == "document"  # a link to the page, with its secret
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not navigates
