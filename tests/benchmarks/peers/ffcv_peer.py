"""The FFCV peer: shuffled batches of a file with pixels as they are. Runs in an environment of its own.

python ffcv_peer.py OUT PLAIN: writes OUT from PLAIN/images.npy and labels.npy if it is not there, then reads it.
"""

# mypy: ignore-errors

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

SIZE, PASSES = 256, 3


class Plain:
    """Rows of two arrays."""

    def __init__(self, folder: Path) -> None:
        self.images, self.labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        return np.asarray(self.images[number]), int(self.labels[number])


def main() -> None:
    """Print the median of seconds an image as JSON."""
    from ffcv.fields import IntField, NDArrayField
    from ffcv.fields.decoders import IntDecoder, NDArrayDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor
    from ffcv.writer import DatasetWriter

    out, plain = Path(sys.argv[1]), Plain(Path(sys.argv[2]))
    if not out.exists():
        fields = {"image": NDArrayField(np.dtype("uint8"), plain.images.shape[1:]), "label": IntField()}
        DatasetWriter(str(out), fields, num_workers=2).from_indexed_dataset(plain)
    pipelines = {"image": [NDArrayDecoder(), ToTensor()], "label": [IntDecoder(), ToTensor()]}
    loader = Loader(str(out), SIZE, num_workers=2, order=OrderOption.RANDOM, os_cache=True, pipelines=pipelines)
    costs = []
    for _ in range(PASSES + 1):
        seen, start = 0, time.perf_counter()
        for images, _ in loader:
            seen += len(images)
        costs.append((time.perf_counter() - start) / seen)
    print(json.dumps({"value": statistics.median(costs[1:])}))


if __name__ == "__main__":
    main()
