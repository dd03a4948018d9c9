"""The images of a split in one array, and their labels."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders._errors import Problem


@dataclass(frozen=True, eq=False)
class Data:
    """A split: images, uint8 [N, H, W, 3]; labels, int64 [N], or None; the names of its classes, or None.

    `folder` is where the arrays lie if they are mapped from disk, read-only: another process is sent that path instead
    of their content.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    names: tuple[str, ...] | None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if self.folder is None:
            return Data, (self.images, self.labels, self.names)
        from loaders.training.memmap import opened

        return opened, (self.folder,)


def in_memory(title: str) -> Callable[[tuple[int, ...]], NDArray[np.uint8]]:
    """Return what makes an array of a shape; it raises Problem for one that this machine has no memory for."""

    def array(shape: tuple[int, ...]) -> NDArray[np.uint8]:
        size, memory = math.prod(shape), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if size > memory:
            raise Problem(
                f"{title}: {shape[0]:,} images of {shape[2]}x{shape[1]} pixels are {size / 1e9:,.1f} GB, and this "
                f"machine has {memory / 1e9:,.1f} GB of memory. Load them with memmap=True, or stream them."
            )
        return np.empty(shape, np.uint8)

    return array
