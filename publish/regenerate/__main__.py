"""`python -m publish.regenerate`: Imagenet8, 16, 32, 64 and other sizes from the photographs of ILSVRC 2012.

The files are those that Chrabaszcz et al. published, made as they made them (https://arxiv.org/abs/1707.08819; the
steps: https://github.com/PatrykChrabaszcz/Imagenet32_Scripts), and `python -m publish` reads them like the originals.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from loaders import MissingSources
from loaders.files.places import is_local
from loaders.ilsvrc import lists
from loaders.images.photographs import FILTERS, UPSTREAM
from loaders.images.png import LARGEST
from loaders.sources.variant import SIZES, SMALLEST
from publish.console import damage, exits
from publish.console.options import add_workers, crew_of, destination, place, whole_number
from publish.console.progress import Progress, megabytes, table

if TYPE_CHECKING:  # --help answers at once
    from publish.regenerate.run import Made
    from publish.regenerate.settings import Settings

_EXAMPLES = """examples:
  python -m publish.regenerate --source ILSVRC --out DIR                the four sizes, in the zips upstream publishes
  python -m publish.regenerate --source ILSVRC --out DIR --sizes 32 --resample lanczos
  python -m publish.regenerate --source ILSVRC --out DIR --sizes 48 64 --crop center
  python -m publish --config imagenet_resized --source DIR              build upstream's four from them
  python -m publish --config imagenet_resized/48x48-center --source DIR
  python -m publish.regenerate --source ILSVRC --out DIR --sizes 32 --names few.txt     32x32-few, of a list alone

ILSVRC is a folder with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or with what they unpack to (train/WNID/,
val/ or val/WNID/), or Kaggle's ILSVRC/Data/CLS-LOC. A run that was stopped goes on when the same command is run again.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish.regenerate",
        description="Make Imagenet8, 16, 32, 64 and others from the photographs of ILSVRC 2012, each decoded once.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--source",
        type=place,
        required=True,
        metavar="ILSVRC",
        help="folder or URL of the tars, or what they unpack to",
    )
    add("--out", type=destination, required=True, metavar="DIR", help="a folder (or URL) of its own for the files")
    add(
        "--sizes",
        type=_size,
        nargs="+",
        default=list(SIZES),
        metavar="S",
        help=f"pixels a side, {SMALLEST} to {LARGEST} (default: upstream's, {' '.join(map(str, SIZES))})",
    )
    add("--resample", choices=list(FILTERS), help="filter to squeeze them by (default: box, upstream's)")
    add(
        "--crop",
        choices=("squash", "center"),
        default="squash",
        help="squeeze photographs to squares, as upstream (default), or cut their middle out, as ADM and EDM do",
    )
    add("--format", choices=("npz", "pickle"), default="npz", help="zips of npz batches, or CIFAR-style pickles")
    add(
        "--subsample",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="keep every N-th class; labels stay",
    )
    add("--names", type=place, metavar="FILE", help="train on these alone, a photograph's name a line: few.txt")
    add(
        damage.LEAVE,
        action="store_true",
        help="leave out photographs that cannot be decoded, take damaged ones: both counted and listed",
    )
    add_workers(add)
    add("--seed", type=whole_number(0), default=0, metavar="S", help="of the order of train (default: 0)")
    return parser


def _size(text: str) -> int:
    if not text.isdecimal() or not SMALLEST <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(
            f"expected {SMALLEST} to {LARGEST} pixels a side, got {text!r}: the PNGs that are made of them hold no more"
        )
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.crop == "center" and options.resample:
        parser.error(
            f"--resample {options.resample}: is the filter of squeezed photographs. Center crops are scaled by BOX and "
            "BICUBIC, as ADM and EDM scale them: leave out --resample or --crop center"
        )
    if options.names and options.subsample > 1:
        parser.error("--names and --subsample both say what to train on: leave one of them out")
    return exits.exit_code(lambda: _regenerate(options), options.out)


def _regenerate(options: argparse.Namespace) -> int:
    from publish.regenerate import run

    settings = _settings(options)
    if options.names:
        lists.name_of(options.names)
        print(f"{options.names}: {lists.balance(lists.read(options.names))}", file=sys.stderr)
    started = time.perf_counter()
    with crew_of(options) as crew, closing(Progress()) as progress:
        made = run.run(settings, crew, progress)
    if crew.is_remote:
        for worker, share in sorted(progress.shares.items()):
            print(f"{worker}: {share.rows:,} photographs", file=sys.stderr)
    _summary(made, settings.out, time.perf_counter() - started)
    _warn(made, {"validation"} if options.names else set() if options.subsample > 1 else {"train", "validation"})
    return 0


def _settings(options: argparse.Namespace) -> "Settings":
    from publish.regenerate.settings import Settings

    if not options.source.is_dir():
        raise MissingSources(f"{options.source}: expected a folder with the photographs of ILSVRC (--source).")
    names = {field.name for field in fields(Settings)}
    chosen = {name: value for name, value in vars(options).items() if name in names}
    source = options.source.absolute() if is_local(options.source) else options.source
    squaring = "center" if options.crop == "center" else options.resample or UPSTREAM
    sizes = tuple(dict.fromkeys(options.sizes))
    return Settings(**{**chosen, "source": source, "sizes": sizes, "squaring": squaring})


def _summary(made: "Sequence[Made]", out: Path, seconds: float) -> None:
    head = ("config", "train", "validation", "files", "bytes", "work")
    rows = [
        (
            each.config,
            *(f"{each.rows[split]:,}" for split in ("train", "validation")),
            str(len(each.files)),
            megabytes(sum(each.files.values())),
            "new" if each.is_new else "there already",
        )
        for each in made
    ]
    print(table(head, rows))
    photos = max((sum(each.rows.values()) for each in made if each.is_new), default=0)
    if photos:
        print(f"\n{photos:,} photographs in {seconds:.1f} s ({photos / seconds:,.0f} images/s), in {out}/")
    configs = " ".join(f"--config imagenet_resized/{each.config}" for each in made)
    print(f"\nto build: python -m publish {configs} --source {shlex.quote(str(out))}")


def _warn(made: "Sequence[Made]", whole: Collection[str]) -> None:
    """Say what a person would otherwise find out in training: photographs left out or damaged, originals that lack.

    `whole` are the splits that should have all of ILSVRC's.
    """
    from loaders.ilsvrc.layout import COUNTS
    from loaders.sources.sidecar import SIDECAR

    damage.tell(made[0].unreadable, "left out", SIDECAR)
    damage.tell(made[0].damaged, "damaged", SIDECAR)
    for split, taken in made[0].taken.items():
        print(f"{split}: {taken}", file=sys.stderr)
    for split, kinds in made[0].skipped.items():
        for kind, count in sorted(kinds.items()):
            print(f"skipped: {count:,} of {split}: {kind}", file=sys.stderr)
    for split, rows in made[0].rows.items():
        if split in whole and rows != COUNTS[split]:
            print(f"warning: {rows:,} photographs of {split}; ILSVRC has {COUNTS[split]:,}", file=sys.stderr)


if __name__ == "__main__":
    exits.leave(main)
