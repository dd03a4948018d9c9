"""`python -m publish.regenerate`: Imagenet8, 16, 32 and 64 from the photographs of ILSVRC 2012.

The files are those that Chrabaszcz et al. published, made as they made them (https://arxiv.org/abs/1707.08819; the
steps: https://github.com/PatrykChrabaszcz/Imagenet32_Scripts), and `python -m publish` reads them like the originals.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from loaders import MissingSources
from loaders.files.places import is_local
from loaders.images.photographs import FILTERS
from publish.console import damage, exits
from publish.console.options import add_workers, crew_of, destination, place, whole_number
from publish.console.progress import Progress, megabytes, table

if TYPE_CHECKING:  # --help answers at once
    from publish.regenerate.run import Made
    from publish.regenerate.settings import Settings

_EXAMPLES = """examples:
  python -m publish.regenerate --source ILSVRC --out DIR                the four sizes, in the zips upstream publishes
  python -m publish.regenerate --source ILSVRC --out DIR --sizes 32 --resample lanczos
  python -m publish --config imagenet_resized --source DIR              build from them

ILSVRC is a folder with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, or with what they unpack to (train/WNID/,
val/ or val/WNID/), or Kaggle's ILSVRC/Data/CLS-LOC. A run that was stopped goes on when the same command is run again.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish.regenerate",
        description="Make Imagenet8, 16, 32 and 64 from the photographs of ILSVRC 2012, each decoded once.",
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
    add("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64], help="pixels (default: all)")
    add(
        "--resample",
        choices=list(FILTERS),
        default="box",
        help="filter (default: box, upstream's; others name the files)",
    )
    add("--format", choices=("npz", "pickle"), default="npz", help="zips of npz batches, or CIFAR-style pickles")
    add(
        "--subsample",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="keep every N-th class; labels stay",
    )
    add(
        damage.LEAVE,
        action="store_true",
        help="leave out photographs that cannot be decoded, take damaged ones: both counted and listed",
    )
    add_workers(add)
    add("--seed", type=whole_number(0), default=0, metavar="S", help="of the order of train (default: 0)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped."""
    options = _parser().parse_args(arguments)
    return exits.exit_code(lambda: _regenerate(options), options.out)


def _regenerate(options: argparse.Namespace) -> int:
    from publish.regenerate import run

    settings = _settings(options)
    started = time.perf_counter()
    with crew_of(options) as crew, closing(Progress()) as progress:
        made = run.run(settings, crew, progress)
    if crew.is_remote:
        for worker, share in sorted(progress.shares.items()):
            print(f"{worker}: {share.rows:,} photographs", file=sys.stderr)
    _summary(made, settings.out, time.perf_counter() - started)
    _warn(made, options.subsample)
    return 0


def _settings(options: argparse.Namespace) -> "Settings":
    from publish.regenerate.settings import Settings

    if not options.source.is_dir():
        raise MissingSources(f"{options.source}: expected a folder with the photographs of ILSVRC (--source).")
    names = {field.name for field in fields(Settings)}
    chosen = {name: value for name, value in vars(options).items() if name in names}
    source = options.source.absolute() if is_local(options.source) else options.source
    return Settings(**{**chosen, "source": source, "sizes": tuple(dict.fromkeys(options.sizes))})


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


def _warn(made: "Sequence[Made]", subsample: int) -> None:
    """Say what a person would otherwise find out in training: photographs left out or damaged, originals that lack."""
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
        if subsample == 1 and rows != COUNTS[split]:
            print(f"warning: {rows:,} photographs of {split}; ILSVRC has {COUNTS[split]:,}", file=sys.stderr)


if __name__ == "__main__":
    exits.leave(main)
