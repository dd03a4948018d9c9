"""`python -m loaders.training`: the arrays kept on this disk for training, and their removal."""

import argparse
import sys
from pathlib import Path

from loaders.training import memmap
from loaders.training.memmap import About

Kept = list[tuple[Path, About | None]]


def main(arguments: list[str] | None = None) -> int:
    """List what is kept, or remove some of it; return 0, or 1 when something could not be removed."""
    parser = argparse.ArgumentParser(prog="python -m loaders.training", description=__doc__)
    parser.add_argument(
        "--remove", nargs="+", default=[], metavar="NAME", help="names from the list, `stale`, or `all`"
    )
    names = parser.parse_args(arguments).remove
    kept = memmap.kept()
    stale = _stale(kept)
    if not names:
        print("\n".join(_line(path, about, path in stale) for path, about in kept) or f"{memmap.place()} has none")
        return 0
    if unknown := sorted({*names} - {"stale", "all"} - {path.name for path, _ in kept}):
        parser.error(f"there is none of the name {', '.join(unknown)}")
    chosen = [p for p, _ in kept if p.name in names or "all" in names or ("stale" in names and p in stale)]
    return max([_remove(path) for path in chosen], default=0)


def _stale(kept: Kept) -> set[Path]:
    """Return all but the latest of each split, and what was broken off."""
    latest = {(a.repository, a.config, a.split): path for path, a in reversed(kept) if a}
    return {path for path, _ in kept} - {*latest.values()}


def _line(path: Path, about: About | None, stale: bool) -> str:
    what = f"{about.repository}  {about.config}  {about.split}  {about.version[:12]}" if about else "not whole"
    return f"{path.name}  {memmap.size(path) / 1e9:7.2f} GB  {what}{'  stale' if stale else ''}"


def _remove(path: Path) -> int:
    if memmap.remove(path):
        print(f"removed {path}")
        return 0
    print(f"{path}: a process is just making it; not removed", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
