"""The page served on loopback, to this machine's browser alone, with nothing in it that is fetched from elsewhere."""

import secrets
import socket
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from loaders import Problem
from publish.preview import page
from publish.preview.components import gradio as gr
from publish.preview.guard import Guard
from publish.preview.place import Place

HOST = "127.0.0.1"
# A list that is left by Tab is open again to Gradio, which then fails over the choices that another dataset has not.
_TAB = """() => addEventListener("keydown", event => {
    if (event.key === "Tab" && event.target.matches("[role=combobox]")) event.stopImmediatePropagation()
}, true)"""
_FONTS: dict[str, Any] = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}


def application(place: Place, secret: str) -> FastAPI:
    """Return the page as an application, under the path that is the secret."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(Guard, secret=secret)
    css = (files("publish.preview") / "page.css").read_text(encoding="utf-8")
    settings: dict[str, Any] = {
        "run_history": False,
        "footer_links": [],
        "ssr_mode": False,
        "mcp_server": False,
        "pwa": False,
    }
    gr.mount_gradio_app(
        app, page.build(place), path=f"/{secret}", css=css, js=_TAB, theme=gr.themes.Default(**_FONTS), **settings
    )
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
    secret = secrets.token_urlsafe(24)
    config = uvicorn.Config(application(place, secret), log_level="warning", timeout_graceful_shutdown=1)
    listening.listen()
    ready(f"http://{HOST}:{listening.getsockname()[1]}/{secret}/")
    uvicorn.Server(config).run(sockets=[listening])
