"""Rows cut into batches as the authors cut them, and batches put into files."""

from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loaders import Problem, classes
from loaders.formats.photos import I64, Photos
from publish.regenerate.chunks import rows
from publish.regenerate.packing import MOST_PICKLED, Batch, ListOutput, Output
from publish.regenerate.settings import BATCHES, Settings, batch_name
from publish.regenerate.split import Split


def check_pickles(settings: Settings, found: Mapping[str, Sized]) -> None:
    """Raise Problem when a batch is to be pickled that is larger than its protocol can say."""
    for split, photos in found.items() if settings.format == "pickle" else ():
        most = len(photos) - (BATCHES[split] - 1) * (len(photos) // BATCHES[split])
        large = max(settings.sizes)
        if (size := most * 3 * large * large) > MOST_PICKLED:
            raise Problem(
                f"--format pickle: a batch of {most:,} photographs of {large} pixels has {size:,} bytes, and "
                f"upstream's protocol of pickles ends at {MOST_PICKLED:,}. Leave --format out: zips hold more."
            )


def outputs(
    settings: Settings, sizes: tuple[int, ...], splits: Mapping[str, Split], stage: Path, whole: Path
) -> Iterator[Output | ListOutput]:
    """Yield every file to write, the largest first."""
    cuts = {name: list(_cuts(name, split)) for name, split in splits.items()}
    for size in sorted(sizes, reverse=True):
        batches = {
            name: [_batch(cut, splits[name], stage, sizes, size) for cut in cut_up] for name, cut_up in cuts.items()
        }
        for name, (split, numbers) in settings.files(size).items():
            if numbers:
                yield Output(whole, name, tuple(batches[split][n] for n in numbers))
            else:
                yield ListOutput(whole, name, list_of(settings, splits[split].photos))


def list_of(settings: Settings, train: Photos) -> bytes:
    """Return the list of what train has: the one that was given as it is, or what a subsample keeps, by name."""
    if settings.names:
        return settings.names.read_bytes()
    return b"".join(name + b"\n" for name in sorted(train.names.tolist()))


@dataclass(frozen=True)
class _Cut:
    """The rows of a batch, which are the same at each size: those from `start` to `stop` but the ones `left_out`."""

    split: str
    number: int
    start: int
    stop: int
    left_out: tuple[int, ...]
    labels: I64
    names: npt.NDArray[np.bytes_]


def _cuts(name: str, split: Split) -> Iterator[_Cut]:
    """Cut as the authors did: ten batches of a tenth, rounded down, and what is left over into the last."""
    used = np.delete(np.arange(len(split.order)), sorted(split.left_out))
    count = BATCHES[name]
    if len(used) < count and len(split.photos):
        raise Problem(f"{split.photos.root}: {len(used)} {name} photographs can be read, expected at least {count}.")
    edges = [n * (len(used) // count) for n in range(count)] + [len(used)]
    clsloc = np.argsort(classes.clsloc_to_ilsvrc())  # ILSVRC's label -> the authors'
    for n in range(count):
        places = used[edges[n] : edges[n + 1]]
        start, stop = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
        left_out = tuple(place - start for place in sorted(split.left_out) if start <= place < stop)
        photos = split.order[places]
        names = split.photos.names[photos]
        width = np.char.str_len(names).max(initial=1)  # of these alone: a wider array may hold the same names
        yield _Cut(name, n, start, stop, left_out, clsloc[split.photos.labels[photos]] + 1, names.astype(f"S{width}"))


def _batch(cut: _Cut, split: Split, stage: Path, sizes: tuple[int, ...], size: int) -> Batch:
    mean = split.sums[size] / split.rows if cut.split == "train" else None
    batch = rows(stage, cut.split, sizes, size, split.order, cut.start, cut.stop)
    return Batch(batch_name(cut.split, cut.number), batch, cut.left_out, cut.labels, cut.names, mean)
