"""`python -m publish.lists`: draw a balanced list of ILSVRC's train photographs, to publish or regenerate by.

It is the same on every machine, and from every form of ILSVRC: names come from an index, and no photograph is decoded.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from loaders import Problem
from loaders.ilsvrc import layout, lists, photos
from loaders.ilsvrc.photos import Held
from publish.console import exits
from publish.console.options import local, place, whole_number
from publish.results import check_file, written

_EXAMPLES = """examples:
  python -m publish.lists --source ILSVRC --out few.txt --per-class 1
  python -m publish.lists --source ILSVRC --out 5pct.txt --percent 5 --seed 1
  python -m publish --config imagenet2012_subset/5pct --names 5pct.txt --source ILSVRC

ILSVRC is a folder (or URL) with the train photographs, in any form that python -m publish takes.
"""
_PUBLISH = "python -m publish --config imagenet2012_subset"
_PERCENT = re.compile(r"\d{1,3}(?:\.\d{1,9})?", re.ASCII)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish.lists",
        description="Draw a balanced list of the train photographs of ILSVRC 2012, a name a line.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", type=place, required=True, metavar="ILSVRC", help="folder or URL of the train photographs")
    add("--out", type=local, required=True, metavar="FILE", help="the list, whose name is its config's: few.txt")
    many = parser.add_mutually_exclusive_group(required=True)
    many.add_argument("--per-class", type=whole_number(1), metavar="N", help="so many of each class")
    many.add_argument("--percent", type=_percent, metavar="P", help="so many of all, rounded down, balanced")
    add("--seed", type=whole_number(0), default=0, metavar="S", help="another draw (default: 0)")
    return parser


def _percent(text: str) -> Fraction:
    if not _PERCENT.fullmatch(text) or not 0 < Fraction(text) <= 100:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and up to 100, such as 5 or 0.5, got {text!r}")
    return Fraction(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped."""
    options = _parser().parse_args(arguments)
    return exits.exit_code(lambda: _draw(options), options.out)


def _draw(options: argparse.Namespace) -> int:
    from loaders.sources.folder import SourceFolder
    from publish.regenerate.originals import archives_of

    name = lists.name_of(options.out)
    check_file(options.out)
    (archive,) = archives_of(SourceFolder(options.source), ["train"]).values()
    held = photos.train(archive.path)
    names = [each.decode() for each in held.photos.names.tolist()]
    if not names:
        raise Problem(f"{archive.path}: holds no photographs of train.")
    drawn = (
        lists.per_class(names, options.per_class, options.seed)
        if options.per_class
        else lists.share(names, options.percent, options.seed)
    )
    if not drawn:
        raise Problem(f"{archive.path}: of {len(names):,} photographs, that is less than one. Draw more.")
    digest = _write(options.out, drawn)
    _warn(held, archive.path)
    print(f"{options.out}: {lists.balance(drawn)}\nsha256 {digest}")
    print(f"to publish it: {_PUBLISH}/{name} --names {options.out} --source {options.source}")
    return 0


def _write(out: Path, names: Sequence[str]) -> str:
    """Write a list, and return its SHA-256; raises Problem where another lies in its place."""
    text = "".join(f"{name}\n" for name in names).encode()
    if out.exists() and out.read_bytes() != text:
        raise Problem(f"{out}: is there already, and is another list. Name another file, or move it away.")
    with written(out) as temporary:
        temporary.write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def _warn(held: Held, where: Path) -> None:
    for kind, count in sorted(held.skipped.items()):
        print(f"skipped: {count:,} in {where}: {kind}", file=sys.stderr)
    if (count := len(held.photos)) != (whole := layout.COUNTS["train"]):
        told = f"{where} has {count:,} photographs of train, and ILSVRC {whole:,}, of which the list would be another"
        print(f"warning: {told}", file=sys.stderr)


if __name__ == "__main__":
    exits.leave(main)
