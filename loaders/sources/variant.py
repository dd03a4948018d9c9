"""The names of `imagenet_resized`'s configs and of their archives: one rule, by which they are written and read.

A config is named by its pixels a side, then by what else it has other than upstream's: `48x48`, `64x64-lanczos`,
`64x64-center`, `32x32-few`, `64x64-center-few`. Its archives have the same words in the same order:
`Imagenet64_center_few_train_part1_npz.zip`.

The name of a list of photographs (`few.txt`) is the last word of both: it is none of `loaders.formats.naming.TAKEN`, so
that a filter or a crop, which is one of `SQUARINGS`, is told from it wherever both may stand.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass

from loaders.formats.naming import is_list
from loaders.images.photographs import SQUARINGS, UPSTREAM
from loaders.images.png import LARGEST

SMALLEST = 4
SIZES = (8, 16, 32, 64)  # upstream's
_SIZE = re.compile(r"([1-9][0-9]{0,2})x\1")
_PARTED = 64  # pixels from which on there are two zips of train
_SHORT = {"train": "train", "validation": "val"}  # how upstream's files call the splits


@dataclass(frozen=True)
class Variant:
    """A config: S x S pixels, how photographs become squares (one of `SQUARINGS`), and the list that they are on."""

    size: int
    squaring: str = UPSTREAM
    names: str = ""

    @property
    def config(self) -> str:
        """The name of the config."""
        return "-".join([f"{self.size}x{self.size}", *self._words])

    @property
    def stem(self) -> str:
        """What the names of its archives begin with."""
        return "_".join([f"Imagenet{self.size}", *self._words])

    @property
    def _words(self) -> list[str]:
        return [word for word in (self.squaring if self.squaring != UPSTREAM else "", self.names) if word]

    def folder(self, split: str) -> str:
        """Return the name of the folder that loose batches of a split lie in."""
        return f"{self.stem}_{_SHORT[split]}"

    @property
    def listed(self) -> str:
        """The name of the list of what is in train, where that is a part of ILSVRC's."""
        return f"{self.folder('train')}.txt"

    def zips(self, split: str) -> list[str]:
        """Return the names of the zips of a split, each of which has as many of its batches."""
        parts = ("_part1", "_part2") if split == "train" and self.size >= _PARTED else ("",)
        return [f"{self.folder(split)}{part}_npz.zip" for part in parts]

    def fits(self, words: Collection[str]) -> bool:
        """Say whether archives may be of it by the words of their names: upstream's say nothing, nor need people's."""
        squaring = next((word for word in words if word in SQUARINGS and word != UPSTREAM), UPSTREAM)
        return squaring == self.squaring and (not self.names or self.names in words)

    def command(self) -> str:
        """Return the command that makes its archives, with the config that may be meant where a list is hardly one."""
        near = difflib.get_close_matches(self.names, SQUARINGS, 1) if self.squaring == UPSTREAM and self.names else []
        meant = f", or name {Variant(self.size, near[0]).config} if that is meant" if near else ""
        return f"python -m publish.regenerate --source ILSVRC --out DIR {self.options()}{meant}"

    def options(self) -> str:
        """Return the options of `python -m publish.regenerate` that make it."""
        is_filter = self.squaring not in (UPSTREAM, "center")
        words = [f"--sizes {self.size}", f"--resample {self.squaring}" if is_filter else ""]
        words += ["--crop center" if self.squaring == "center" else "", f"--names {self.names}.txt" * bool(self.names)]
        return " ".join(filter(None, words))


def parsed(config: str) -> Variant:
    """Return what the name of a config says; raises KeyError for one that is not by the rule."""
    head, *words = config.split("-")
    match = _SIZE.fullmatch(head)
    size = int(match[1]) if match else 0
    squaring = words.pop(0) if words and words[0] in SQUARINGS else UPSTREAM
    found = Variant(size, squaring, words.pop(0) if words else "")
    if found.config != config or not SMALLEST <= size <= LARGEST or (found.names and not is_list(found.names)):
        raise KeyError(config)
    return found
