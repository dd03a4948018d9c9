"""`python -m publish.check DIR_OR_ORG/NAME [--data]`: hold a repository against its manifest."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from loaders import Problem


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
    try:
        return _check(options)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"error: {_spell(error, options.repository)}", file=sys.stderr)
    return 1


def _spell(error: OSError, repository: str) -> str:
    from publish.hub import as_problem, status_of

    return str(as_problem(error, repository)) if status_of(error) else f"{repository}: {error.strerror or error}"


def _check(options: argparse.Namespace) -> int:
    from publish import verify, viewable
    from publish.hub import Repository

    contents: verify.Contents
    commit, folder = None, Path(options.repository)
    if options.viewer is not None and (folder.is_dir() or options.revision != "main"):
        raise Problem("--viewer: the viewer shows the main branch of a repository on the Hub, and nothing else.")
    if folder.is_dir():
        contents = verify.FolderContents(folder)
    else:
        if options.repository.count("/") != 1 or Repository(options.repository).settings() is None:
            raise Problem(f"{options.repository}: expected a folder, or ORG/NAME on the Hub; it is neither.")
        contents = verify.on_hub(options.repository, options.revision)
        commit = contents.commit
    manifest = verify.read_manifest(contents)
    shown = viewable.report(contents, manifest)
    print(shown.text)
    faults = verify.files(contents, manifest) + verify.footers(contents, manifest) + shown.faults
    faults = faults or verify.resolves(options.repository, manifest, commit)
    if options.data and not faults:
        faults = list(verify.data(contents, manifest))
    for fault in faults:
        print(f"wrong: {fault}")
    rows = sum(shard.rows for shard in verify.shards(manifest))
    checked = "files, digests, rows, columns, card, viewer" + (", every image" if options.data else "")
    print(f"{contents.name}: {len(manifest.paths())} files, {rows:,} rows; checked {checked}: {_verdict(len(faults))}")
    if options.viewer is not None and commit and not faults:
        return _await_viewer(options, commit, {name: list(splits) for name, splits in manifest.configs.items()})
    return 1 if faults else 0


def _await_viewer(options: argparse.Namespace, commit: str, splits: dict[str, list[str]]) -> int:
    from publish import viewer

    lacking = viewer.wait(options.repository, commit, splits, options.viewer)
    for split, lack in lacking.items():
        print(f"viewer: {split}: {lack}")
    print(f"{options.repository}: the viewer shows {'not yet ' if lacking else ''}every split")
    return 3 if lacking else 0


def _verdict(count: int) -> str:
    return f"{count} fault{'s' if count > 1 else ''}" if count else "all right"


if __name__ == "__main__":
    sys.exit(main())
