"""A plan carried out: archives verified, shards built or taken up again, repositories put in place."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loaders import Job, Problem
from loaders.files.places import is_local
from loaders.files.seen import check
from publish.build import reuse, staging
from publish.build.aside import Aside, aside
from publish.build.destination import Destination
from publish.build.digests import Digests
from publish.build.entry import Ready, entered
from publish.build.plan import Plan, SplitBuild
from publish.build.staging import Done
from publish.console import damage
from publish.console.progress import Progress
from publish.console.room import check_room
from publish.manifest import Manifest, SplitEntry
from publish.results import remove_tree
from publish.work.lock import clean, locked
from publish.work.shared import sees, takes
from publish.work.tasks import Crew, Finished, Task

_ROOM = 1.1  # of the estimated size: a full disk is noticed before the work, not after it


@dataclass(frozen=True)
class Options:
    """How to build: `out` for shards in the making, on whose hands; `partial` admits archives of other content.

    `allow_damaged` admits photographs that libjpeg warns about, however many.
    """

    out: Path
    crew: Crew
    partial: bool = False
    verify_full: bool = False
    allow_damaged: bool = False


@dataclass(frozen=True)
class Built:
    """A split that is in place, and the rows that were built and the seconds of work that it took in this run."""

    build: SplitBuild
    entry: SplitEntry
    rows: int
    seconds: float


class _Split:
    """A split on its way: the entry of an earlier build of it, and what came of the tasks for the rest."""

    def __init__(self, build: SplitBuild, stage: Path, destination: Destination, old: SplitEntry | None) -> None:
        self.build, self.key, self.old = build, build.local_key(), old
        self._stage, self._destination = stage / self.key, destination
        known = {shard.path: shard.sha256 for shard in old.shards} if old else {}
        self._kept = {path for path, sha256 in known.items() if destination.has(build.dataset, path, sha256)}
        self._done: dict[str, Done] = {}
        admitted = build.plan.damaged  # whoever made archives of them had leave
        self._damaged = {name: what for name, what in old.damaged.items() if name not in admitted} if old else {}
        self.rows, self.seconds = 0, 0.0

    def tasks(self, placed: Mapping[str, Job]) -> list[Task[Done]]:
        """Return what is left to do; of photographs that were put aside, with the job that reads them there."""
        return [self._task(path, placed.get(path, job)) for path, job in self._left().items()]

    def aside(self) -> Aside | None:
        """Return the photographs that are better put aside before what is left to do."""
        jobs = {path: job for path, job in self._left().items() if not self._copy(path)[1]}
        return aside(self.build.name, self._stage / "aside", jobs)

    def _left(self) -> dict[str, Job]:
        jobs = zip(self.build.paths, self.build.plan.jobs, strict=True)
        return {path: job for path, job in jobs if path not in self._kept and path not in self._done}

    def _copy(self, path: str) -> tuple[str, Path | None]:
        """Return the digest that an earlier build has of a shard, if any, and a copy that need only be sent."""
        known = next((shard.sha256 for shard in self.old.shards if shard.path == path), "") if self.old else ""
        return known, self._destination.copy(self.build.dataset, path, known) if known else None

    def _task(self, path: str, job: Job) -> Task[Done]:
        dataset, (known, copy) = self.build.dataset, self._copy(path)
        if copy:
            return Task(f"{dataset}/{path}", self._destination.send(dataset, path, known, copy))
        work = self._destination.work(dataset, path, job, self.staged(path))
        return Task(f"{dataset}/{path}", work, job.continues)

    def take(self, finished: Finished[Done]) -> None:
        """Keep what came of a task."""
        task, done, _ = finished
        self._done[task.name.removeprefix(f"{self.build.dataset}/")] = done
        self.seconds += done.seconds
        if done.receipt:
            self._damaged |= done.receipt.statistics.damaged
            self.rows += done.receipt.rows if done.seconds else 0

    def check_damage(self, allowed: bool) -> None:
        """Raise Problem for more damaged photographs among those known by now than are taken without leave."""
        damage.check(self.build.name, self._damaged, self.build.plan.rows, allowed)

    def must_start_over(self) -> bool:
        """Say whether a shard that was mended came out with other bytes than the manifest has for it.

        The same archives give the same bytes, but not always under another release of a library. Then all shards are
        built anew, so that one release made them all.
        """
        known = {shard.path: shard.sha256 for shard in self.old.shards} if self.old else {}
        built = {path: done.receipt.sha256 for path, done in self._done.items() if done.receipt}
        if all(known.get(path, sha256) == sha256 for path, sha256 in built.items()):
            return False
        self._kept, self.old = set(), None
        self._done = {path: done for path, done in self._done.items() if done.built}
        return True

    def ready(self, digests: Digests) -> Ready:
        """Return its entry in the manifest and its new files; waits until its archives are verified."""
        files = {path: self.staged(path) for path, done in self._done.items() if done.built}
        uploads = {path: done.upload for path, done in self._done.items() if done.upload}
        if self.old:
            return Ready(self.build, self.old, files, uploads, self._pictures(self.old))
        receipts = [receipt for path in self.build.paths if (receipt := self._done[path].receipt)]
        return entered(self.build, receipts, digests.wait(self.build.plan.archives), files, uploads)

    def staged(self, path: str) -> Path:
        """Return where a shard lies until it is put in force."""
        return self._stage / Path(path).name

    def _pictures(self, old: SplitEntry) -> dict[str, bytes]:
        copies = {path: self._destination.copy(self.build.dataset, path, sha) for path, sha in old.pictures.items()}
        return {path: copy.read_bytes() for path, copy in copies.items() if copy}


def run(plan: Plan, options: Options, destination: Destination) -> list[Built]:
    """Build every split of the plan and put each repository in force as soon as all of it is there.

    Raises Problem and OSError; a repository is the old one or the new one then.
    """
    progress = Progress(sum(build.plan.rows for build in plan.splits))
    try:
        with locked(options.out), Digests(plan.archives(), options.partial, options.verify_full) as digests:
            read = plan.read_by_workers()
            folders = [archive.path for archive in read if archive.files]
            options.crew.check(lambda: partial(sees, [seen for archive in read for seen in archive.seen], folders))
            options.crew.check(destination.check)
            built = _Run(plan, options, digests, progress, destination).results()
        if options.crew.is_remote and progress.shares:
            progress.say(progress.by_worker())
        return built
    finally:
        progress.close()


class _Run:
    def __init__(
        self, plan: Plan, options: Options, digests: Digests, progress: Progress, destination: Destination
    ) -> None:
        self._options, self._digests, self._progress, self._destination = options, digests, progress, destination
        out = options.out.absolute() if is_local(options.out) else options.out
        self._stages = {name: out / staging.FOLDER / name for name in plan.wanted}
        manifests = {name: destination.manifests(name) for name in plan.wanted}
        self._splits = [
            _Split(
                build,
                self._stages[build.dataset],
                destination,
                reuse.entry(build, manifests[build.dataset], digests, destination),
            )
            for build in plan.splits
        ]
        self._built: list[Built] = []
        self._tell_gone({name: found[0] for name, found in manifests.items() if found})

    def _tell_gone(self, old: Mapping[str, Manifest]) -> None:
        """Say which splits a repository has and will not have: an archive that was there is not there now."""
        new = {(s.build.dataset, config, s.build.plan.split.name) for s in self._splits for config in s.build.configs}
        asked = {(dataset, config) for dataset, config, _ in new}
        for dataset, manifest in old.items():
            for config, splits in manifest.configs.items():
                for split in splits if (dataset, config) in asked else ():
                    if (dataset, config, split) not in new:
                        self._progress.say(f"{dataset}/{config}: no archive for its {split} split now, so it goes")

    def results(self) -> list[Built]:
        for name, stage in self._stages.items():
            clean(stage, [split.key for split in self._of(name)])
        asides = self._asides(self._splits)
        self._check_room({split.key: split.tasks({}) for split in self._splits}, asides)
        placed = self._put_aside(asides)
        self._carry_out({split.key: split.tasks(placed.get(split.key, {})) for split in self._splits})
        return self._built

    def _asides(self, splits: Sequence[_Split]) -> dict[str, Aside]:
        """Return the photographs to put aside, by the key of their split: where whoever builds will see them."""
        found = {split.key: each for split in splits if (each := split.aside())}
        if not found:
            return {}
        try:
            self._options.crew.check(partial(takes, self._options.out))
        except Problem:
            self._progress.say(
                f"{self._options.out}: workers do not see this folder, so that each shard reads row groups of Parquet "
                "anew. Name one that they share with --out, and each is read once."
            )
            return {}
        return found

    def _put_aside(self, asides: Mapping[str, Aside]) -> dict[str, dict[str, Job]]:
        """Return the jobs that read what was put aside, by the key of their split and the path of their shard."""
        for found in asides.values():
            self._progress.say(str(found))
            tasks = found.tasks()
            for done, _ in enumerate(self._options.crew.run([tasks]), 1):
                self._progress.at(f"{done} of {len(tasks)} parts of Parquet read")
        return {key: found.placed() for key, found in asides.items()}

    def _of(self, dataset: str) -> list[_Split]:
        return [split for split in self._splits if split.build.dataset == dataset]

    def _check_room(self, todo: dict[str, list[Task[Done]]], asides: Mapping[str, Aside]) -> None:
        place = self._destination.room()
        plans = [(split.build.plan, len(todo[split.key])) for split in self._splits] if place else []
        sizes = sorted(plan.bytes / len(plan.jobs) for plan, tasks in plans for _ in range(tasks))
        need = sum(sizes[-(self._destination.at_once() or len(sizes)) :])
        need += sum(found.nbytes for found in asides.values())
        if need and is_local(self._options.out):
            check_room(place or self._options.out, _ROOM * need)

    def _carry_out(self, todo: dict[str, list[Task[Done]]]) -> None:
        """Do the tasks, and put each repository in force with its last one."""
        owner = {task.name: split for split in self._splits for task in todo[split.key]}
        left = Counter(split.build.dataset for split in owner.values())
        for name in self._stages:
            if not left[name]:
                self._finish(name)
        for finished in self._options.crew.run(list(todo.values())):
            split = owner[finished.task.name]
            split.take(finished)
            split.check_damage(self._options.allow_damaged)
            if receipt := finished.value.receipt:
                self._progress.add(finished.worker, receipt.rows, receipt.bytes)
            self._digests.raise_found()
            left[split.build.dataset] -= 1
            if not left[split.build.dataset]:
                self._finish(split.build.dataset)

    def _finish(self, name: str) -> None:
        splits = self._of(name)
        for split in [split for split in splits if split.must_start_over()]:
            placed = self._put_aside(self._asides([split]))
            for finished in self._options.crew.run([split.tasks(placed.get(split.key, {}))]):
                split.take(finished)
        for split in splits:
            split.check_damage(self._options.allow_damaged)
        ready = [split.ready(self._digests) for split in splits]
        check(seen for split in splits for archive in split.build.plan.archives for seen in archive.seen)
        self._destination.finish(name, ready, self._stages[name])
        remove_tree(self._stages[name])
        for split, is_ready in zip(splits, ready, strict=True):
            reuse.remember(split.build, is_ready.entry)
            self._built.append(Built(split.build, is_ready.entry, split.rows, split.seconds))
            count = len(is_ready.entry.shards)
            shards = f"{count} shard{'s' if count > 1 else ''}"
            self._progress.say(f"{split.build.name}: {is_ready.entry.rows:,} rows in {shards}")
