"""The photographs of ILSVRC 2012, whatever they lie in: the one model of them, for the subset and for regenerating.

Labels are ILSVRC's: the order of sorted WordNet ids, from 0; those of test, which were never published, are -1.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from loaders import classes
from loaders._errors import SourceProblem
from loaders.files.places import entries
from loaders.files.threads import mapped
from loaders.formats import index as tar_index
from loaders.formats.holder import Holder
from loaders.formats.photos import Photos
from loaders.formats.tars import Members
from loaders.formats.untrusted import junk
from loaders.ilsvrc import index, layout

_THREADS = 16  # for listings: in a store, each is a request
_Class = Callable[[], "tuple[Holder, Members]"]


@dataclass(frozen=True)
class Held:
    """The photographs of a split, sorted by name, and the litter beside them that was skipped, by kind."""

    photos: Photos
    skipped: Counter[str] = field(default_factory=Counter)


# Train: one tar or one folder a class, or one tar of all photographs


def train(root: Path, every: int = 1, only: Collection[str] | None = None) -> Held:
    """Return the photographs of every `every`-th class by sorted WordNet id; or `only` those of these names.

    Where those are asked for, what lies in folders besides is not looked at. Raises SourceProblem for a name that
    ILSVRC does not have, a name that is there twice, and a tar cut short.
    """
    wanted = None if only is None else {name.partition("_")[0] for name in only}
    skipped = Counter[str]()
    if layout.hub_files(root, "train"):
        return _of_every(_in_parquet(root, "train", [], only), every)
    found = _in_tar(root, skipped) if root.is_file() else _in_folder(root, wanted, skipped)
    kept = [wnid for wnid in sorted(found)[::every] if wanted is None or wnid in wanted]
    read = list(mapped(lambda wnid: (wnid, [each() for each in found[wnid]]), kept, _THREADS))
    parts = [_of_class(root, wnid, *each, only) for wnid, group in read for each in group]
    for _, group in read:
        skipped.update(kind for _, members in group for kind in members.skipped.elements())
    return Held(_sorted(root, parts), skipped)


def _of_every(held: Held, every: int) -> Held:
    wnids = [classes.wnids("ilsvrc")[label] for label in np.unique(held.photos.labels).tolist()]
    kept = [classes.label_of_wnid("ilsvrc")[wnid] for wnid in sorted(wnids)[::every]]
    return Held(held.photos.take(np.isin(held.photos.labels, kept)), held.skipped) if every > 1 else held


def _in_tar(root: Path, skipped: Counter[str]) -> dict[str, list[_Class]]:
    found: dict[str, list[_Class]] = {}
    holder, indexed = Holder.tar(root), index.members_by_tar(root)
    skipped.update(indexed.skipped)
    for name, members in indexed.tars.items():
        if name:
            found.setdefault(layout.class_of(root, name, is_tar=True), []).append(_known(holder, members))
            continue
        for wnid, group in _by_class(root, members).items():
            found.setdefault(wnid, []).append(_known(holder, group))
    return found


def _known(holder: Holder, members: Members) -> _Class:
    return lambda: (holder, Members(members.names, members.offsets, members.sizes))


def _by_class(root: Path, members: Members) -> dict[str, Members]:
    """Sort the members of a tar that was packed again, of photographs in folders."""
    found: dict[str, Members] = {}
    for name, offset, size in zip(members.names, members.offsets, members.sizes, strict=True):
        folders, _, file = name.rpartition("/")
        named, last = layout.train_name(file), folders.rpartition("/")[2].lower()
        is_lost = layout.is_of_another_split(folders, "train") or (layout.is_class(last) and named and named[1] != last)
        if not named or is_lost or named[1] not in classes.label_of_wnid("ilsvrc"):
            raise SourceProblem(
                f"{root}: holds {name!r}, expected one tar a class, named like n01440764.tar, or photographs named "
                f"like n01440764/n01440764_18.JPEG.{layout.advice(root)}"
            )
        group = found.setdefault(named[1], Members())
        group.names.append(name)
        group.offsets.append(offset)
        group.sizes.append(size)
    return found


def _in_folder(root: Path, wanted: Collection[str] | None, skipped: Counter[str]) -> dict[str, list[_Class]]:
    folders, tars = dict[str, str](), dict[str, str]()
    for name, is_folder in entries(root).items():
        if kind := junk(name):
            skipped[kind] += 1
        elif wanted is None or layout.wnid_in(name) in wanted:
            known = (folders if is_folder else tars).setdefault(_class_beside(root, name, is_folder), name)
            if known != name:
                raise SourceProblem(
                    f"{root}: holds both {known} and {name}. Only one can be right: move the other away."
                )
    holders = {name: Holder.tar(root, name) for name in tars.values()}
    indexed = index.members_of(root, sorted(tars.values()))
    skipped.update(indexed.skipped)
    found: dict[str, list[_Class]] = {wnid: [_listed(root, name)] for wnid, name in folders.items()}
    for wnid, name in tars.items():
        members = indexed.tars[name]
        if wnid in folders:
            _check_beside(root, name, members, folders[wnid])
        found[wnid] = [_known(holders[name], members)]
    return found


def _class_beside(root: Path, name: str, is_folder: bool) -> str:
    return layout.class_of(root, name, is_tar=not is_folder and name.lower().endswith(".tar"))


def _listed(root: Path, name: str) -> _Class:
    def members() -> tuple[Holder, Members]:
        found = entries(root / name)
        skipped = Counter(kind for held in found if (kind := junk(held)))
        return Holder("folder", name), Members(sorted(held for held in found if not junk(held)), skipped=skipped)

    return members


def _check_beside(root: Path, tar: str, members: Members, folder: str) -> None:
    """Raise SourceProblem when a class tar and the folder beside it do not hold as many photographs."""
    if (count := len(layout.listed(root / folder))) != len(members.names):
        raise SourceProblem(
            f"{root}: {tar} holds {len(members.names):,} photographs, and the folder {folder} beside it {count:,}. Was "
            "unpacking stopped? Move one of them away."
        )


def _of_class(root: Path, wnid: str, holder: Holder, members: Members, only: Collection[str] | None) -> Photos:
    rows, names = list[int](), list[str]()
    for row, held in enumerate(members.names):
        named = layout.train_name(held.rpartition("/")[2])
        is_wanted = only is None or (named is not None and named[0] in only)
        if only is not None and holder.kind == "folder" and not (is_wanted and named and named[1] == wnid):
            continue
        if not named or named[1] != wnid:
            where = f"{root}: {wnid}.tar" if holder.kind == "tar" and not holder.place else holder.within(root)
            raise SourceProblem(f"{where} holds {held!r}, expected names like {wnid}_1.JPEG.")
        if is_wanted:
            rows.append(row)
            names.append(named[0])
    return _photos(root, holder, members, rows, names, [classes.label_of_wnid("ilsvrc")[wnid]] * len(rows))


# Validation and test: one tar or folder, or one folder a class


def numbered(root: Path, split: str, labels: Sequence[int], *, strict: bool = False) -> Held:
    """Return the photographs of a split that are numbered through; `labels` are in the order of the numbers.

    In Parquet, whose files are named by their split and rows labelled, a part of train may stand for validation, which
    is counted; not if `strict`.

    Raises SourceProblem for a name that ILSVRC does not have, one that is there twice, a photograph in the folder of
    another class, a folder among photographs and a photograph among folders, and for what `tars.scan` does.
    """
    if layout.hub_files(root, split):
        return _in_parquet(root, split, labels, strict=strict)
    groups = [(Holder.tar(root), tar_index.members(root))] if root.is_file() else list(numbered_folders(root))
    parts = [_numbered(root, split, labels, *group) for group in groups]
    return Held(_sorted(root, parts), sum((members.skipped for _, members in groups), Counter[str]()))


def numbered_folders(root: Path) -> Iterator[tuple[Holder, Members]]:
    """Yield what lies in a folder of numbered photographs, or in its class folders."""
    found = entries(root)
    names = [name for name in found if not junk(name)]
    folders = sorted(name for name in names if found[name])
    skipped = Counter(kind for name in found if (kind := junk(name)))
    if not folders:
        yield Holder("folder"), Members(sorted(names), skipped=skipped)
        return
    if 2 * len(folders) < len(names):
        raise SourceProblem(
            f"{root}: holds the folder {folders[0]!r}, expected photographs alone.{layout.advice(root)}"
        )
    yield Holder("folder"), Members(skipped=skipped)
    for name in names:
        layout.class_of(root, name, is_tar=False)
    yield from mapped(lambda name: _listed(root, name)(), sorted(names), _THREADS)


def _numbered(root: Path, split: str, labels: Sequence[int], holder: Holder, members: Members) -> Photos:
    names, chosen = list[str](), list[int]()
    for held in members.names:
        place = f"{holder.place}/{held}" if holder.place else held
        name, label = _labelled(root, split, labels, place)
        names.append(name)
        chosen.append(label)
    return _photos(root, holder, members, range(len(names)), names, chosen)


def _labelled(root: Path, split: str, labels: Sequence[int], place: str) -> tuple[str, int]:
    folders, _, file = place.rpartition("/")
    named, last = layout.numbered_name(split, file), folders.rpartition("/")[2]
    if not named or layout.is_of_another_split(folders, split):
        raise SourceProblem(f"{root}: holds {place!r}, expected {layout.like(split)}.{layout.advice(root)}")
    name, number, suffix = named
    label = labels[number - 1]
    wnid = classes.wnids("ilsvrc")[label] if label >= 0 else "no class"
    if layout.is_class(last) and last.lower() != wnid:
        raise SourceProblem(f"{root}: {name} is of {wnid}, found it in the folder {last}.{layout.advice(root)}")
    if suffix and suffix != wnid:
        raise SourceProblem(f"{root}: {name} is of {wnid}, found it named {file}.{layout.advice(root)}")
    return name, label


# Any of them in Parquet, as the Hub has it


def _in_parquet(
    root: Path, split: str, labels: Sequence[int], only: Collection[str] | None = None, *, strict: bool = False
) -> Held:
    """Return the photographs of Parquet files; each row's path and label are held against each other."""
    parts, borrowed = list[Photos](), 0
    holders = {file: _holder(root, file) for file in layout.hub_files(root, split)}
    for file, members in index.rows_of(root, list(holders)).tars.items():
        rows, names, chosen = list[int](), list[str](), list[int]()
        for row, (path, label) in enumerate(zip(members.names, members.sizes, strict=True)):
            name, expected = _named_row(root / file, split, labels, path, strict)
            if label != expected:
                raise SourceProblem(
                    f"{root / file}: row {row:,} is {path}, which has the label {expected}, and is labelled {label}. "
                    "Expected labels from 0 in the order of sorted WordNet ids, as ILSVRC/imagenet-1k has them."
                )
            borrowed += split == "validation" and name.startswith("n")
            if only is None or name in only:
                rows.append(row)
                names.append(name)
                chosen.append(label)
        held = [members.names[row] for row in rows]
        parts.append(Photos.of(root, holders[file], names, chosen, rows, None, held))
    return Held(_sorted(root, parts), +Counter({"named like a photograph of train, and taken": borrowed}))


