"""What a publish changes of a repository: what is missing at its head."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from loaders import Problem
from publish import manifest
from publish.build.entry import Ready
from publish.card import merge, render
from publish.hub import access, branch
from publish.hub.branch import Outcome, holds, sha_of
from publish.hub.client import Head, RemoteFile, Repository
from publish.manifest import Manifest
from publish.repository import compose

MOST_FILES = 400  # ours are near 150; above this, something is wrong with the plan


def read_manifest(place: Repository, head: Head | None) -> Manifest | None:
    """Return the manifest at the head, or None when there is none."""
    content = place.read(manifest.NAME, head) if head else None
    return manifest.load(content, f"{place.name}/{manifest.NAME}") if content else None


def brought_back(place: Repository, paths: Iterable[str], then: Head) -> list[Any]:
    """Return the operations that make files what they were at an earlier commit; large ones are not sent again."""
    large = [path for path in paths if then.files[path].sha256]
    small = [path for path in paths if not then.files[path].sha256]
    copies = [CommitOperationCopy(path, path, src_revision=then.commit) for path in large]
    return [*copies, *(CommitOperationAdd(path, place.content(path, then.commit)) for path in small)]


class Commit:
    """A publish as one commit.

    `base` is the head that files were found on which need not be sent: what another publisher has replaced of them
    since is brought back from there.
    """

    def __init__(
        self,
        place: Repository,
        dataset: str,
        splits: Sequence[Ready],
        create_pr: bool = False,
        overwrite: bool = False,
        tag: str | None = None,
        base: Head | None = None,
    ) -> None:
        self._place, self._dataset, self._splits, self._base = place, dataset, splits, base
        self._create_pr, self._overwrite, self._tag = create_pr, overwrite, tag
        self._uploads = {path: upload for split in splits for path, upload in split.uploads.items()}

    def run(self) -> Outcome:
        """Return once the branch holds what was sent; raises Problem when it cannot be brought to."""
        configs = {config for split in self._splits for config in split.build.configs}
        message = f"Publish {', '.join(sorted(configs))}"
        return branch.commit(self._place, self._operations, message, self._create_pr, self._free_tag, self._base)

    def _free_tag(self) -> None:
        """Raise Problem for a tag that is taken, before the branch moves."""
        if self._tag:
            access.is_tagged(self._place, self._tag, None)

    def _operations(self, head: Head | None) -> list[Any]:
        files = head.files if head else {}
        old = read_manifest(self._place, head)
        texts = compose.small_files(self._dataset, self._splits)
        now = compose.merged(self._dataset, old, self._splits, texts)
        theirs = (self._place.read("README.md", head) if head else None) or b""
        ours, where = render.render(now, self._place.name), f"{self._place.name}/README.md"
        readme = merge.merged(ours, now, theirs, old, where, self._overwrite)
        texts |= {manifest.NAME: now.dump().encode(), "README.md": readme}
        known = {path for path, content in texts.items() if holds(files.get(path), content)}
        lost = self._lost(files, set(texts))
        _check_plan(self._place.name, now, old, files, (set(self._uploads) | set(texts) | set(lost)) - known)
        gone = sorted(((old.paths() if old else set()) - now.paths()) & set(files))
        adds = [_fresh(upload) for path, upload in self._uploads.items() if _sha256(files.get(path)) != sha_of(upload)]
        adds += [
            CommitOperationAdd(path, content) for path, content in texts.items() if not holds(files.get(path), content)
        ]
        back = brought_back(self._place, lost, self._base) if self._base else []
        return [*adds, *back, *(CommitOperationDelete(path) for path in gone)]

    def _lost(self, files: Mapping[str, RemoteFile], texts: set[str]) -> list[str]:
        """Return what is neither sent nor written, and is not at the head any more as it was at the base."""
        before = self._base.files if self._base else {}
        entries = [split.entry for split in self._splits]
        ours = {path for entry in entries for path in (*(shard.path for shard in entry.shards), *entry.pictures)}
        left = (ours - set(self._uploads) - texts) & set(before)
        return sorted(path for path in left if files.get(path) != before[path])


def _fresh(upload: CommitOperationAdd) -> CommitOperationAdd:
    # The client remembers the file that was at the path when it was sent, and leaves an unchanged one out of a commit.
    # That memory may be of an older head than the one the commit is made on.
    upload._remote_oid = None
    return upload


def _sha256(file: RemoteFile | None) -> str | None:
    return file.sha256 if file else None


def _check_plan(name: str, now: Manifest, old: Manifest | None, files: Mapping[str, RemoteFile], new: set[str]) -> None:
    """Raise Problem for what would break the repository or touch a person's file."""
    module = f"{name.rpartition('/')[2]}.py"
    if module in files:
        raise Problem(f"{name}: holds {module}, and `datasets` refuses to load a repository with it. Delete it first.")
    if len(now.paths()) > MOST_FILES:
        raise Problem(f"{name}: {len(now.paths())} files are more than a viewer takes well; at most {MOST_FILES}.")
    ours = old.paths() if old else set[str]()
    for path, sha256 in now.digests().items():
        if path in new and path in files and path not in ours and files[path].sha256 != sha256:
            raise Problem(f"{name}: holds another file at {path}, which this project did not put there. Move it away.")
        if path not in new and (path not in files or files[path].sha256 not in (None, sha256)):
            config = path.partition("/")[0]
            raise Problem(f"{name}: {path} is missing or damaged there: add --config {now.dataset}/{config}.")
