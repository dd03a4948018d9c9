"""What of `python -m publish`'s options goes together: held before anything is done."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import loaders
from loaders import Problem
from loaders.files.places import is_local
from loaders.ilsvrc import lists


def check(options: argparse.Namespace) -> None:
    """Raise Problem for options that contradict each other, or mean nothing."""
    for path in options.names:
        lists.name_of(path)  # raises for a name that no config may have
    if options.sample and options.source:
        raise Problem("--sample draws its own archives: leave --source out, or leave --sample out.")
    if options.sample and options.push_to and not options.allow_sample:
        raise Problem(
            "--sample is not the dataset: push it with --allow-sample, and its name and card will say sample."
        )
    if options.push_to and not is_local(options.out):
        raise Problem(f"{options.out}: with --push-to, shards only pass by on the way to the Hub: --out is a folder.")
    if options.create_pr and options.revision != "main":
        raise Problem("--create-pr proposes a change to main: leave --revision out.")
    if options.create_pr and options.public:
        raise Problem("--create-pr only proposes: leave --public out, and open the repository when it was merged.")
    if options.public and options.revision != "main":
        raise Problem("--public opens every branch, and reads back but one: leave --revision out, or --public.")
    if not options.push_to and (idle := _idle(options)):
        raise Problem(f"{', '.join(idle)}: nothing is published without --push-to ORG. Add it, or leave the rest out.")


def _idle(options: argparse.Namespace) -> list[str]:
    """Return the options that mean nothing to a build that stays here."""
    flags = ("create_pr", "tag", "public", "remove_local", "allow_sample")
    given = ["revision"] * (options.revision != "main") + [flag for flag in flags if getattr(options, flag)]
    return [f"--{flag.replace('_', '-')}" for flag in given]


def named(files: Sequence[Path], wanted: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Return people's own lists by name; raises Problem for a name that none may have, or that is not asked for."""
    found: dict[str, Path] = {}
    for path in files:
        name = lists.name_of(path)
        if found.setdefault(name, path) != path:
            raise Problem(f"--names: {found[name]} and {path} would both make the config {name}. Name one otherwise.")
        if not any(_takes(dataset, name) for dataset, configs in wanted.items() if name in configs):
            _check_made(path, f"-{name}", wanted)
            takers = [dataset for dataset in loaders.names() if _takes(dataset, name)]
            asked = " or ".join(f"--config {dataset}/{name}" for dataset in takers)
            raise Problem(f"--names {path}: makes the config {name}, which is not asked for. Add {asked}.")
    return found


def _check_made(path: Path, end: str, wanted: Mapping[str, Sequence[str]]) -> None:
    made = [f"{dataset}/{config}" for dataset, configs in wanted.items() for config in configs if config.endswith(end)]
    if made:
        raise Problem(
            f"--names {path}: the archives of {made[0]} were made by their list, and have it. Leave --names out."
        )


def _takes(dataset: str, name: str) -> bool:
    try:
        return loaders.load(dataset).config(name).is_listed
    except KeyError:
        return False


def balance(files: Mapping[str, Path]) -> list[str]:
    """Return a line about each list: how many photographs it names, of how many classes. Raises Problem."""
    return [f"{path}: {lists.balance(lists.read(path))}" for path in files.values()]
