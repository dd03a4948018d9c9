"""`python -m publish.check DIR_OR_ORG/NAME [--data]`: hold a repository against its manifest."""

import argparse
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from loaders import Problem
from loaders.files.places import local
from publish.console.exits import leave
from publish.hub import exits

if TYPE_CHECKING:
    from publish.manifest import Manifest
    from publish.repository.contents import Contents


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong and return 1, or what was found right and return 0; 3 when only the viewer is not there."""
    parser = argparse.ArgumentParser(prog="python -m publish.check", description=__doc__)
    parser.add_argument("repository", help="a folder such as hub/imagenet_resized, or ORG/NAME on the Hub")
    parser.add_argument("--data", action="store_true", help="decode every image as well")
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the Hub (default: main)")
    parser.add_argument(
        "--viewer", type=float, metavar="MINUTES", help="wait for the dataset viewer as well; exit code 3 if in vain"
    )
    options = parser.parse_args(arguments)
    return exits.exit_code(lambda: _check(options), options.repository)


def _check(options: argparse.Namespace) -> int:
    from publish.repository import verify

    contents = _open(options)
    manifest = verify.read_manifest(contents)
    faults = _faults(options, contents, manifest)
    for fault in faults:
        print(f"wrong: {fault}")
    rows = sum(shard.rows for shard in verify.shards(manifest))
    checked = "files, digests, rows, columns, card, viewer" + (", every image" if options.data else "")
    print(f"{contents.name}: {len(manifest.paths())} files, {rows:,} rows; checked {checked}: {_verdict(len(faults))}")
    if options.viewer is not None and contents.commit and not faults:
        return _await_viewer(options, contents.commit, manifest)
    return 1 if faults else 0


def _open(options: argparse.Namespace) -> "Contents":
    """Return the files of the repository."""
    from publish.hub.client import Repository
    from publish.hub.contents import on_hub
    from publish.repository.contents import FolderContents

    name, folder = options.repository, local(options.repository)
    if options.viewer is not None and (folder.is_dir() or options.revision != "main"):
        raise Problem("--viewer: the viewer shows the main branch of a repository on the Hub, and nothing else.")
    if folder.is_dir():
        return FolderContents(folder)
    if folder.parent.is_dir() and folder.parent.name:  # a misspelt folder, most likely
        print(f"{name}: there is no such folder in {folder.parent}/, so the Hub is asked for it", file=sys.stderr)
    if name.count("/") != 1 or Repository(name).settings() is None:
        raise Problem(f"{name}: expected a folder, or ORG/NAME on the Hub; it is neither.")
    return on_hub(name, options.revision)


def _faults(options: argparse.Namespace, contents: "Contents", manifest: "Manifest") -> Collection[str]:
    """Say what the viewer will show, and return what is wrong, each once."""
    from publish.repository import shown, verify

    faults = shown.faults(contents)
    print(shown.told(manifest))
    faults = verify.files(contents, manifest) + verify.footers(contents, manifest) + faults
    faults = faults or verify.resolves(contents, manifest)
    if options.data and not faults:
        faults = list(verify.data(contents, manifest))
    return dict.fromkeys(faults)


def _await_viewer(options: argparse.Namespace, commit: str, manifest: "Manifest") -> int:
    from publish.hub import viewer

    splits = {name: list(each) for name, each in manifest.configs.items()}
    lacking = viewer.wait(options.repository, commit, splits, options.viewer)
    for split, lack in lacking.items():
        print(f"viewer: {split}: {lack}")
    print(f"{options.repository}: the viewer shows {'not yet ' if lacking else ''}every split")
    return 3 if lacking else 0


def _verdict(count: int) -> str:
    return f"{count} fault{'s' if count > 1 else ''}" if count else "all right"


if __name__ == "__main__":
    leave(main)
