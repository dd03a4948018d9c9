"""What is shown: the repositories of a folder, or one on the Hub, by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from huggingface_hub.constants import ENDPOINT

from loaders import Problem
from loaders.files.places import local
from publish import manifest
from publish.card import segments
from publish.console.progress import megabytes
from publish.hub.client import Repository
from publish.hub.contents import on_hub
from publish.manifest import Manifest
from publish.preview import card
from publish.preview.reader import Budget, NotRead, Reader
from publish.preview.rows import Split
from publish.repository import shown, verify
from publish.repository.contents import Contents, FolderContents


@dataclass(frozen=True)
class Dataset:
    """A repository that is open: its manifest, its card, and its splits as they are asked for."""

    name: str
    revision: str | None
    contents: Contents
    manifest: Manifest
    reader: Reader
    _splits: dict[tuple[str, str], Split] = field(default_factory=dict)

    @cached_property
    def configs(self) -> list[str]:
        """The configs in the order of the Hub's list: the default, then by name."""
        return shown.configs(self.manifest)

    def splits(self, config: str) -> list[str]:
        """Return the names of the splits of a config."""
        return list(self.manifest.configs[config])

    def split(self, config: str, split: str) -> Split:
        """Return the rows of a split."""
        if (config, split) not in self._splits:
            self._splits[config, split] = Split(self.contents, self.manifest.configs[config][split], self.reader)
        return self._splits[config, split]

    def card(self) -> str:
        """Return the card as HTML; raises NotRead and OSError for one that is not shown."""
        text = self._read("README.md", segments.MOST)
        if len(text) > segments.MOST:
            raise NotRead(f"it has more than {megabytes(segments.MOST)}")
        budget = Budget(self.reader, card.SECONDS)
        pictures = self._pictures(budget.ask({"what": "paths"}, text)[0]["paths"])
        request = {"what": "card", "paths": list(pictures), "sizes": [len(data) for data in pictures.values()]}
        return budget.ask(request, b"".join([*pictures.values(), text]))[1].decode()

    def _pictures(self, paths: list[str]) -> dict[str, bytes]:
        """Return the files of some pictures, those that are there, until they are more than a card may have."""
        found: dict[str, bytes] = {}
        there = self.contents.sizes()
        for path in paths[: card.MOST]:
            if path in there and sum(map(len, found.values())) <= card.MOST_PICTURES:
                found[path] = self._read(path, card.MOST_PICTURE)
        return found

    def _read(self, path: str, most: int) -> bytes:
        """Return the bytes of a file, no more than one over the most."""
        with self.contents.open(path) as file:
            return bytes(file.read(most + 1))


class Place:
    """Repositories that can be opened, by what `load_dataset` takes for them."""

    def __init__(self, names: list[str], revision: str | None, contents: Callable[[str], Contents]) -> None:
        self.names, self._revision, self._contents = names, revision, contents
        self._open: dict[str, Dataset] = {}
        self.reader = Reader()

    def dataset(self, name: str, anew: bool = False) -> Dataset:
        """Return a repository, read again if `anew`; raises Problem when it is none of this project's."""
        if anew or name not in self._open:
            contents = self._contents(name)
            self._open[name] = Dataset(name, self._revision, contents, verify.read_manifest(contents), self.reader)
        return self._open[name]


def find(what: str, revision: str) -> Place:
    """Return the repositories of a folder, the folder itself if it is one, or ORG/NAME of the Hub; raises Problem."""
    folder = local(what)
    if folder.is_dir():
        return Place(_in_folder(folder), None, lambda name: FolderContents(Path(name)))
    if what.count("/") != 1 or not all(what.split("/")):
        raise Problem(f"{what}: expected a folder, or ORG/NAME on the Hub; it is neither. {_make(what)}")
    if Repository(what).settings() is None:
        raise Problem(f"{what}: there is no such folder, and no dataset of that name at {ENDPOINT} for this login.")
    return Place([what], None if revision == "main" else revision, lambda name: on_hub(name, revision))


def _in_folder(folder: Path) -> list[str]:
    if (folder / manifest.NAME).is_file():
        return [str(folder)]
    found = sorted(str(path.parent) for path in folder.glob(f"*/{manifest.NAME}"))
    if not found:
        raise Problem(
            f"{folder}: expected a dataset repository, or a folder of some; found no {manifest.NAME} in it or in the "
            f"folders in it. {_make(folder)}"
        )
    return found


def _make(folder: str | Path) -> str:
    return f"To make a sample: python -m publish --config all --sample --out {folder}"
