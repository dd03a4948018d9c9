"""ImageNetV2's three sets of photographs in the forms that people hold them in: what all that is made of them shares.

Sizes and digests of the files: TensorFlow Datasets 4.9.10, `url_checksums/imagenet_v2.txt`.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from loaders import classes
from loaders._errors import SourceProblem
from loaders.base import forms
from loaders.base.dataset import Config, Dataset, Form, Split, check_rows
from loaders.files.places import files
from loaders.formats import folders, index
from loaders.formats.folders import Files
from loaders.formats.holder import Holder
from loaders.formats.photos import Photos
from loaders.formats.untrusted import junk
from loaders.sources.folder import SourceFolder
from loaders.sources.listing import plain_name
from loaders.sources.source import Archive, Archives, Found, Source

_REPOSITORY = "https://huggingface.co/datasets/vaishaal/ImageNetV2"
_PER_CLASS = 10
# A folder a class: its ILSVRC label as a number, or its WordNet id.
_MEMBER = re.compile(r"(?:\./)?(?:[\w.() -]+/)?(\d{1,3}|n\d{8})/([\w-]+\.jpe?g)", re.IGNORECASE)
_CLASS = re.compile(r"\d{1,3}|n\d{8}")
# What an archive or its top folder is called: that of December 2020 has no "v2".
_TOP = re.compile(
    r"imagenet[-_]?(?:v2)?[-_](matched[-_]?frequency|threshold[-_]?0?\.?7|top[-_]?images)(?:-format-val)?"
)
_WORDS = {"matched-frequency": "matchedfrequency", "threshold-0.7": "threshold07", "topimages": "topimages"}

# fmt: off
_FILES = {
    "matched-frequency": ("imagenetv2-matched-frequency.tar.gz", 1264079360, "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c"),  # noqa: E501
    "threshold-0.7": ("imagenetv2-threshold0.7.tar.gz", 1249906176, "32142bfe998f9cfa4141be691f6a80eeb1e27b24bd532a668eb08c26d98897a2"),  # noqa: E501
    "topimages": ("imagenetv2-top-images.tar.gz", 1245927936, "85e4ace30f3f0d660152062254b8759dda66267b27f7ec0fd8d5768f1073a04b"),  # noqa: E501
}
# fmt: on
SOURCES = {
    name: Source(file, size, sha256, _REPOSITORY, f"{_REPOSITORY}/resolve/main/{file}")
    for name, (file, size, sha256) in _FILES.items()
}
NAMES = tuple(SOURCES)
_Rows = tuple[Archive, Photos, Counter[str]]
_NameOf = Callable[[Config, Split], str]


def forms_of(name_of: _NameOf) -> tuple[Form, ...]:
    """Return the forms that a set is taken in; `name_of` says which of the `NAMES` a split is of."""
    return (
        Form(
            "tar of photographs",
            "`imagenetv2-{matched-frequency,threshold0.7,top-images}.tar.gz`, gzipped or plain, or that of December "
            "2020; folders in it named by number or WordNet id",
            partial(_find_tar, name_of),
        ),
        Form(
            "folder of photographs",
            "`imagenetv2-matched-frequency-format-val/0/*.jpeg` ..., or `n01440764/*.jpeg` ...",
            partial(_find_folder, name_of),
        ),
    )


def _find_tar(name_of: _NameOf, folder: SourceFolder, config: Config, split: Split) -> Archives:
    """Return the tar of upstream's name, or one whose first photograph lies in a folder of the set's name."""
    name = name_of(config, split)
    if archive := folder.find_here(SOURCES[name]):
        return (archive,)
    held = [tar.path for tar in folder.tars if _MEMBER.fullmatch(tar.first) and _is_of(name, tar.first, tar.stem)]
    downloaded = None if held else folder.find(SOURCES[name])
    return (folder.archive(held[0]),) if held else (downloaded,) if downloaded else ()


def _is_of(name: str, first: str, stem: str) -> bool:
    """Say whether photographs are of a set, by the top folder they lie in, or by what that lies in."""
    tops = [_set_named(part) for part in (*first.split("/")[:-2], stem)]
    return next((top for top in tops if top), None) == name


def _set_named(folder: str) -> str | None:
    match = _TOP.fullmatch(plain_name(folder))
    stems = {words: name for name, words in _WORDS.items()}
    return stems.get(re.sub(r"[-_. ]", "", match[1])) if match else None


def _find_folder(name_of: _NameOf, folder: SourceFolder, config: Config, split: Split) -> Archives:
    """Return a folder of the set's name in which class folders lie."""
    name = name_of(config, split)
    listing = folder.listing
    places = [listing.root, *(entry.path for entry in listing.folders)]
    named = [place for place in places if _set_named(place.name) == name]
    held = [p for p in named if any(e.is_folder and _CLASS.fullmatch(e.name) for e in listing.within(p))]
    return (folder.unpacked(held[0]),) if held else ()


