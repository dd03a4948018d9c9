"""Every request of a publish with every fault, and a kill at each: `python -m tests.publish.hub.faults [KIND ...]`.

For each pair, of a repository that is new and of one that is updated: the branch holds the old revision or the new
one, whole; the next run brings it to the new one; no publish makes two commits. What it prints is how the runs with the
fault ended, by kind; what it ends with is 1 if a promise was broken anywhere.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.hub import Fault, Repo
from tests.kit.pushing import Desk, Said, contents, desks, is_whole, killed, put_back, saved

HURRY = 1000.0  # so that the waits between tries, which a test of their length sees elsewhere, take no time
SLOW_HURRY = 200  # the waits of a commit, 590 s in all, come to 3
SILENCE, DELAY = 0.5, 1.0  # seconds: the client's patience, and a server that this test makes slower

KINDS: Mapping[str, Mapping[str, Any]] = {
    "500": {"status": 500},
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "429 now": {"status": 429, "headers": {"Retry-After": "0"}},
    "cut": {"cut": "before"},
    "reset": {"cut": "before", "reset": True},
    "cut upload": {"cut": "upload", "after": 1},
    "cut download": {"cut": "download", "after": 10},
    "timeout": {"delay": DELAY},
    "landed, 500": {"status": 500, "landed": True},
    "landed, cut": {"cut": "before", "landed": True},
    "landed, timeout": {"delay": DELAY, "landed": True},
    "kill": {},
    "landed, kill": {},
}
STARTS = ("new", "updated")


@dataclass(frozen=True)
class Start:
    """What stands on the Hub before a publish, what stands there after, and the requests in between: which commits."""

    before: Repo | None
    after: Mapping[str, str]
    requests: int
    commit: int

    @property
    def old(self) -> Mapping[str, str] | None:
        return contents(self.before) if self.before else None


class Rig:
    """A desk whose publish, from one of two starts, is run under a fault again and again."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        desk.lay("older", 40, variation=1)
        self.starts = {"new": self._start(None), "updated": self._start(desk.folder / "older")}

    def _start(self, older: Path | None) -> Start:
        desk = self.desk
        put_back(desk.hub, desk.name(), None)
        if older:
            desk.push(source=older)
        before = saved(desk.hub, desk.name())
        said = desk.push()
        commit = next(n for n, r in enumerate(said.requests) if r.method == "POST" and "/commit/" in r.path)
        return Start(before, contents(desk.repo()), len(said.requests), commit)

    def strike(self, start: str, kind: str, place: int) -> tuple[str, list[str]]:
        """Publish with a fault at a request; return how that ended and which promises were broken."""
        desk, known = self.desk, self.starts[start]
        put_back(desk.hub, desk.name(), known.before)
        desk.hub.inject(self._fault(kind, len(desk.hub.requests) + place))
        is_slow = "timeout" in kind  # its commit holds the branch for a while: patience has to last longer than that
        hurry, silence = (SLOW_HURRY, SILENCE) if is_slow else (HURRY, None)
        said = desk.push(code=None, hurry=hurry, timeout=silence)
        struck = sum(count for _, count in desk.hub.fired())
        desk.hub.clear_faults()
        broken = list(self._broken(known, said))
        again = desk.push(hurry=HURRY)
        broken += self._broken_after(known, again)
        ended = "not reached" if not struck else {0: "went through", -9: "killed"}.get(said.code, "stopped")
        return ended, [f"{start}, {kind} at request {place}: {what}\n{said.text}\n{again.text}" for what in broken]

    def _fault(self, kind: str, index: int) -> Fault:
        if "kill" in kind:
            return killed(self.desk, "landed" in kind, index=index)
        return Fault(index=index, **KINDS[kind])

    def _broken(self, known: Start, said: Said) -> Iterable[str]:
        repo = self.desk.hub.find_repo(self.desk.name())
        found = contents(repo) if repo else None
        if said.code == 0 and found != known.after:
            yield "said that it went well, and it did not"
        if repo and not is_whole(repo):
            yield "the head is not whole"
        if found not in (known.old, known.after) and not (known.old is None and set(found or ()) == {".gitattributes"}):
            yield "the head is neither the old nor the new revision"
        if said.code not in (0, 1, -9):
            yield f"exit code {said.code}"
        if said.code == 1 and said.text.strip().splitlines()[-1].startswith("error: ") is False:
            yield "the last line is not an error for people"
        if repo and not repo.private:
            yield "is open"

    def _broken_after(self, known: Start, again: Said) -> list[str]:
        repo = self.desk.repo()
        first = len(known.before.history()) if known.before else 1
        right: Mapping[str, Callable[[], bool]] = {
            "the next run did not bring it to the new revision": lambda: contents(repo) == known.after,
            "not one commit": lambda: len(repo.history()) == first + 1,
            "has no gate": lambda: repo.private and repo.gated == "manual",
        }
        return [what for what, holds in right.items() if not holds()]


def main() -> int:
    """Run the product of starts, kinds and requests, and report it."""
    parser = argparse.ArgumentParser(prog="python -m tests.publish.hub.faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], metavar="KIND", help=f"of {', '.join(KINDS)}")
    kinds, broken = parser.parse_args().kinds or list(KINDS), 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name, desks(Path(name)) as (hub, forks):
        (Path(name) / "desk").mkdir()
        rig = Rig(Desk(hub, forks, Path(name) / "desk", "lab"))
        for start, known in rig.starts.items():
            print(f"{start}: {known.requests} requests", flush=True)
            for kind in kinds:
                counts = Counter[str]()
                for place in range(known.requests):
                    ended, faults = rig.strike(start, kind, place)
                    counts[ended] += 1
                    broken += len(faults)
                    print(*faults, sep="\n", end="\n" if faults else "", flush=True)
                print(f"  {kind:16} {', '.join(f'{n} {what}' for what, n in sorted(counts.items()))}", flush=True)
        print(f"token in files: {rig.desk.leaks()}; promises broken: {broken}")
    return 1 if broken or rig.desk.leaks() else 0


if __name__ == "__main__":
    sys.exit(main())
