"""`python -m publish.withdraw ORG/NAME`: make a repository private and remove its data, from its history too."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from loaders import Problem
from publish import manifest
from publish.console.exits import leave
from publish.console.progress import megabytes
from publish.hub import branch, client, exits
from publish.hub.client import Head, Repository
from publish.hub.commit import read_manifest

T = TypeVar("T")
_NOTE = (
    "---\nviewer: false\n---\n# Withdrawn\n\n"
    "The data of this repository were withdrawn by their publisher, from its history as well.\n"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, after the name of the repository was typed again, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m publish.withdraw", description=__doc__)
    parser.add_argument("repository", metavar="ORG/NAME")
    options = parser.parse_args(arguments)
    return exits.exit_code(lambda: _withdraw(options), options.repository)


def _withdraw(options: argparse.Namespace) -> int:
    print(
        f"This makes {options.repository} private and removes its data for good, from every revision. Readers lose it, "
        "and it can be published again only from the archives.\nType its name to go on: ",
        end="",
        flush=True,
    )
    if sys.stdin.readline().strip() != options.repository:
        print("\nThe name was not typed: nothing was changed.", file=sys.stderr)
        return 1
    print(withdraw(Repository(options.repository)))
    return 0


def withdraw(place: Repository) -> str:
    """Make the repository private, empty it of our files and its history of all large ones; raises Problem.

    Each step can be made twice: run again after a failure, it goes on where it was. What this project did not publish
    is refused before anything is changed: there is no way back.
    """
    head = place.head()
    if head is None:
        raise Problem(f"{place.name}: has no commit, so there is nothing to withdraw.")
    ours = _ours(place, head)
    if not ours and place.read("README.md", head) != _NOTE.encode():
        raise Problem(
            f"{place.name}: has no {manifest.NAME} on main: this project did not publish it there, and withdraws "
            "nothing else. Its page on the Hub (Settings) makes a repository private or deletes it."
        )
    do = partial(_do, place)
    do("making it private", partial(place.api.update_repo_settings, place.name, repo_type="dataset", private=True))
    branch.commit(place, partial(_remove, place), "Withdraw the data", moved=False)
    try:
        lost = _forget(place, head)
    except Problem as problem:
        raise Problem(
            f"{problem} Its files are gone from main, and it is private; but earlier revisions still hold them, with "
            f"all of their bytes{_still(head, ours)}. Run the same command again, or delete the repository on its "
            "page (Settings)."
        ) from problem
    return f"{place.name}: is private; {len(ours)} files were removed, and {lost} large ones from storage"


def _forget(place: Repository, head: Head) -> int:
    """Make one commit of the history, and delete the large files that it held; return how many."""
    do = partial(_do, place)
    do("removing its history", partial(place.api.super_squash_history, place.name, repo_type="dataset"))
    large = do("listing its data", partial(_large, place))
    kept = {file.sha256 for file in (place.head() or head).files.values()}
    lost = [file for file in large if file.file_oid not in kept]
    if lost:
        remove = partial(place.api.permanently_delete_lfs_files, place.name, lost, repo_type="dataset")
        do("removing its data", remove)
    return len(lost)


def _still(head: Head, ours: list[str]) -> str:
    sizes = [head.files[path].size for path in ours if head.files[path].sha256]
    return f": {len(sizes)} large files, {megabytes(sum(sizes))}, of the last one alone" if sizes else ""


def _ours(place: Repository, head: Head) -> list[str]:
    old = read_manifest(place, head)
    return sorted((old.paths() | {manifest.NAME}) & set(head.files)) if old else []


def _remove(place: Repository, head: Head | None) -> list[Any]:
    """Return what removes our files that are still there."""
    gone = _ours(place, head) if head else []
    note = [CommitOperationAdd("README.md", _NOTE.encode())] if gone else []
    return [*(CommitOperationDelete(path) for path in gone), *note]


def _large(place: Repository) -> list[Any]:
    return list(place.api.list_lfs_files(place.name, repo_type="dataset"))


def _do(place: Repository, what: str, call: "partial[T]") -> T:
    return client.patiently(call, f"{place.name}: {what}")


if __name__ == "__main__":
    leave(main)
