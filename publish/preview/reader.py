"""The other end of `publish.preview.child`: it is started, asked, and ended when it takes too long."""

import multiprocessing
import os
import time
from threading import Lock
from typing import Any

from publish.console.progress import megabytes
from publish.preview import child

SECONDS = 20.0  # for what one page asks
_START = 120.0  # seconds: a busy machine imports slowly
_MOST = 64 << 20  # bytes of an answer: a hundred images of 100 kB are 13 MB


class NotRead(Exception):
    """A shard cannot be read, or is not shown: its text says why."""


class Reader:
    """A process that reads shards, started when it is first asked and again after it died."""

    def __init__(self, room: int = child.ROOM) -> None:
        self._lock, self._room = Lock(), room
        self._process: Any = None
        self._connection: Any = None

    def start(self) -> None:
        """Start the process, and do not wait for it."""
        with self._lock:
            self._start()

    def ready(self) -> None:
        """Start the process, and wait until it listens; raises NotRead when it does not."""
        with self._lock:
            self._start()
            self._ready()

    def ask(self, request: dict[str, Any], body: bytes, seconds: float) -> child.Answer:
        """Return the answer to a request; raises NotRead for a problem, and when the time is over."""
        with self._lock:
            self._start()
            try:
                self._ready()
                head, found = self._asked(child.packed(request, body), seconds)
            except BaseException:
                self._end()
                raise
        if "problem" in head:
            raise NotRead(str(head["problem"]))
        return head, found

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._end()
        os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # read as pyarrow is imported: others reserve a gigabyte
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=child.serve, args=(theirs, self._room), daemon=True, name="preview-reader"
        )
        self._process.start()
        theirs.close()
        self._is_ready = False

    def _ready(self) -> None:
        if not self._is_ready:
            self._receive(_START)
            self._is_ready = True

    def _asked(self, message: bytes, seconds: float) -> child.Answer:
        try:
            self._connection.send_bytes(message)
            return child.unpacked(self._receive(seconds))
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise NotRead("reading it ended the process that reads: it is damaged, or made to do that") from error
        except (OSError, ValueError, RecursionError) as error:
            raise NotRead(f"what was read of it is more than {megabytes(_MOST)}, or no answer") from error

    def _receive(self, seconds: float) -> bytes:
        if seconds <= 0 or not self._connection.poll(seconds):  # an answer that is there is late all the same
            raise NotRead("reading it takes more time than the preview gives it")
        found: bytes = self._connection.recv_bytes(_MOST)
        return found

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._connection.close()
        self._process = self._connection = None


class Budget:
    """The seconds that are left of those that one page, or one card, may take."""

    def __init__(self, reader: Reader, seconds: float = SECONDS) -> None:
        self._reader, self._left, self._lock = reader, seconds, Lock()

    def ask(self, request: dict[str, Any], body: bytes = b"") -> child.Answer:
        """Return an answer, for which what is left of the time is given."""
        with self._lock:
            self._reader.ready()
            began = time.monotonic()
            try:
                return self._reader.ask(request, body, self._left)
            finally:
                self._left -= time.monotonic() - began
