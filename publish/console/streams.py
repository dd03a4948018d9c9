"""The standard streams: that one is closed, full, or read by nobody any more is no reason for a traceback."""

import io
import os
import sys


class _Watched(io.TextIOWrapper):
    """A stream that remembers why what was printed did not arrive; some who print take no notice."""

    lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self.lost = error
            raise

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.lost = error
            raise


def open_all() -> None:
    """Let a stream that was closed (`>&-`) lead nowhere, and have what a stream cannot spell printed with escapes.

    Else the next file that is opened would get the number of the stream, and with it whatever is printed by number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))
    for name in ("stdout", "stderr"):
        setattr(sys, name, _watched(getattr(sys, name)))


def _watched(stream: io.TextIOWrapper) -> _Watched:
    lines, through = stream.line_buffering, stream.write_through
    return _Watched(stream.detach(), stream.encoding, "backslashreplace", line_buffering=lines, write_through=through)


def cut_off() -> OSError | None:
    """Return why what was printed did not arrive, if it did not; the rest leads nowhere then."""
    found = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            found = found or error
        found = found or getattr(stream, "lost", None)
        if getattr(stream, "lost", None):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return found
