"""Scripted faults: which request goes wrong, and how."""

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .wire import Request


@dataclass(frozen=True)
class Fault:
    """One fault, at the requests it matches.

    Which: `index` (the request's place in `hub.requests`), and/or `method` and `path` (a regular expression searched in
    the unquoted path); of the matching requests the `nth` (from 1) and `times - 1` more (0: all that follow).

    How, in the order of execution (they combine):

    - `hook(request)` is called, with no lock held: kill a process, let a second publisher commit;
    - the answer is delayed by `delay` seconds, inside the exclusive section of a commit (others get 409 meanwhile);
    - `cut="before"` ends the connection without an answer, `cut="upload"` after about `after` bytes of its body;
    - `status` is answered, with `headers` and `message`; the request has no effect;
    - `cut="download"` ends the connection after `after` bytes of the answer's body.

    With `landed` the request takes effect first, and hook, status and cut="before" come after it. `reset` cuts with a
    TCP reset instead of an orderly end.
    """

    index: int | None = None
    method: str | None = None
    path: str | None = None
    nth: int = 1
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Scripted fault"
    cut: Literal["before", "upload", "download"] | None = None
    after: int = 0
    reset: bool = False
    delay: float = 0.0
    landed: bool = False
    hook: Callable[[Request], object] | None = None

    def __post_init__(self) -> None:
        if self.status is None and self.cut is None and not self.delay and self.hook is None:
            raise ValueError("this Fault does nothing: give status, cut, delay or hook")
        if self.landed and self.cut == "upload":
            raise ValueError("an upload that is cut cannot have landed")

    def matches(self, request: Request) -> bool:
        return (
            (self.index is None or self.index == request.index)
            and (self.method is None or self.method == request.method)
            and (self.path is None or re.search(self.path, request.path) is not None)
        )


class Script:
    """The faults of a Hub, and how often each has matched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._seen: list[int] = []
        self._fired: list[int] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
            self._seen.append(0)
            self._fired.append(0)

    def clear(self) -> None:
        with self._lock:
            self._faults, self._seen, self._fired = [], [], []

    def fired(self) -> list[tuple[Fault, int]]:
        with self._lock:
            return list(zip(self._faults, self._fired, strict=True))

    def choose(self, request: Request) -> Fault | None:
        """Count `request` for every fault it matches; return the first that strikes it, if any."""
        with self._lock:
            chosen: Fault | None = None
            for i, fault in enumerate(self._faults):
                if not fault.matches(request):
                    continue
                self._seen[i] += 1
                if chosen is None and self._strikes(fault, self._seen[i]):
                    self._fired[i] += 1
                    chosen = fault
            return chosen

    @staticmethod
    def _strikes(fault: Fault, seen: int) -> bool:
        return seen >= fault.nth and (fault.times == 0 or seen < fault.nth + fault.times)
