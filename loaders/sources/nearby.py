"""What a folder holds, said in a few lines to somebody whose files were not found in it: the nearest first."""

import difflib
import re
import zipfile
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from loaders._errors import SourceProblem
from loaders.files.places import is_remote_error
from loaders.files.reading import open_file
from loaders.formats import tars
from loaders.formats.batches import BatchFile, image_size
from loaders.formats.untrusted import UNFINISHED, junk, reading
from loaders.formats.zips import zip_directory
from loaders.sources.batches import batch_number
from loaders.sources.listing import Entry, Listing, plain_name

_SHOWN = 8
_HEAD = 512
_PICTURES = (".jpeg", ".jpg", ".png")
_UNPACK = "unpack it, and name the folder"
# What folders of classes hold: the name of one, and how many are called.
_CLASSES = (
    (re.compile(r"n\d{8}\.tar"), False, "class tars"),
    (re.compile(r"n\d{8}\.(tar\.gz|tgz|zip)"), False, "packed classes: unpack them"),
    (re.compile(r"n\d{8}"), True, "class folders"),
    (re.compile(r"\d{1,3}"), True, "folders named by number"),
)
_KINDS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"PAR1": "Parquet",
    b"<!do": "a web page, not an archive",
    b"<htm": "a web page, not an archive",
}


def lines(listing: Listing, wanted: Iterable[str]) -> list[str]:
    """Return a line for each of the nearest names, and what it seems to hold; and one for how many are left out."""
    near = _nearest(listing, [plain_name(name) for name in wanted])
    told = [f"`{_name(listing, entry)}` {seems(listing, entry)}" for entry in near[:_SHOWN]]
    if len(near) > _SHOWN:
        told.append(f"and {len(near) - _SHOWN:,} more files and folders")
    return told + [f"`{_relative(listing, folder)}/` was not looked into" for folder in listing.unread[:2]]


def _nearest(listing: Listing, wanted: list[str]) -> list[Entry]:
    """Return what lies in the folder or one below, by how like a wanted name it is called."""
    shown = [entry for entry in listing.entries if entry.level <= 2]
    if not wanted or len(shown) > 2_000:  # comparing takes 10 us a pair
        return shown
    return sorted(shown, key=lambda entry: (entry.level, -_likeness(plain_name(entry.name), wanted)))


def _likeness(name: str, wanted: list[str]) -> float:
    return max(difflib.SequenceMatcher(None, name, other).ratio() for other in wanted)


def _name(listing: Listing, entry: Entry) -> str:
    return _relative(listing, entry.path) + ("/" if entry.is_folder else "")


def _relative(listing: Listing, path: Path) -> str:
    return str(path)[len(str(listing.root)) :].lstrip("/") or "."


def seems(listing: Listing, entry: Entry) -> str:
    """Say what a file or folder seems to hold, by its head and names alone: "holds 1000 class tars"."""
    try:
        return _folder(listing.within(entry.path)) if entry.is_folder else _file(entry.path)
    except (SourceProblem, OSError):
        return "cannot be read"
    except Exception as error:  # a store's errors have no common base
        if not is_remote_error(error):
            raise
        return "cannot be read"


def _folder(found: list[Entry]) -> str:
    if not found:
        return "is empty, or was not looked into"
    for pattern, is_folder, called in _CLASSES:
        count = sum(e.is_folder == is_folder and pattern.fullmatch(plain_name(e.name)) is not None for e in found)
        if count:
            return f"holds {count:,} {called}"
    batches = [entry.path for entry in found if not entry.is_folder and batch_number(entry.name) is not None]
    if batches:
        return _batches(len(batches), BatchFile(batches[0]))
    files = [entry.name for entry in found if not entry.is_folder]
    if not files:
        return f"holds folders: {_some([e.name for e in found])}"
    (ending, count), *_ = Counter(Path(name).suffix for name in files).most_common(1)
    return f"holds {count:,} files named {ending or 'without an ending'}, such as `{files[0]}`"


def _batches(count: int, first: BatchFile) -> str:
    size = image_size(first)
    kind = "npz" if _head(first.path)[:4] == b"PK\x03\x04" and not first.member else "pickled"
    kind = "npz" if (first.member or "").endswith(".npz") else kind
    return f"holds {count} {kind} batch{'es' if count > 1 else ''} of {size}x{size}"


def _file(path: Path) -> str:
    if path.suffix.lower() in UNFINISHED:
        return f"is a download that was not finished, named {path.suffix}"
    head = _head(path)
    if not head:
        return "is empty"
    if head[:4] == b"PK\x03\x04":
        return _zip(path)
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return f"is a tar that begins with {_some(tars.first_names(path, 2))}"
    if head[:1] == b"\x80" and batch_number(path.name) is not None:
        return f"is a pickled batch of {(size := image_size(BatchFile(path)))}x{size}"
    kind = next((kind for start, kind in _KINDS.items() if head.lstrip().lower().startswith(start.lower())), None)
    named = f", named {path.suffix}" if path.suffix else ""
    return f"is {kind}{named}" if kind else f"is a file{named}"


def _zip(path: Path) -> str:
    try:
        with reading(path, "the zip directory"), open_file(path) as file:
            names = [info.filename for info in zip_directory(file) if not info.is_dir() and not junk(info.filename)]
    except SourceProblem:
        with open_file(path) as file:
            is_whole = zipfile.is_zipfile(file)
        more = f"of very many files, and begins with `{_first_member(path)}`: {_UNPACK}"
        return f"is a zip {more if is_whole else 'that is cut short'}"
    batches = [name for name in names if batch_number(name) is not None]
    if batches:
        return _batches(len(batches), BatchFile(path, batches[0]))
    if len(names) == 1 and names[0].lower().endswith((".tar", ".tar.gz", ".tgz")):
        return f"is a zip of a tar that begins with {_some(tars.first_names(path, 2))}"
    more = f": {_UNPACK}" if any(name.lower().endswith(_PICTURES) for name in names[:1]) else ""
    return f"is a zip of {len(names):,} files, such as {_some(names)}{more}"


def _first_member(path: Path) -> str:
    """Return the name in the header that a zip begins with (.ZIP File Format Specification 6.3, 4.3.7)."""
    with open_file(path, ahead=False) as file:
        head = file.read(_HEAD)
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].decode("utf-8", "replace")[:80]


def _some(names: Iterable[str]) -> str:
    return ", ".join(f"`{name[:80]}`" for name in islice(names, 2))


def _head(path: Path) -> bytes:
    with open_file(path, ahead=False) as file:
        return file.read(_HEAD)
