"""Two ways to the sizes that `tests.benchmarks.regenerate` measures ours against. Written for it, not taken over.

    python -m tests.benchmarks.peers.resizing authors SOURCE OUT --sizes 8 16 32 64 --workers 2
    python -m tests.benchmarks.peers.resizing bound SOURCE OUT --sizes 8 16 32 64 --workers 2

`authors` is the procedure of Chrabaszcz et al.'s scripts: for each size one pass over all photographs, one process a
core and a class at a time, resized and saved as PNG; then one process reads the PNGs of all classes, shuffles them in
memory and pickles ten batches. It is spared what a faster hand would not do (lists of numbers, NumPy's copies).
`bound` is what no way can do without: each photograph decoded once and resized to each size, and nothing kept.
"""

import argparse
import io
import multiprocessing
import pickle
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from loaders import classes


def to_png(folder: Path, out: Path, size: int) -> None:
    """Resize the photographs of one class, and save them."""
    place = out / "png" / str(size) / folder.name
    place.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        image = Image.open(path)
        if image.mode != "RGB":
            image = image.convert("RGB")  # type: ignore[assignment]
        image.resize((size, size), Image.Resampling.BOX).save(place / f"{path.stem}.png")


def pack(out: Path, size: int) -> None:
    """Pickle ten shuffled batches of what was saved."""
    rows, labels = [], list[int]()
    for folder in sorted((out / "png" / str(size)).iterdir()):
        for path in folder.iterdir():
            rows.append(np.asarray(Image.open(path)).transpose(2, 0, 1).reshape(-1))
            labels.append(classes.label_of_wnid("clsloc").get(folder.name, 0) + 1)
    data, mean = np.stack(rows), np.mean(rows, axis=0)
    order = np.random.default_rng(0).permutation(len(rows))
    for number, part in enumerate(np.array_split(order, 10), 1):
        batch = {"data": data[part], "labels": [labels[i] for i in part], "mean": mean}
        (out / f"train_data_batch_{size}_{number}").write_bytes(pickle.dumps(batch))


def resize_only(folder: Path, sizes: list[int]) -> None:
    """Decode each photograph of one class and resize it."""
    for path in sorted(folder.iterdir()):
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
        for size in sizes:
            image.resize((size, size), Image.Resampling.BOX)


def main() -> None:
    """Go one of the two ways over the class folders of SOURCE/train, validation among them as one more class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("authors", "bound"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    folders = [*sorted((options.source / "train").iterdir()), options.source / "val"]
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        if options.way == "bound":
            pool.map(partial(resize_only, sizes=options.sizes), folders, 1)
            return
        for size in options.sizes:
            pool.map(partial(to_png, out=options.out, size=size), folders, 1)
            pack(options.out, size)


if __name__ == "__main__":
    main()
