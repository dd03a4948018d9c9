"""Gradio, imported without the stubs for editors that it writes beside its modules each time: half of what it takes.

It writes them for each component whose file is found. Here none is found, as of one that is made while a page runs.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_found = inspect.getfile


@contextmanager
def _without_files() -> Iterator[None]:
    """Let no class of Gradio have a file until the end of the block."""
    inspect.getfile = _file_of  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = _found


def _file_of(what: Any) -> str:
    if isinstance(what, type) and what.__module__.startswith("gradio."):
        raise FileNotFoundError(what)
    return _found(what)


with _without_files():
    import gradio

__all__ = ["gradio"]
