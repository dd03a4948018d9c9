"""Imagenet8 to 64 and other sizes made anew from ILSVRC's photographs, in the files that Chrabaszcz et al. published.

`OUT/.partial/KEY/` holds what is being made; KEY changes with the names of the photographs and the settings, and what
was made of a photograph is made again when its file has changed. Files move to OUT once all of them are whole, then the
sidecar that vouches for them. Memory: beyond what Python and its libraries take (115 MB a process), the driver holds
about 180 bytes a photograph (350 MB for all of ILSVRC), each worker 100 MB (200 MB where the output is a store), the
photograph it decodes, and twice the pixels of 512 of them where those are more. Disk: the pixels once as they are (22
GB for upstream's four sizes) and once packed (20 GB).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import simplejpeg
from PIL import features

from loaders.files.places import is_local
from loaders.files.seen import check
from loaders.files.typed import dumped
from loaders.formats.photos import Photos
from loaders.images.jpeg import Damage
from loaders.sources.sidecar import Regenerated, Sidecar
from publish.console import damage
from publish.console.progress import Progress
from publish.regenerate import placing
from publish.regenerate.batching import check_pickles, list_of, outputs
from publish.regenerate.chunks import chunks, joined, stamp_of, take
from publish.regenerate.originals import find
from publish.regenerate.packing import File, ListOutput, Output
from publish.regenerate.settings import Settings
from publish.regenerate.split import Split, order_of
from publish.results import PARTIAL
from publish.work.lock import clean, locked
from publish.work.shared import sees, takes
from publish.work.tasks import Crew, Task

_FORMAT = 2  # goes up when the same photographs and settings give other bytes


@dataclass(frozen=True)
class Made:
    """What there is now: rows by split, bytes by file, and the unreadable and the damaged photographs by name.

    `is_new` if this run made it; `skipped` counts what was there and not taken, by split and kind; `taken` says in
    which form each split was there, and where.
    """

    config: str
    rows: Mapping[str, int]
    files: Mapping[str, int]
    unreadable: Mapping[str, str]
    damaged: Mapping[str, Damage]
    is_new: bool
    skipped: Mapping[str, Mapping[str, int]]
    taken: Mapping[str, str]


def run(settings: Settings, crew: Crew, progress: Progress) -> list[Made]:
    """Make every size that is not there already.

    The same photographs, settings and libraries give the same bytes, whatever the workers and however often a run was
    killed. Raises Problem and OSError; nothing is under a final name then, or what was there before, unless the error
    says that it came while files were put in place.
    """
    names = {name for size in settings.sizes for name in settings.files(size)}
    placing.check_links(settings.out, names)
    placing.sidecar(settings.out, names)  # a folder of others' files gets not even a lock
    with locked(settings.out):
        listed = placing.sidecar(settings.out, names)
        placing.remove_unvouched(settings.out, listed.files)
        originals = find(settings.source, settings.subsample, settings.names)
        found = {split: each.photos for split, each in originals.held.items()}
        check_pickles(settings, found)
        key = _key(settings, found)
        todo = _todo(settings, listed, found, key)
        stage = _stage(settings, key, todo)
        clean(stage.parent, [stage.name, placing.MOVING])
        if todo:
            tars = [tar for photos in found.values() for tar in photos.seen]
            crew.check(lambda: partial(sees, tars, [photos.root for photos in found.values() if photos.root.is_dir()]))
            crew.check(lambda: takes(settings.out))
            splits = {name: Split(each, order_of(name, each, settings.seed)) for name, each in found.items()}
            listed = _make(settings, todo, splits, stage, key, crew, progress)
        skipped = {split: each.skipped for split, each in originals.held.items()}
        taken = {split: f"{archive.form}, {archive.path}" for split, archive in originals.archives.items()}
        return [_made(settings, listed, size, size in todo, skipped, taken) for size in settings.sizes]


def _made(
    settings: Settings,
    listed: Sidecar,
    size: int,
    is_new: bool,
    skipped: Mapping[str, Mapping[str, int]],
    taken: Mapping[str, str],
) -> Made:
    config = settings.config(size)
    files = {name: listed.files[name].bytes for name in settings.files(size)}
    made, rows = listed.regenerated[config], listed.rows[f"imagenet_resized/{config}"]
    return Made(config, rows, files, made.unreadable, made.damaged, is_new, skipped, taken)


def _key(settings: Settings, found: Mapping[str, Photos]) -> str:
    """Return what names the content: the photographs, the settings, and the libraries that decode and resize."""
    libraries = [PIL.__version__, features.version("libjpeg_turbo"), features.version("jpg"), simplejpeg.__version__]
    chosen = [settings.squaring, settings.format, settings.subsample, settings.seed]
    chosen += [hashlib.sha256(list_of(settings, found["train"])).hexdigest()] if settings.names else []
    facts = [_FORMAT, libraries, chosen, {split: photos.identity for split, photos in found.items()}]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _todo(settings: Settings, listed: Sidecar, found: Mapping[str, Photos], key: str) -> tuple[int, ...]:
    """Return the sizes that are not there already, of the photographs as they are now."""
    there = {size for size in settings.sizes if _is_there(settings, listed, size, key)}
    stamps = {split: stamp_of(photos) for split, photos in found.items()} if there else {}
    made_of = {size: listed.regenerated[settings.config(size)].stamps for size in there}
    return tuple(size for size in settings.sizes if size not in there or made_of[size] != stamps)


def _is_there(settings: Settings, listed: Sidecar, size: int, key: str) -> bool:
    known = listed.regenerated.get(settings.config(size))
    if known is None or known.key != key or not (settings.allow_damaged or _is_sound(listed, settings.config(size))):
        return False
    places = {name: settings.out / name for name in settings.files(size)}
    return all(p.is_file() and p.stat().st_size == listed.files[name].bytes for name, p in places.items())


def _is_sound(listed: Sidecar, config: str) -> bool:
    """Say whether what was made needs no leave for damaged photographs."""
    made, rows = listed.regenerated[config], listed.rows[f"imagenet_resized/{config}"]
    much = any(damage.is_much(made.of(split, made.damaged), count) for split, count in rows.items())
    return not made.unreadable and not much


def _stage(settings: Settings, key: str, sizes: tuple[int, ...]) -> Path:
    """Return the folder of what is being made of these sizes."""
    out = settings.out.absolute() if is_local(settings.out) else settings.out
    return out / PARTIAL / "-".join([key, *map(str, sizes)])


def _make(
    settings: Settings,
    sizes: tuple[int, ...],
    splits: Mapping[str, Split],
    stage: Path,
    key: str,
    crew: Crew,
    progress: Progress,
) -> Sidecar:
    photos = sum(len(split.photos) for split in splits.values())
    placing.check_room(settings.out, stage, 2 * photos * sum(3 * size * size for size in sizes))
    progress.expect(photos)
    _spill_all(settings, sizes, splits, stage, crew, progress)
    facts = _facts(settings, key, splits)
    # A photograph that was mended since an earlier run was killed: what that one packed is without it.
    whole = stage / f"whole-{hashlib.sha256(dumped(facts).encode()).hexdigest()[:16]}"
    files = list(outputs(settings, sizes, splits, stage, whole))
    progress.at(f"packing {len(files)} files")
    written = _pack(files, crew)
    check(tar for split in splits.values() for tar in split.photos.seen)
    made = {settings.config(size): [written[name] for name in settings.files(size)] for size in sizes}
    return placing.put(settings.out, whole, made, {name: split.rows for name, split in splits.items()}, facts)


def _facts(settings: Settings, key: str, splits: Mapping[str, Split]) -> Regenerated:
    """Return what the sidecar is to say of each config, its files left out: what it was made of, what was left out."""
    unreadable = {name: why for split in splits.values() for name, why in split.unreadable().items()}
    damaged = {name: what for split in splits.values() for name, what in split.damaged().items()}
    stamps = {name: joined(split.stamps[n] for n in sorted(split.stamps)) for name, split in splits.items()}
    return Regenerated(key, (), unreadable, stamps, settings.seed, settings.subsample, damaged)


def _spill_all(
    settings: Settings, sizes: tuple[int, ...], splits: Mapping[str, Split], stage: Path, crew: Crew, progress: Progress
) -> None:
    """Resize every photograph, and take down what could not be read and the sums of the rest."""
    todo: list[Task[Path]] = []
    for name, split in splits.items():
        split.sums.update({size: np.zeros(3 * size * size, np.int64) for size in sizes})
        places = np.argsort(split.order)
        cut = chunks(stage, name, split.photos, places, sizes, settings.squaring, settings.allow_damaged)
        todo += [Task(f"{name} photographs, chunk {chunk.number}", chunk) for chunk in cut]
    for finished in crew.run([todo]):
        receipt = take(finished.value)
        split = splits[receipt.split]
        split.left_out.update(receipt.unreadable)
        split.damage.update(receipt.damaged)
        damage.check(split.photos.root, split.damaged(), len(split.photos), settings.allow_damaged)
        split.stamps[receipt.number] = receipt.stamp
        for size, sums in receipt.sums.items():
            split.sums[size] += sums
        progress.count(finished.worker, receipt.photos)


def _pack(outputs: Sequence[Output | ListOutput], crew: Crew) -> dict[str, File]:
    """Write the files, and return what the sidecar is to say of each."""
    tasks: list[Task[File]] = [Task(output.name, output) for output in outputs]
    return {finished.value.name: finished.value for finished in crew.run([[task] for task in tasks])}
