"""What is asked of a regeneration, and the names of what it makes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BATCHES = 10


@dataclass(frozen=True)
class Settings:
    """What to make of which photographs, and where."""

    source: Path
    out: Path
    sizes: tuple[int, ...]
    resample: str = "box"
    format: Literal["npz", "pickle"] = "npz"
    subsample: int = 1
    allow_damaged: bool = False
    seed: int = 0

    def config(self, size: int) -> str:
        """Return the name of the config of a size."""
        return f"{size}x{size}" + ("" if self.resample == "box" else f"-{self.resample}")

    def files(self, size: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Return {file: (split, its batches)}, named as upstream's; another filter than box is part of the name."""
        stem = f"Imagenet{size}" + ("" if self.resample == "box" else f"_{self.resample}")
        every, half = (*range(BATCHES),), BATCHES // 2
        if self.format == "pickle":
            files = {f"{stem}_train/{batch_name('train', n)}": ("train", every[n : n + 1]) for n in every}
            return files | {f"{stem}_val/{batch_name('validation', 0)}": ("validation", every[:1])}
        parts = {"_part1": every[:half], "_part2": every[half:]} if size == 64 else {"": every}
        files = {f"{stem}_train{part}_npz.zip": ("train", batches) for part, batches in parts.items()}
        return files | {f"{stem}_val_npz.zip": ("validation", every[:1])}


def batch_name(split: str, number: int) -> str:
    """Return upstream's name of a batch."""
    return f"train_data_batch_{number + 1}" if split == "train" else "val_data"
