"""kill -9 at random instants: `python -m tests.kills --seed S --times N build|regenerate|publish ...`.

After each kill the old state is there or the new one, and the same command run again gives the bytes of a run that
nobody disturbed. Half of the kills hit the driver alone, half all of its processes. Exits 1 if a promise was broken.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loaders.sources.sidecar import SIDECAR
from tests.kit import archives, building
from tests.kit.building import RESIZED, tree
from tests.kit.forks import Forked, Forks, Job
from tests.kit.pushing import Desk, contents, desks, is_whole, put_back, saved
from tests.kit.regenerating import drawn, final_files, lay_tars, sidecar

_SECONDS = 120


@dataclass(frozen=True)
class Case:
    """A command, how to put back what was there before it, and what is there: "old", "new", or a broken promise.

    `seconds` is how long the command takes undisturbed.
    """

    reset: Callable[[], None]
    forks: Forks
    command: Job
    state: Callable[[], str]
    settled: Callable[[], bool]
    seconds: float = 0

    def start(self) -> Forked:
        """Start the command."""
        return Forked(self.forks, self.command)


def strike(case: Case, seconds: float, whole_group: bool) -> list[str]:
    """Kill the command after so many seconds and run it again; return what was found after each."""
    case.reset()
    process = case.start()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill_all() if whole_group else process.kill()
        process.wait(_SECONDS)
    found = case.state()
    code = case.start().wait(_SECONDS)
    return [found, "settled" if code == 0 and case.settled() else f"not settled, exit code {code}, {case.state()}"]


def _job(*command: object, **variables: str) -> Job:
    module, *arguments = map(str, command)
    return Job(module, arguments, os.devnull, variables, leads=True)


def _run(forks: Forks, *command: object) -> float:
    """Run a command, and return how many seconds it took."""
    started = time.monotonic()
    assert forks.run(_job(*command)) == 0
    return time.monotonic() - started


@contextmanager
def build(folder: Path, workers: int = 2) -> Iterator[Case]:
    """Rebuild two configs in a folder, from other archives than before."""
    old, new, out = (folder / name for name in ("old", "new", "out"))
    names = ["--config", f"{RESIZED}/8x8", "--config", f"{RESIZED}/32x32", "--allow-partial", "--workers", str(workers)]
    for place, rows in ((old, 40), (new, 300)):
        place.mkdir()
        for size in (8, 32):
            _lay(place, size, rows)
    command = ["publish", *names, "--out", out, "--source"]
    before, forks = folder / "before", building.forks()
    _run(forks, *command, old)
    shutil.copytree(out, before)
    seconds = _run(forks, *command, new)
    trees = {"old": tree(before), "new": tree(out)}

    def reset() -> None:
        shutil.rmtree(out)
        shutil.copytree(before, out)

    def state() -> str:
        found = tree(out)
        return next((name for name, known in trees.items() if found == known), f"neither: {sorted(found)}")

    def settled() -> bool:
        return state() == "new" and not building.leftovers(out)

    yield Case(reset, forks, _job(*command, new), state, settled, seconds)


def _lay(folder: Path, size: int, rows: int) -> None:
    from publish.sample import archives as sample

    pixels = sample.planar(archives.pictures(rows, size, rows % 7))
    sample.write_train_zips(folder, size, sample.train_batches(pixels, archives.labels(rows)))
    sample.write_validation_zip(folder, size, archives.resized_batches(size)[1])


@contextmanager
def regenerate(folder: Path, workers: int = 2) -> Iterator[Case]:
    """Regenerate two sizes in the place of those of another order.

    A file is the old one or the new one, and the sidecar vouches for no other bytes than lie there: what is half in
    place is vouched for by nobody.
    """
    source, out, before = lay_tars(folder / "source", drawn()), folder / "out", folder / "before"
    words = ["publish.regenerate", "--source", source, "--workers", workers, "--sizes", 8, 64, "--out"]
    forks = building.forks()
    _run(forks, *words, before, "--seed", 1)
    seconds = _run(forks, *words, folder / "new")
    old, new = _regenerated(before), _regenerated(folder / "new")
    assert old != new

    def reset() -> None:
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(before, out)

    def state() -> str:
        found, listed = _regenerated(out), sidecar(out)["files"]
        strange = {name for name, sha in found.items() if sha not in (old.get(name), new.get(name))}
        wrong = {name for name, facts in listed.items() if found.get(name) != facts["sha256"]}
        if strange - {SIDECAR} or wrong:
            return f"neither: {sorted(strange)}, vouched for wrongly: {sorted(wrong)}"
        return "old" if found == old else "new" if found == new else "in between, and not vouched for"

    yield Case(reset, forks, _job(*words, out), state, lambda: state() == "new", seconds)


def _regenerated(out: Path) -> dict[str, str]:
    found = tree(out)
    return {name: found[name] for name in final_files(out)}


@contextmanager
def publish(folder: Path, workers: int = 2) -> Iterator[Case]:
    """Publish a newer build to the test Hub, over an older one."""
    with desks(folder) as (hub, forks):
        (folder / "desk").mkdir()
        desk = Desk(hub, forks, folder / "desk", "lab")
        newer = desk.lay("newer", 400, variation=1)
        desk.push()
        before, old = saved(hub, desk.name()), contents(desk.repo())
        started = time.monotonic()
        desk.push("--workers", workers, source=newer)
        seconds = time.monotonic() - started
        new, commits = contents(desk.repo()), len(desk.repo().history())
        what = ["publish", "--config", f"{RESIZED}/8x8", "--source", newer, "--allow-partial", "--workers", workers]
        command = [*what, "--out", desk.out, "--push-to", desk.organisation]

        def reset() -> None:
            put_back(hub, desk.name(), before)
            shutil.rmtree(desk.out, ignore_errors=True)

        def state() -> str:
            found = contents(desk.repo())
            if not is_whole(desk.repo()) or not desk.repo().private or desk.leaks():
                return f"not whole, open, or the token in {desk.leaks()}"
            return "old" if found == old else "new" if found == new else f"neither: {sorted(found)}"

        def settled() -> bool:
            return state() == "new" and len(desk.repo().history()) == commits

        yield Case(reset, forks, _job(*command, HF_TOKEN=desk.token), state, settled, seconds)


CASES = {"build": build, "regenerate": regenerate, "publish": publish}
_RIGHT = {"old", "new", "settled", "in between, and not vouched for"}


def kill(
    name: str, seed: int, times: int, workers: int = 2, tell: Callable[[str], object] = lambda line: None
) -> list[str]:
    """Kill a case many times; return which promises were broken."""
    numbers, counts, broken = random.Random(f"{name} {seed}"), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, CASES[name](Path(folder), workers) as case:
        for number in range(times):
            earliest, whole_group = numbers.choice((0, 0.6)), numbers.random() < 0.5  # what counts comes late
            seconds = case.seconds * numbers.uniform(earliest, 1.05)
            found = strike(case, seconds, whole_group)
            counts.update(found)
            broken += [f"kill {number} after {seconds:.3f} s: {what}" for what in found if what not in _RIGHT]
    tell(f"{name}: {times} kills within {case.seconds:.1f} s: {dict(counts)}, {len(broken)} promises broken")
    return broken


def main() -> int:
    """Kill each case as often as asked, and report it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="what is killed (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--times", type=int, default=50, metavar="N", help="kills of each (default: 50)")
    options = parser.parse_args()
    broken = [each for name in options.case or CASES for each in kill(name, options.seed, options.times, tell=print)]
    print(*broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
