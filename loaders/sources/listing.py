"""What lies in a folder and a little below it: listed once, within bounds, however much that is.

Folders of millions of files, deep trees, links in a circle and stores by URL are looked into as far as it takes to say
what they seem to be, and no further. Whoever reads a folder's files lists it whole by itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from loaders.files.places import entries, is_local, is_remote_error
from loaders.formats.untrusted import junk

_LEVELS = 4  # what lies in a folder, in its folders, and in a folder with pictures or batches two below that
_MOST = 20_000  # names of one folder
_WIDE, _FEW = 40, 2  # of more folders than this beside each other, so many are looked into: a folder a class
_FOLDERS, _NAMES = 400, 200_000  # in all
_REQUESTS = 40  # the same for a store, where each is a request
# What a browser, macOS and Windows put into the name of a second copy.
_COPY = re.compile(r"(?: ?\(\d+\)| copy(?: \d+)?| - copy(?: \(\d+\))?)(?=\.|$)", re.IGNORECASE)


def plain_name(name: str) -> str:
    """Return a name as it is compared: in one case, without what a second copy is marked by, such as " (1)"."""
    return _COPY.sub("", name).casefold()


@dataclass(frozen=True)
class Entry:
    """A file or folder, and how far below the listed folder it lies: 1 for what lies in it."""

    path: Path
    is_folder: bool
    level: int

    @property
    def name(self) -> str:
        """Its name, without the folders it lies in."""
        return self.path.name


class Listing:
    """What lies in a folder and up to three folders below, without known litter; asked for when it is first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unread: list[Path] = []
        self._children: dict[Path, list[Entry]] = {}

    @cached_property
    def entries(self) -> list[Entry]:
        """Everything that was listed: the nearest first, names sorted within each folder."""
        found, waiting = list[Entry](), [(self.root, 1)]
        most = _FOLDERS if is_local(self.root) else _REQUESTS
        for folder, level in waiting:  # grows while it is gone through
            if most <= 0 or len(found) > _NAMES:
                self.unread.append(folder)
                continue
            most -= 1
            self._children[folder] = list(self._entries(folder, level))
            found += self._children[folder]
            if level < _LEVELS:
                waiting += [(entry.path, level + 1) for entry in _promising(self._children[folder])]
        return found

    @property
    def files(self) -> list[Entry]:
        """The files among them."""
        return [entry for entry in self.entries if not entry.is_folder]

    @property
    def folders(self) -> list[Entry]:
        """The folders among them."""
        return [entry for entry in self.entries if entry.is_folder]

    def named(self, name: str) -> list[Path]:
        """Return the files of a name, in any spelling of it."""
        return [entry.path for entry in self.files if plain_name(entry.name) == plain_name(name)]

    def within(self, folder: Path) -> list[Entry]:
        """Return what lies in a folder, as far as it was listed."""
        return self._children.get(folder, []) if self.entries else []

    def _entries(self, folder: Path, level: int) -> Iterator[Entry]:
        names: dict[str, bool] = {}
        try:
            names = entries(folder, _MOST)
        except Exception as error:  # a store's errors have no common base
            if not isinstance(error, OSError) and not is_remote_error(error):
                raise
            self.unread.append(folder)
        for name, is_folder in sorted(names.items()):
            if not junk(name):
                yield Entry(folder / name, is_folder, level)


def _promising(found: list[Entry]) -> list[Entry]:
    """Return the folders to look into: all, or a few of many."""
    folders = [entry for entry in found if entry.is_folder]
    return folders if len(folders) <= _WIDE else folders[:_FEW]