def read(dataset: Dataset, config: Config, split: Split, name: str, found: Found, partial: bool) -> _Rows:
    """Return the archive of a split that is of the set `name`, its photographs, and the litter beside them, by kind.

    Their labels are ILSVRC's; each is called "label/name.jpeg". Raises SourceProblem for others than the set has.
    """
    (archive,) = found.archives[split.name]
    archive, rows, skipped = _unpacked(archive) if archive.path.is_dir() else _packed(name, archive)
    forms.check_others(found, split, len(rows), _count)
    if not partial and not found.rows:
        _check_classes(archive, rows)
    check_rows(dataset.name, config.name, split, len(rows), found, partial)
    return archive, rows, skipped


def _packed(name: str, archive: Archive) -> _Rows:
    members = index.members(archive.path)
    for top in {member.removeprefix("./").partition("/")[0] for member in members.names}:
        if (other := _set_named(top)) not in (None, name):
            raise SourceProblem(f"{archive.path}: holds the folder {top}. Is it {other} under another name?")
    names, labels = _named(archive, members.names)
    holder = Holder("tar", state=archive.state)
    rows = Photos.of(archive.path, holder, names, labels, members.offsets, members.sizes)
    return archive, rows, members.skipped


def _unpacked(archive: Archive) -> _Rows:
    """Return the photographs of a folder of class folders, and what is known of their files."""
    held, skipped = _listed(archive.path)
    names, labels = _named(archive, [f"./{place}" for place in held])
    rows = Photos.of(archive.path, Holder("folder"), names, labels, held=held)
    found = rows.files()
    if lost := sorted(set(held) - set(found)):
        raise folders.broken_link(archive.path / lost[0])
    return replace(archive, files=Files.of(found)), rows.there(found), skipped


def _listed(path: Path) -> tuple[list[str], Counter[str]]:
    places = sorted(files(path))
    skipped = Counter(kind for place in places if (kind := junk(place)))
    return [place for place in places if not junk(place)], skipped


def _count(archives: Archives) -> int | None:
    """Return the rows of a folder; those of a tar are not known without going through it."""
    return len(_listed(archives[0].path)[0]) if archives[0].path.is_dir() else None


def _named(archive: Archive, members: list[str]) -> tuple[list[str], list[int]]:
    """Return names and labels, which are the same in all layouts."""
    names, labels = [], []
    for member in members:
        match = _MEMBER.fullmatch(member)
        if not match:
            raise SourceProblem(f"{archive.path}: holds {member!r}, expected FOLDER/CLASS/NAME.jpeg.")
        labels.append(_label(archive, match[1]))
        names.append(f"{labels[-1]}/{match[2]}")
    return names, labels


def _label(archive: Archive, folder: str) -> int:
    """Folder "100" is label 100, whatever the order of the names."""
    label = int(folder) if folder.isdigit() else classes.label_of_wnid("ilsvrc").get(folder, -1)
    if not 0 <= label < classes.COUNT:
        raise SourceProblem(f"{archive.path}: folder {folder!r} is none of the 1000 classes.")
    return label


def _check_classes(archive: Archive, rows: Photos) -> None:
    counts = Counter(rows.labels.tolist())
    wrong = [label for label in range(classes.COUNT) if counts[label] != _PER_CLASS]
    if wrong:
        raise SourceProblem(
            f"{archive.path}: expected {_PER_CLASS} photographs in each of {classes.COUNT} classes, found "
            f"{len(counts)} classes; class {wrong[0]} has {counts[wrong[0]]}. Download it again, or pass "
            "--allow-partial (allow_partial=True) to build from what is there."
        )