def _holder(root: Path, file: str) -> Holder:
    try:
        return Holder.parquet(root, file)
    except FileNotFoundError:
        raise SourceProblem(f"{root / file}: is a link to what is not there. Download it again.") from None


def _named_row(path: Path, split: str, labels: Sequence[int], held: str, strict: bool) -> tuple[str, int]:
    if split == "train" or (split == "validation" and held.startswith("n") and not strict):
        named = layout.train_name(held)
        label = classes.label_of_wnid("ilsvrc").get(named[1]) if named else None
        if named and label is not None:
            return named[0], label
        raise SourceProblem(f"{path}: holds {held[:80]!r}, expected names like n01440764_18_n01440764.JPEG.")
    return _labelled(path, split, labels, held)


# Both


def _photos(
    root: Path, holder: Holder, members: Members, rows: Sequence[int], names: Sequence[str], labels: Sequence[int]
) -> Photos:
    if holder.kind == "folder":
        return Photos.of(root, holder, names, labels, held=[members.names[row] for row in rows])
    offsets, sizes = ([column[row] for row in rows] for column in (members.offsets, members.sizes))
    return Photos.of(root, holder, names, labels, offsets, sizes)


def _sorted(root: Path, parts: Sequence[Photos]) -> Photos:
    """Put parts together, sorted by name; raises SourceProblem for a name that is there twice."""
    if not parts:
        return Photos.of(root, Holder("tar" if root.is_file() else "folder"), [], [])
    photos = Photos.joined(parts)
    if name := photos.twice():
        raise SourceProblem(f"{root}: holds {name!r} more than once.")
    return photos.take(np.argsort(photos.names, kind="stable"))
