"""The MosaicML peer: shuffled batches of MDS shards with pixels as they are. Runs in an environment of its own.

python mosaicml_peer.py OUT PLAIN: writes OUT from PLAIN/images.npy and labels.npy if it is not there, then reads it.
"""

# mypy: ignore-errors

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

SIZE, PASSES, LIMIT = 256, 3, 10_000


def main() -> None:
    """Print the median of seconds an image as JSON."""
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory
    from torch.utils.data import DataLoader

    out, plain = Path(sys.argv[1]), Path(sys.argv[2])
    images, labels = (np.load(plain / f"{name}.npy", mmap_mode="r") for name in ("images", "labels"))
    if not (out / "index.json").exists():
        shape = ",".join(map(str, images.shape[1:]))
        columns = {"image": f"ndarray:uint8:{shape}", "label": "int"}
        with MDSWriter(out=str(out), columns=columns) as writer:
            for image, label in zip(images, labels, strict=True):
                writer.write({"image": np.ascontiguousarray(image), "label": int(label)})
    clean_stale_shared_memory()
    rows, costs = StreamingDataset(local=str(out), shuffle=True, batch_size=SIZE), []
    for _ in range(PASSES + 1):
        seen, start = 0, time.perf_counter()
        for batch in DataLoader(rows, batch_size=SIZE):
            seen += len(batch["image"])
            if seen >= LIMIT:
                break
        costs.append((time.perf_counter() - start) / seen)
    print(json.dumps({"value": statistics.median(costs[1:])}))


if __name__ == "__main__":
    main()
