"""`python -m publish.restore ORG/NAME TAG`: go back to a tag, in one commit. People's files and edits of now stay."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from loaders import Problem
from publish import manifest
from publish.card import merge
from publish.card.segments import decoded
from publish.console.exits import leave
from publish.hub import branch, exits, readback
from publish.hub.client import Head, Repository
from publish.hub.commit import brought_back, read_manifest
from publish.manifest import Manifest

_CARD = "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m publish.restore", description=__doc__)
    parser.add_argument("repository", metavar="ORG/NAME")
    parser.add_argument("tag", help="the tag (or commit) to go back to")
    parser.add_argument("--overwrite-card", action="store_true", help="give up people's edits of computed parts")
    options = parser.parse_args(arguments)
    return exits.exit_code(lambda: _restore(options), options.repository)


def _restore(options: argparse.Namespace) -> int:
    print(restore(Repository(options.repository), options.tag, options.overwrite_card))
    return 0


def restore(place: Repository, tag: str, overwrite: bool = False) -> str:
    """Make our files of the tag the head's, in one commit, and return what was done; raises Problem.

    People's files stay as they are now, and so does what they wrote in the card: computed parts alone go back, unless a
    person edited one of them and `overwrite` is not set.
    """
    wanted, head = place.head(tag), place.head()
    if wanted is None or head is None:
        raise Problem(f"{place.name}: has no tag {tag}." if wanted is None else f"{place.name}: has no commit yet.")
    if manifest.NAME not in wanted.files:
        raise Problem(f"{place.name}: at {tag} there was nothing that this project published.")
    todo = partial(_operations, place, wanted, overwrite)
    changed = len(todo(head))
    if not changed:
        return f"{place.name}: is what {tag} is already"
    commit = branch.commit(place, todo, f"Go back to {tag}", moved=False).commit
    if faults := readback.remote(place, commit):
        raise Problem(f"{place.name}: went back to {tag}, which is not whole:\n" + "\n".join(faults))
    return f"{place.name}: is what {tag} was ({changed} files changed, commit {commit[:8]})"


def _operations(place: Repository, wanted: Head, overwrite: bool, head: Head | None) -> list[Any]:
    """Return what makes the files of either manifest those of the wanted one's, and the card; no others."""
    assert head
    old, then = read_manifest(place, head), read_manifest(place, wanted)
    ours, back = _paths(old), _paths(then)
    changed = sorted(path for path in back & set(wanted.files) if head.files.get(path) != wanted.files[path])
    for path in changed:
        if path in head.files and path not in ours:
            raise Problem(
                f"{place.name}: holds another file at {path}, which this project did not put there. Move it away."
            )
    gone = [CommitOperationDelete(path) for path in sorted((ours - back) & set(head.files))]
    return [*brought_back(place, changed, wanted), *_card(place, wanted, head, (then, old), overwrite), *gone]


def _paths(found: Manifest | None) -> set[str]:
    return {manifest.NAME} | (found.paths() if found else set())


def _card(
    place: Repository, wanted: Head, head: Head, manifests: tuple[Manifest | None, Manifest | None], overwrite: bool
) -> list[CommitOperationAdd]:
    ours, theirs, where = place.read(_CARD, wanted), place.read(_CARD, head), f"{place.name}/{_CARD}"
    then, old = manifests
    if ours is None or then is None or ours == theirs:
        return []
    new = merge.merged(decoded(ours, f"{where} as it was"), then, theirs or b"", old, where, overwrite)
    return [CommitOperationAdd(_CARD, new)] if new != theirs else []


if __name__ == "__main__":
    leave(main)
