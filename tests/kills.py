"""kill -9 at random instants: `python -m tests.kills --seed S --times N build|regenerate|publish ...`.

After each kill the old state is there or the new one, and the same command run again gives the bytes of a run that
nobody disturbed. Half of the kills hit the driver alone, half all of its processes. Exits 1 if a promise was broken.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loaders.sources.sidecar import SIDECAR
from tests.kit import archives, building
from tests.kit.building import RESIZED, environment, tree
from tests.kit.pushing import Desk, contents, desks, is_whole, put_back, saved
from tests.kit.regenerating import drawn, final_files, lay_tars, sidecar

_SECONDS = 120


@dataclass(frozen=True)
class Case:
    """A command, how to put back what was there before it, and what is there: "old", "new", or a broken promise."""

    reset: Callable[[], None]
    command: Sequence[str]
    variables: Mapping[str, str]
    state: Callable[[], str]
    settled: Callable[[], bool]


def strike(case: Case, seconds: float, whole_group: bool) -> list[str]:
    """Kill the command after so many seconds and run it again; return what was found after each."""
    case.reset()
    process = _start(case)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
    found = case.state()
    again = _start(case)
    code = again.wait(_SECONDS)
    return [found, "settled" if code == 0 and case.settled() else f"not settled, exit code {code}, {case.state()}"]


def duration(case: Case) -> float:
    """Return how long the command takes undisturbed, in seconds."""
    case.reset()
    started = time.monotonic()
    assert _start(case).wait(_SECONDS) == 0
    assert case.settled()
    return time.monotonic() - started


def _start(case: Case) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *case.command],
        env=dict(case.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _run(case: Case) -> None:
    assert _start(case).wait(_SECONDS) == 0


@contextmanager
def build(folder: Path, workers: int = 2) -> Iterator[Case]:
    """Rebuild two configs in a folder, from other archives than before."""
    old, new, out = (folder / name for name in ("old", "new", "out"))
    names = ["--config", f"{RESIZED}/8x8", "--config", f"{RESIZED}/32x32", "--allow-partial", "--workers", str(workers)]
    for place, rows in ((old, 40), (new, 300)):
        place.mkdir()
        for size in (8, 32):
            _lay(place, size, rows)
    command = ["publish", *names, "--source", str(new), "--out", str(out)]
    before = folder / "before"
    empty = Case(lambda: None, [*command[:-3], str(old), "--out", str(out)], environment(), lambda: "", lambda: True)
    _run(empty)
    shutil.copytree(out, before)

    def reset() -> None:
        shutil.rmtree(out)
        shutil.copytree(before, out)

    case = Case(reset, command, environment(), lambda: "", lambda: True)
    _run(case)
    trees = {"old": tree(before), "new": tree(out)}

    def state() -> str:
        found = tree(out)
        return next((name for name, known in trees.items() if found == known), f"neither: {sorted(found)}")

    yield Case(reset, command, environment(), state, lambda: state() == "new" and not building.leftovers(out))


def _lay(folder: Path, size: int, rows: int) -> None:
    from publish.sample import archives as sample

    pixels = sample.planar(archives.pictures(rows, size, rows % 7))
    sample.write_train_zips(folder, size, sample.train_batches(pixels, archives.labels(rows)))
    sample.write_validation_zip(folder, size, archives.resized_batches(size)[1])


@contextmanager
def regenerate(folder: Path, workers: int = 2) -> Iterator[Case]:
    """Regenerate three sizes in the place of those of another order.

    A file is the old one or the new one, and the sidecar vouches for no other bytes than lie there: what is half in
    place is vouched for by nobody.
    """
    source, out, before = lay_tars(folder / "source", drawn()), folder / "out", folder / "before"
    words = ["publish.regenerate", "--source", str(source), "--workers", str(workers)]
    words += ["--sizes", "8", "16", "64", "--out"]
    _run(Case(lambda: None, [*words, str(before), "--seed", "1"], environment(), lambda: "", lambda: True))
    _run(Case(lambda: None, [*words, str(folder / "new")], environment(), lambda: "", lambda: True))
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

    yield Case(reset, [*words, str(out)], environment(), state, lambda: state() == "new")


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
        desk.push(source=newer)
        new, commits = contents(desk.repo()), len(desk.repo().history())
        what = ["publish", "--config", f"{RESIZED}/8x8", "--source", str(newer), "--allow-partial"]
        command = [*what, "--workers", str(workers), "--out", str(desk.out), "--push-to", desk.organisation]

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

        yield Case(reset, command, desk.environment(), state, settled)


CASES = {"build": build, "regenerate": regenerate, "publish": publish}
_RIGHT = {"old", "new", "settled", "in between, and not vouched for"}


def kill(name: str, seed: int, times: int, tell: Callable[[str], object] = lambda line: None) -> list[str]:
    """Kill a case many times; return which promises were broken."""
    numbers, counts, broken = random.Random(f"{name} {seed}"), Counter[str](), list[str]()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, CASES[name](Path(folder)) as case:
        longest = duration(case)
        for number in range(times):
            earliest, whole_group = numbers.choice((0, 0.6)), numbers.random() < 0.5  # what counts comes late
            seconds = longest * numbers.uniform(earliest, 1.05)
            found = strike(case, seconds, whole_group)
            counts.update(found)
            broken += [f"kill {number} after {seconds:.3f} s: {what}" for what in found if what not in _RIGHT]
    tell(f"{name}: {times} kills within {longest:.1f} s: {dict(counts)}, {len(broken)} promises broken")
    return broken


def main() -> int:
    """Kill each case as often as asked, and report it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="what is killed (default: all)")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--times", type=int, default=50, metavar="N", help="kills of each (default: 50)")
    options = parser.parse_args()
    broken = [each for name in options.case or CASES for each in kill(name, options.seed, options.times, print)]
    print(*broken, sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
