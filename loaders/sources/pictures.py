"""Folders of numbered pictures, and what each seems to be of: S by its first picture, the split by names."""

import re
from dataclasses import dataclass
from pathlib import Path

from loaders.files.places import is_remote_error
from loaders.files.reading import open_file
from loaders.images import png_file
from loaders.sources.listing import Entry, Listing

_NUMBERED = re.compile(r"\d+\.png", re.IGNORECASE)
_SPLIT = re.compile(r"(?<![a-z])(?:(train)|(val(?:id(?:ation)?)?))(?:ing)?(?![a-z])")
_HEAD = 33  # bytes: signature and header of a PNG


@dataclass(frozen=True)
class Pictures:
    """A folder of numbered PNG files of `size` x `size`; `split` is "train", "valid", or "" where no name tells."""

    path: Path
    size: int
    split: str


def pictures(listing: Listing) -> list[Pictures]:
    """Return the folders of numbered pictures in a folder and up to two below it."""
    held = [(place, _first(listing.within(place))) for place in [listing.root, *(e.path for e in listing.folders)]]
    return [Pictures(place, _size(first), _split(listing.root, place)) for place, first in held if first]


def _first(found: list[Entry]) -> Path | None:
    return next((entry.path for entry in found if not entry.is_folder and _NUMBERED.fullmatch(entry.name)), None)


def _size(path: Path) -> int:
    """Return S of a square picture, 0 of another or where that cannot be read."""
    try:
        with open_file(path, ahead=False) as file:
            head = file.read(_HEAD)
    except OSError:
        return 0
    except Exception as error:  # a store's errors have no common base
        if not is_remote_error(error):
            raise
        return 0
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    return width if head.startswith(png_file.SIGNATURE) and width == height else 0


def _split(root: Path, place: Path) -> str:
    """Return the split that a folder's name tells, or that of a folder it lies in."""
    for folder in (place, *place.parents):
        if match := _SPLIT.search(folder.name.lower()):
            return "train" if match[1] else "valid"
        if folder == root:
            break
    return ""
