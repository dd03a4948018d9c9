"""The page served on loopback, to this machine's browser alone, with nothing in it that is fetched from elsewhere."""

import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from loaders import Problem
from publish.preview import page
from publish.preview.place import Place

HOST = "127.0.0.1"
# Whatever a card or Gradio itself asks for, the browser asks nobody but this server.
_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'; form-action 'self'"
_FONTS: dict[str, Any] = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


class _Policy:
    """Adds the content security policy to every answer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self._app(scope, receive, with_policy)


def application(place: Place) -> FastAPI:
    """Return the page as an application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Policy)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    css = (files("publish.preview") / "page.css").read_text(encoding="utf-8")
    settings: dict[str, Any] = {
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
    }
    gr.mount_gradio_app(app, page.build(place), path="/", css=css, theme=gr.themes.Default(**_FONTS), **settings)
    return app


def bind(port: int) -> socket.socket:
    """Return a socket that listens on a port of loopback, on any free one for 0; raises Problem when it is taken."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise Problem(f"port {port} of {HOST}: {error.strerror}. Name another with --port.") from error
    return listening


def serve(place: Place, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve the page until the process is asked to end."""
    config = uvicorn.Config(application(place), log_level="warning", timeout_graceful_shutdown=1)
    listening.listen()
    ready(f"http://{HOST}:{listening.getsockname()[1]}/")
    uvicorn.Server(config).run(sockets=[listening])
