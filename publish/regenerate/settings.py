"""What is asked of a regeneration, and the names of what it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loaders.ilsvrc import lists
from loaders.images.photographs import UPSTREAM
from loaders.sources.variant import Variant

BATCHES = {"train": 10, "validation": 1}  # of each split


@dataclass(frozen=True)
class Settings:
    """What to make of which photographs, and where."""

    source: Path
    out: Path
    sizes: tuple[int, ...]
    squaring: str = UPSTREAM
    format: Literal["npz", "pickle"] = "npz"
    subsample: int = 1
    names: Path | None = None
    allow_damaged: bool = False
    seed: int = 0

    def variant(self, size: int) -> Variant:
        """Return what the config of a size is of."""
        return Variant(size, self.squaring, lists.name_of(self.names) if self.names else "")

    def config(self, size: int) -> str:
        """Return the name of the config of a size."""
        return self.variant(size).config

    def files(self, size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {file: (split, its batches)}, named by `loaders.sources.variant`, as upstream's are.

        Where train is a part of ILSVRC's, there is a list of it, which is of no batches.
        """
        variant = self.variant(size)
        listed = {variant.listed: ("train", ())} if self.names or self.subsample > 1 else {}
        if self.format == "pickle":
            return listed | {
                f"{variant.folder(split)}/{batch_name(split, n)}": (split, (n,))
                for split, count in BATCHES.items()
                for n in range(count)
            }
        files: dict[str, tuple[str, tuple[int, ...]]] = {**listed}
        for split, count in BATCHES.items():
            zips = variant.zips(split)
            each = count // len(zips)
            files |= {zips[i]: (split, (*range(i * each, (i + 1) * each),)) for i in range(len(zips))}
        return files


def batch_name(split: str, number: int) -> str:
    """Return upstream's name of a batch."""
    return f"train_data_batch_{number + 1}" if split == "train" else "val_data"
