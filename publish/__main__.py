"""`python -m publish`: build dataset repositories from upstream's archives. Also installed as `imagenet-variants`."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import loaders
from loaders import Problem
from loaders.files.places import is_local
from publish.console import damage, exits, use
from publish.console.options import add_workers, crew_of, destination, place
from publish.console.progress import megabytes, table

if TYPE_CHECKING:  # what builds is imported when something is built: --help and --list answer at once
    from loaders.sources.source import Found
    from publish.build.destination import Destination
    from publish.build.plan import Plan
    from publish.build.run import Built
    from publish.hub.push import Hub

_EXAMPLES = """examples:
  python -m publish --config all --sample                    a small drawn sample of everything, into hub/
  python -m publish --config imagenet_resized --source DIR   the real thing, from upstream's archives in DIR
  python -m publish --config imagenet_v2/topimages --dry-run what would be built, and what is missing
  python -m publish --config all --source DIR --push-to ORG  the same onto the Hub, one commit a repository
"""
_NAMES = "your own list, for --config imagenet2012_subset/few: few.txt, a photograph of train a line"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m publish",
        description="Build the ImageNet family as Parquet dataset repositories that `load_dataset` reads.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", action="append", metavar="NAME", help="all, a dataset, or dataset/config; may be given again")
    add("--list", action="store_true", help="list the datasets and configs, and leave")
    add(
        "--source",
        type=place,
        metavar="DIR",
        help="upstream's archives, a folder or URL (default: the cache)",
    )
    add("--names", type=place, action="append", default=[], metavar="FILE", help=_NAMES)
    add("--sample", action="store_true", help="build from small archives drawn for it; the cards say so")
    add(
        "--out",
        type=destination,
        default=Path("hub"),
        metavar="DIR",
        help="folder or URL of the repositories (default: hub)",
    )
    add_workers(add)
    add("--allow-partial", action="store_true", help="accept other rows, sizes and digests than the published ones")
    add(damage.LEAVE, action="store_true", help="take photographs that libjpeg warns about, counted and listed")
    add("--verify", choices=("normal", "full"), default="normal", help="full: hash even the 148 GB ILSVRC archive")
    add("--overwrite-card", action="store_true", help="give up people's edits to computed parts of the card")
    add("--dry-run", action="store_true", help="say what would be built and what is missing, and leave")
    _add_hub(
        parser.add_argument_group(
            "publishing to the Hub, with your own login (`hf auth login` or HF_TOKEN)"
        ).add_argument
    )
    return parser


def _add_hub(add: Callable[..., object]) -> None:
    add("--push-to", metavar="ORG", help="publish as ORG/DATASET: private and gated, one commit each")
    add("--revision", default="main", metavar="BRANCH", help="branch to commit to (default: main)")
    add("--create-pr", action="store_true", help="propose the commit as a pull request")
    add("--tag", help="tag the commit")
    add("--public", action="store_true", help="open the repository once the checks have passed; ImageNet's stay gated")
    add("--remove-local", action="store_true", help="remove each shard from this disk when it was sent")
    add("--allow-sample", action="store_true", help="let --sample be pushed, as ORG/DATASET_sample")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 a problem, 2 wrong use or missing files, 130/143 stopped."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.list and not options.config:
        parser.error("name what to build with --config (all, a dataset or dataset/config), or see --list")
    return exits.exit_code(lambda: _list() if options.list else _publish(options), options.out, exits.KEPT)


def _list() -> int:
    rows = []
    for name in loaders.names():
        for config in loaders.load(name).DATASET.configs:
            splits = ", ".join(f"{split.name} {split.rows:,}{_if_there(split)}" for split in config.splits)
            rows.append((f"{name}/{config.name}", splits))
    print(table(("config", "splits"), rows))
    for name in loaders.names():
        if others := loaders.load(name).DATASET.others:
            print(f"\nAlso of {name}, built when named: {others}.")
    return 0


def _if_there(split: loaders.Split) -> str:
    return " (if its archive is there)" if split.optional else ""


def _publish(options: argparse.Namespace) -> int:
    from publish.build import plan
    from publish.build.run import Options, run

    use.check(options)
    wanted = loaders.select(options.config)
    lists = use.named(options.names, wanted)
    print("".join(f"{line}\n" for line in use.balance(lists)), end="", file=sys.stderr)
    started = time.perf_counter()
    with ExitStack() as stack:
        source = _source(options, stack)
        there = plan.look(wanted, source, lists) if options.dry_run else {}
        if any(found.missing for found in there.values()):
            return _tell_missing(there, source)
        plan.check_by_hand(wanted, source, lists)
        if options.dry_run:
            return _tell_plan(plan.make(wanted, source, options.allow_partial, lists))
        crew = stack.enter_context(crew_of(options))  # a cluster that is not there costs no download
        hub = _hub(options, wanted)
        destination = hub or _here(options, wanted)
        made = plan.make(wanted, source, options.allow_partial, lists)
        print("".join(f"{note}\n" for note in made.notes), end="", file=sys.stderr)
        for config, problem in made.left_out.items():
            print(f"{config} is left out: {problem}", file=sys.stderr)
        full = options.verify == "full"
        settings = Options(options.out, crew, options.allow_partial, full, options.allow_damaged)
        built = run(made, settings, destination)
    _summary(built, time.perf_counter() - started, options.push_to or f"{options.out}/")
    if hub:
        _tell_outcomes(hub)
    if made.left_out:
        print(f"not built, for want of a download: {', '.join(made.left_out)}", file=sys.stderr)
    return 2 if made.left_out else 0


def _hub(options: argparse.Namespace, wanted: Mapping[str, list[str]]) -> "Hub | None":
    """Return the Hub as a destination, write access proven, when it is asked for."""
    if not options.push_to:
        return None
    from publish.hub.push import Hub, Settings

    settings = Settings(
        organisation=options.push_to,
        revision=options.revision,
        create_pr=options.create_pr,
        tag=options.tag,
        public=options.public,
        overwrite_card=options.overwrite_card,
        remove_local=options.remove_local,
        workers=options.workers,
        away=options.scheduler is not None,
        suffix="_sample" if options.sample else "",
    )
    hub = Hub(settings, options.out)
    hub.prepare(list(wanted))
    return hub


def _here(options: argparse.Namespace, wanted: Mapping[str, list[str]]) -> "Destination":
    """Return the folder or the store that repositories go to."""
    from publish.repository.folder import Folder
    from publish.repository.store import Store

    kind = Folder if is_local(options.out) else Store
    here = kind(options.out, options.overwrite_card)
    here.prepare(wanted)
    return here


def _tell_outcomes(hub: "Hub") -> None:
    for dataset, outcome in hub.outcomes.items():
        state = f"commit {outcome.commit[:8]}" if outcome.is_new else "nothing to change"
        checked = "verified" if outcome.was_read_back else "digests as the Hub lists them"
        print(f"{dataset}: {state}, {checked}: {outcome.url}")


def _source(options: argparse.Namespace, stack: ExitStack) -> Path:
    from loaders.sources.folder import default_folder

    if not options.sample:
        folder = options.source or default_folder()
        if options.source and not folder.is_dir():
            raise Problem(f"{folder}: expected a folder of upstream's archives (--source), found none.")
        return folder.absolute() if is_local(folder) else folder
    from publish.sample import archives

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imagenet-variants-")))
    print("drawing the sample's archives", file=sys.stderr)
    archives.write(folder)
    return folder


def _tell_missing(there: Mapping[str, "Found"], folder: Path) -> int:
    from loaders.sources import nearby
    from loaders.sources.listing import Listing

    rows = [
        (name, f"{split.name}{_if_there(split)}", *_size(split), _form(found.archives, split))
        for name, found in there.items()
        for split in loaders.load(name.partition("/")[0]).config(name.partition("/")[2]).splits
    ]
    print(table(("config", "split", "rows", "shards", "form"), rows))
    missing = {source: [c for c in there if source in there[c].missing] for f in there.values() for source in f.missing}
    print(f"\n{folder}/ holds:")
    print("\n".join(f"  {line}" for line in nearby.lines(Listing(folder), [s.name for s in missing]) or ["nothing"]))
    print("\nmissing:")
    lines = [
        (
            source.name,
            megabytes(source.bytes) if source.bytes else "",
            "downloaded" if source.url else "by hand",
            ", ".join(configs),
        )
        for source, configs in missing.items()
    ]
    print(table(("file", "size", "comes", "for"), lines))
    return 2 if any(source.url is None for source in missing) else 0


def _size(split: loaders.Split) -> tuple[str, str]:
    return ("as listed", "") if split.listed else (f"{split.rows:,}", str(split.shards))


def _form(archives: Mapping[str, Sequence[loaders.Archive]], split: loaders.Split) -> str:
    from publish.build import plan

    return plan.told(archives[split.name]) if split.name in archives else "" if split.optional else "missing"


def _tell_plan(made: "Plan") -> int:
    from publish.build import aside, plan

    rows = [
        (
            f"{s.dataset}/{config}",
            s.plan.split.name,
            f"{s.plan.rows:,}",
            str(len(s.plan.jobs)),
            megabytes(s.plan.bytes),
            plan.told(s.plan.archives),
        )
        for s in made.splits
        for config in s.configs
    ]
    print(table(("config", "split", "rows", "shards", "about", "form"), rows))
    notes = [*made.notes, *filter(None, map(aside.told, made.splits))]
    print("".join(f"\n{note}\n" for note in notes), end="")
    return 0


def _summary(built: Sequence["Built"], seconds: float, where: str) -> None:
    rows = []
    for done in built:
        shards = done.entry.shards
        written = megabytes(sum(shard.bytes for shard in shards))
        spent = f"{done.seconds:.1f} s" if done.seconds else "there already"
        cells = (done.build.plan.split.name, f"{done.entry.rows:,}", str(len(shards)), written, spent)
        rows += [(done.build.dataset, config, *cells) for config in done.build.configs]
    print(table(("dataset", "config", "split", "rows", "shards", "bytes", "work"), rows))
    damaged = {f"{done.build.dataset}: {name}": what for done in built for name, what in done.entry.damaged.items()}
    damage.tell(damaged, "damaged", "manifest.json")
    for done in built:
        for kind, count in done.entry.skipped.items():
            print(f"counted: {count:,} of {done.build.name}: {kind}", file=sys.stderr)
    images, size = sum(b.entry.rows for b in built), sum(s.bytes for b in built for s in b.entry.shards)
    now = sum(b.rows for b in built)
    speed = f"{now:,} built now, {now / seconds:,.0f} images/s" if now else "nothing left to build"
    print(f"\n{images:,} images, {megabytes(size)} in {where}, {seconds:.1f} s ({speed})")


def run() -> None:
    """Run the command and end the process with its exit code."""
    exits.leave(main)


if __name__ == "__main__":
    run()
