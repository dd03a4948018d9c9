"""What feeding a GPU costs: a network trained on batches of ours and of `datasets`, and on one batch that stays there.

    python -m tests.benchmarks.gpu --sizes 32 64

The network is a Wide ResNet 28-2 in bfloat16, the smallest that upstream's authors trained at 32x32. What it takes with
a batch that stays on the GPU is the floor: a way that comes near lets the GPU wait for nothing. `copies` is the same
without a network: microseconds until an image is on the GPU.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from publish.console.progress import table
from tests.benchmarks import train

GPU = "cuda"
SIZE, LAYERS, WIDTH = 1024, 4, 32  # images a batch; blocks a group (28 layers); channels of the first group
Feed = Callable[[int], Iterator[tuple[torch.Tensor, torch.Tensor]]]


class Block(nn.Module):
    """A residual block: two convolutions behind normalisation, around which the input goes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first, second = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.inner = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), first, nn.BatchNorm2d(outputs), nn.ReLU(), second)
        self.around = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs or stride > 1 else nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) + self.around(images)  # type: ignore[no-any-return, unused-ignore]


def network(size: int) -> nn.Module:
    """Return a Wide ResNet 28-2 for images of so many pixels a side; larger ones are halved first."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, max(1, size // 32), 1)]
    inputs = 16
    for group in range(3):
        for block in range(LAYERS):
            layers.append(Block(inputs, WIDTH << group, 2 if group and not block else 1))
            inputs = WIDTH << group
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000)]
    made: nn.Module = nn.Sequential(*layers).to(GPU)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return, unused-ignore]


# Feeds


def staying(folder: Path, size: int) -> Feed:
    data = train.arrays(folder, size)
    images = torch.from_numpy(data.images[:SIZE].copy()).permute(0, 3, 1, 2).to(GPU)
    labels = torch.from_numpy(data.labels[:SIZE].copy()).to(GPU)
    return lambda _: iter([(images, labels)] * (len(data) // SIZE))


def ours(folder: Path, size: int, memmap: bool = False, augmented: bool = False) -> Feed:
    from loaders.training.torch import Batches, flip_and_crop

    batches = Batches(train.arrays(folder, size, memmap), SIZE, drop_last=True, device=GPU)

    def epoch(number: int) -> Iterator[Any]:
        batches.set_epoch(number)
        return ((flip_and_crop(images) if augmented else images, labels) for images, labels in batches)

    return epoch


def eight_lines(folder: Path, size: int) -> Feed:
    epoch = train.eight_lines(folder, size, SIZE)
    return lambda number: ((images.to(GPU), labels.to(GPU)) for images, labels in epoch(number))


def by_torch_format(folder: Path, size: int, workers: int) -> Feed:
    from torch.utils.data import DataLoader

    rows = train.rows_of(folder, size).with_format("torch")

    def epoch(_: int) -> Iterator[Any]:
        loader = DataLoader(rows, batch_size=SIZE, shuffle=True, num_workers=workers, pin_memory=True, drop_last=True)
        return ((b["image"].to(GPU, non_blocking=True), b["label"].to(GPU, non_blocking=True)) for b in loader)

    return epoch


FEEDS: dict[str, Callable[[Path, int], Feed]] = {
    "one batch that stays": staying,
    "Batches, from memory": ours,
    "Batches, from memmap": partial(ours, memmap=True),
    "Batches, flipped and cropped there": partial(ours, augmented=True),
    "rows of the Arrow cache": eight_lines,
    'with_format("torch"), 8 workers': partial(by_torch_format, workers=8),
}


# Passes


def copied(images: torch.Tensor, labels: torch.Tensor) -> None:
    """Do nothing with a batch: it is on the GPU."""


def trained(size: int) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """Return a step of training."""
    net = network(size)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        with torch.autocast(GPU, torch.bfloat16):
            loss = cross_entropy(net(images.float() / 255), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def timed(feed: Feed, step: Callable[[torch.Tensor, torch.Tensor], None], passes: int) -> float:
    """Return the median over passes, after one that is not counted, of microseconds an image."""
    costs = []
    for number in range(passes + 1):
        torch.cuda.synchronize()
        images, start = 0, time.perf_counter()
        for batch, labels in feed(number):
            step(batch, labels)
            images += len(batch)
        torch.cuda.synchronize()
        costs.append((time.perf_counter() - start) / images * 1e6)
    return statistics.median(costs[1:])


def main() -> None:
    """Measure each size and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", choices=(32, 64), default=[32, 64])
    parser.add_argument("--images", type=int, default=50_000, help="that are drawn")
    parser.add_argument("--passes", type=int, default=3)
    options = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/xdg", "HF_HUB_OFFLINE": "1"}
        train.prepare(Path(folder), options.sizes, options.images)
        rows = []
        for size in options.sizes:
            for name, feed in FEEDS.items():
                epoch = feed(Path(folder), size)
                costs = [timed(epoch, step, options.passes) for step in (copied, trained(size))]
                rows.append((f"{size}x{size}", name, *(f"{cost:.2f}" for cost in costs)))
                print(*rows[-1], flush=True)
    print(f"{torch.cuda.get_device_name()}, {len(os.sched_getaffinity(0))} cores; microseconds an image")
    print(table(("size", "what", "copies", "trains"), rows))


if __name__ == "__main__":
    main()
