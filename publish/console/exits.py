"""How a command ends: errors in a line, with an exit code."""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from loaders import MissingSources, Problem, UnknownConfig
from loaders.files import places
from publish.console import streams

UNCHANGED = "Nothing under a final name has changed; see --out for another place."
KEPT = "What is finished is kept: run the same command again to go on, or see --out for another place."
_STOPPED = "stopped; what is finished is kept, run the same command again to go on"

_TOKEN = re.compile(r"\bhf_\w{8,}")


class _Terminated(BaseException):
    """The process was asked to end (SIGTERM)."""


def exit_code(
    command: Callable[[], int],
    out: Path | None = None,
    after: str = UNCHANGED,
    spell: Callable[[Exception], str | None] | None = None,
    stopped: str = _STOPPED,
) -> int:
    """Run a command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped.

    `out` is where it writes, for errors of the system that name no file; `after` is what is true of it after one.
    `spell` says what an error is in words, None where it is none that a person can mend; `stopped` is said of a signal.
    """
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return command()
    except (MissingSources, UnknownConfig) as problem:
        return _tell(f"error: {problem}", 2)
    except Problem as problem:
        return _tell(f"error: {problem}", 1)
    except KeyboardInterrupt:
        return _tell(stopped, 130)
    except _Terminated:
        return _tell(stopped, 143)
    except Exception as error:
        if isinstance(error, OSError) and (cut := streams.cut_off()):
            return _unprinted(cut)
        said = spell(error) if spell else places.told(error, out)
        if said is None:
            raise
        return _tell(f"error: {said}. {after}" if after else f"error: {said}", 1)


def _tell(line: str, code: int) -> int:
    print(line, file=sys.stderr)
    return code


def _terminated(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _unprinted(error: OSError) -> int:
    """Return 141, as a shell says of a program that wrote to `| head -1` after its end; of a full disk, say so."""
    return 141 if isinstance(error, BrokenPipeError) else _tell(f"error: standard output: {error.strerror}", 1)


def leave(command: Callable[[], int]) -> NoReturn:
    """Run a command and end the process with its exit code; 141 when nobody reads on what it prints."""
    streams.open_all()
    # Of semaphores that a stopped process leaves, the library's own tracker removes them, and need not say so.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    try:
        code = command()
    except SystemExit as left:  # of --help, or of wrong use
        code = int(left.code or 0)
    except BrokenPipeError:
        code = 0
    if (cut := streams.cut_off()) and not code:
        code = _unprinted(cut)
    if code in (130, 143):
        # A signal may have struck while a pool held one of its locks: a usual exit would wait for its threads for ever.
        os._exit(code)
    sys.exit(code)


def discreet(error: object) -> str:
    """Return the text of an error in one line, without any token: what a server says may repeat what it was sent."""
    return _TOKEN.sub("hf_...", " ".join(str(error).split()))
