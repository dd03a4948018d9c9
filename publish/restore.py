"""`python -m publish.restore ORG/NAME TAG`: go back to a tag, in one commit."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from loaders import Problem
from publish import hub, manifest, verify
from publish.hub import Head, Repository


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m publish.restore", description=__doc__)
    parser.add_argument("repository", metavar="ORG/NAME")
    parser.add_argument("tag", help="the tag (or commit) to go back to")
    options = parser.parse_args(arguments)
    try:
        print(restore(Repository(options.repository), options.tag))
        return 0
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1


def restore(place: Repository, tag: str) -> str:
    """Make the files of the tag the head's, in one commit, and return what was done; raises Problem."""
    wanted, head = place.head(tag), place.head()
    if wanted is None or head is None:
        raise Problem(f"{place.name}: has no tag {tag}." if wanted is None else f"{place.name}: has no commit yet.")
    if manifest.NAME not in wanted.files:
        raise Problem(f"{place.name}: at {tag} there was nothing that this project published.")
    changed = len(_operations(place, wanted, head))
    if not changed:
        return f"{place.name}: is what {tag} is already"
    commit = hub.patiently(partial(_go_back, place, wanted, tag), f"{place.name}: committing")
    if faults := verify.remote(place, commit):
        raise Problem(f"{place.name}: went back to {tag}, which is not whole:\n" + "\n".join(faults))
    return f"{place.name}: is what {tag} was ({changed} files changed, commit {commit[:8]})"


def _go_back(place: Repository, wanted: Head, tag: str) -> str:
    """Commit what is left to do; nothing, when an earlier try landed although its answer was lost."""
    head = place.head()
    assert head
    operations = _operations(place, wanted, head)
    if not operations:
        return head.commit
    done = place.api.create_commit(
        place.name, operations, commit_message=f"Go back to {tag}", repo_type="dataset", parent_commit=head.commit
    )
    return str(done.oid)


def _operations(place: Repository, wanted: Head, head: Head) -> list[Any]:
    changed = [path for path, file in wanted.files.items() if head.files.get(path) != file]
    large = [path for path in changed if wanted.files[path].sha256]
    copies = [CommitOperationCopy(path, path, src_revision=wanted.commit) for path in large]
    small = [path for path in changed if not wanted.files[path].sha256]
    adds = [CommitOperationAdd(path, place.content(path, wanted.commit)) for path in small]
    return [*copies, *adds, *(CommitOperationDelete(path) for path in sorted(set(head.files) - set(wanted.files)))]


if __name__ == "__main__":
    sys.exit(main())
