"""`python -m publish.preview [DIR_OR_ORG/NAME]`: see datasets in the browser as their Hub pages will be."""

import argparse
import importlib
import os
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any

from loaders import Problem
from publish.console.exits import leave
from publish.hub import exits

_PORT = 7860


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C, and return 0; 1 when there is nothing to show or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m publish.preview", description=__doc__)
    what = "a folder of repositories, or one of them, or ORG/NAME on the Hub (default: hub)"
    parser.add_argument("repository", nargs="?", default="hub", metavar="DIR", help=what)
    parser.add_argument("--port", type=_port, default=_PORT, help=f"on 127.0.0.1; 0 is any free one (default: {_PORT})")
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the Hub (default: main)")
    options = parser.parse_args(arguments)
    return exits.exit_code(lambda: _serve(options), options.repository)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got {text!r}")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    found = _imported("place").find(options.repository, options.revision)
    if len(found.names) == 1:
        found.dataset(found.names[0])  # what is wrong with the only one is said here, and not in the page
    with tempfile.TemporaryDirectory(prefix="preview-") as own, closing(found.reader), suppress(KeyboardInterrupt):
        found.reader.start()  # it imports what it needs while this process does
        # Read when it is imported. Left to itself it writes to a folder that all users of a machine share.
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": own}
        serve = _imported("serve")
        with serve.bind(options.port) as listening:
            told = f"{options.repository} is shown at {{}} (Ctrl-C ends it; the address is for you alone)"
            serve.serve(found, listening, lambda url: print(told.format(url), flush=True))
    return 0


def _imported(name: str) -> Any:
    """Return a module of the preview; raises Problem where what it needs is not installed."""
    try:
        return importlib.import_module(f"publish.preview.{name}")
    except ModuleNotFoundError as error:
        raise Problem(
            f"{error.name} is not installed: install the extra `preview` (pip install -e '.[preview]')."
        ) from error


if __name__ == "__main__":
    leave(main)
