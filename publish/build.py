"""A plan carried out: archives verified, shards built or taken up again, repositories put in place."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from loaders import Problem
from loaders._source import remember_sha256, remembered_sha256, sha256_of
from publish import manifest as manifests
from publish import repository, runner, staging
from publish.digests import Digests
from publish.manifest import Manifest, ShardEntry, SplitEntry
from publish.plan import Plan, SplitBuild
from publish.progress import Progress, megabytes
from publish.repository import Ready
from publish.runner import Task
from publish.shard import Receipt

_ROOM = 1.1  # of the estimated size: a full disk is noticed before the work, not after it


@dataclass(frozen=True)
class Options:
    """How to build: where to, on how many processes, and whether archives may differ from the published ones."""

    out: Path
    workers: int
    partial: bool = False
    verify_full: bool = False


@dataclass(frozen=True)
class Built:
    """A split that is in place, and the seconds of work that went into it in this run."""

    build: SplitBuild
    entry: SplitEntry
    seconds: float


class _Split:
    """A split on its way: where its shards are to be had, and the receipts of those that were built."""

    def __init__(self, build: SplitBuild, options: Options, old: SplitEntry | None) -> None:
        self.build, self.old = build, old
        self.final = options.out / build.dataset
        self.key = build.local_key()
        self.stage = options.out / staging.FOLDER / build.dataset / self.key
        self.receipts: dict[str, Receipt] = {}
        self.kept = {shard.path for shard in old.shards if is_whole(self.final, shard)} if old else set[str]()
        self.seconds = 0.0

    def tasks(self) -> list[Task]:
        """Return what is left to build, after taking up what an earlier run finished."""
        jobs = zip(self.build.paths, self.build.plan.jobs, strict=True)
        wanted = [(path, job) for path, job in jobs if path not in self.kept and path not in self.receipts]
        found = {path: staging.finished(self._staged(path)) for path, _ in wanted}
        self.receipts |= {path: receipt for path, receipt in found.items() if receipt}
        return [Task(job, self._staged(path)) for path, job in wanted if path not in self.receipts]

    def take(self, task: Task, receipt: Receipt) -> None:
        """Keep the receipt of a task that is done."""
        self.receipts[f"{self.build.folder}/{task.path.name}"] = receipt
        self.seconds += receipt.seconds

    def must_start_over(self) -> bool:
        """Say whether a shard that was mended came out with other bytes than the manifest has for it.

        The same archives give the same bytes, but not always under another release of a library. Then all shards are
        built anew, so that one release made them all.
        """
        known = {shard.path: shard.sha256 for shard in self.old.shards} if self.old else {}
        if all(known.get(path, receipt.sha256) == receipt.sha256 for path, receipt in self.receipts.items()):
            return False
        self.kept, self.old = set(), None
        return True

    def ready(self, digests: Digests) -> Ready:
        """Return its entry in the manifest and where its files are; waits until its archives are verified."""
        links = {path: self.final / path if path in self.kept else self._staged(path) for path in self.build.paths}
        if self.old:
            return Ready(self.build, self.old, links | {path: self.final / path for path in self.old.pictures}, {})
        found = digests.wait(self.build.plan.archives)
        return repository.ready(self.build, [self.receipts[path] for path in self.build.paths], found, links)

    def _staged(self, path: str) -> Path:
        return self.stage / Path(path).name


def is_whole(folder: Path, shard: ShardEntry) -> bool:
    """Say whether a shard in a folder has the bytes of the manifest; what was hashed once is not hashed again."""
    path = folder / shard.path
    if not path.is_file() or path.stat().st_size != shard.bytes:
        return False
    sha256 = remembered_sha256(path)
    if sha256 is None:
        sha256 = sha256_of(path)
        remember_sha256(path, sha256)
    return sha256 == shard.sha256


def run(plan: Plan, options: Options) -> list[Built]:
    """Build every split of the plan and put each repository in place as soon as all of it is there.

    Raises Problem and OSError; a repository is the old one or the new one then.
    """
    progress = Progress(sum(build.plan.rows for build in plan.splits))
    try:
        with _locked(options.out), Digests(plan.archives(), options.partial, options.verify_full) as digests:
            return _Run(plan, options, digests, progress).results()
    finally:
        progress.close()


class _Run:
    def __init__(self, plan: Plan, options: Options, digests: Digests, progress: Progress) -> None:
        self._options, self._digests, self._progress = options, digests, progress
        self._old = {name: self._read_old(name) for name in plan.wanted}
        self._splits = [_Split(build, options, self._reusable(build)) for build in plan.splits]
        self._built: list[Built] = []

    def results(self) -> list[Built]:
        for name in self._old:
            staging.clean(self._options.out / staging.FOLDER / name, [split.key for split in self._of(name)])
        todo = {split.key: split.tasks() for split in self._splits}
        self._check_room(todo)
        self._carry_out(todo)
        return self._built

    def _read_old(self, name: str) -> Manifest | None:
        final = self._options.out / name
        staging.restore(final)
        return manifests.read(final)

    def _reusable(self, build: SplitBuild) -> SplitEntry | None:
        """Return the entry of an earlier build of the very same content, if there is one."""
        old, split = self._old[build.dataset], build.plan.split.name
        entries = [old.configs[config][split] for config in old.configs if split in old.configs[config]] if old else []
        here = [entry for entry in entries if entry.shards[0].path.rpartition("/")[0] == build.folder]
        if not here or here[0].fingerprint != build.fingerprint(self._digests.wait(build.plan.archives)):
            return None
        final = self._options.out / build.dataset
        whole = all(
            (final / path).is_file() and sha256_of(final / path) == sha256 for path, sha256 in here[0].pictures.items()
        )
        return here[0] if whole else None

    def _of(self, dataset: str) -> list[_Split]:
        return [split for split in self._splits if split.build.dataset == dataset]

    def _check_room(self, todo: dict[str, list[Task]]) -> None:
        plans = [(split.build.plan, len(todo[split.key])) for split in self._splits]
        need = sum(_ROOM * plan.bytes * tasks / len(plan.jobs) for plan, tasks in plans)
        free = shutil.disk_usage(self._options.out).free
        if need > free:
            raise Problem(
                f"{self._options.out}: about {megabytes(need)} are needed there, {megabytes(free)} are free. "
                "Make room, or choose another --out."
            )

    def _carry_out(self, todo: dict[str, list[Task]]) -> None:
        """Do the tasks, and put each repository in place with its last one."""
        owner = {task.path: split for split in self._splits for task in todo[split.key]}
        left = Counter(split.build.dataset for split in owner.values())
        for name in self._old:
            if not left[name]:
                self._finish(name)
        with ThreadPoolExecutor(1) as flusher:  # bytes go to the disk while the next shards are built
            for task, receipt in runner.run(list(todo.values()), self._options.workers, staging.build):
                flusher.submit(staging.flush, task.path)
                split = owner[task.path]
                split.take(task, receipt)
                self._progress.add(receipt.rows, receipt.bytes)
                self._digests.raise_found()
                left[split.build.dataset] -= 1
                if not left[split.build.dataset]:
                    self._finish(split.build.dataset)

    def _finish(self, name: str) -> None:
        splits = self._of(name)
        started_over = [split for split in splits if split.must_start_over()]
        for split in started_over:
            for task, receipt in runner.run([split.tasks()], self._options.workers, staging.build):
                split.take(task, receipt)
        ready = [split.ready(self._digests) for split in splits]
        stage = self._options.out / staging.FOLDER / name
        repository.put_in_place(self._options.out / name, stage / "new", name, self._old[name], ready)
        shutil.rmtree(stage, ignore_errors=True)
        for split, is_ready in zip(splits, ready, strict=True):
            self._built.append(Built(split.build, is_ready.entry, split.seconds))
            self._progress.say(
                f"{split.build.name}: {is_ready.entry.rows:,} rows in {len(is_ready.entry.shards)} shards"
            )


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    note = out / staging.FOLDER / "pid"
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(note.with_name("lock"), timeout=0):
            note.write_text(str(os.getpid()))
            yield
    except filelock.Timeout:
        raise Problem(
            f"{out}: another build (process {note.read_text()}) is writing there. Wait for it, or choose another --out."
        ) from None
