"""Batches for PyTorch out of arrays: every row once an epoch, in another order each epoch, shared among ranks.

And a whole batch flipped and cropped at once.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.nn import functional
from torch.utils.data import IterableDataset, get_worker_info

from loaders.training.data import Data

Batch = tuple[torch.Tensor, Any]  # images and labels, or None
_EPOCH, _START, _FETCHED_AHEAD = range(3)  # places in what all copies of a `Batches` share


class Batches(IterableDataset[Batch]):
    """Batches of images, uint8 [B, 3, H, W] in channels-last memory, and labels, int64 [B], or None.

    An epoch has every row once. Shuffled, its order is a permutation of all rows that `seed` and the epoch alone
    decide. Of `world_size` ranks (by default those of torch.distributed, or one), each has other rows, as many as any
    other or one less, in as many batches: gradients that are averaged wait for nobody. `pad` repeats rows instead until
    ranks have equally many, and is not the default, since a row that is counted twice makes a measured accuracy wrong.
    With `drop_last` each batch is full, and what is left over is left out.

    Iterate over it as it is: workers make it slower. In a `DataLoader(batches, batch_size=None)` with any number of
    workers the batches are the same, in the same order, and `set_epoch` reaches workers that persist.

    With `device`, batches are copied there; to a GPU from pinned memory, without waiting for the copy, and without
    workers, who have no GPU.

    Raises ValueError for a batch, a rank or a number of ranks that cannot be.
    """

    def __init__(
        self,
        data: Data,
        size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = False,
        pad: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        self._data, self._seed, self._shuffle = data, seed, shuffle
        self.rank, self.world_size = _ranks(rank, world_size)
        self._edges = _edges(len(data), size, self.rank, self.world_size, drop_last, pad)
        self._device = None if device is None else torch.device(device)
        self._is_gpu = self._device is not None and self._device.type == "cuda"
        self._same = {"rows": len(data), "size": size, "shuffle": shuffle, "seed": seed}
        self._same |= {"world_size": self.world_size, "drop_last": drop_last, "pad": pad}
        self._shared = torch.zeros(3, dtype=torch.int64)
        self._shared.share_memory_()  # type: ignore[no-untyped-call, unused-ignore]
        self._done = 0

    def __len__(self) -> int:
        """Return the batches of an epoch on this rank."""
        return len(self._edges) - 1

    @property
    def epoch(self) -> int:
        """The epoch that is iterated over next, or now."""
        return int(self._shared[_EPOCH])

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be over another epoch, from its start. Of the same epoch, a loaded place is kept."""
        if epoch != self.epoch:
            self._place(epoch, 0)

    def state_dict(self, done: int | None = None) -> dict[str, Any]:
        """Return where this pass is, to be saved: the epoch, and how many of its batches were handed out.

        Workers of a DataLoader fetch ahead of what the loop has seen: there, pass the number of batches `done` in this
        epoch. Raises ValueError when that is missing.
        """
        if done is None and self._shared[_FETCHED_AHEAD]:
            raise ValueError("workers fetch ahead: pass the number of batches done in this epoch, state_dict(done=...)")
        return {"epoch": self.epoch, "done": self._done if done is None else done, **self._same}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next pass go on behind the batches that were done; raises ValueError for a state of other batches."""
        if other := [
            f"{name} {state.get(name)}, here {ours}" for name, ours in self._same.items() if state.get(name) != ours
        ]:
            raise ValueError(f"the state is of other batches: {'; '.join(other)}")
        self._place(state["epoch"], state["done"])

    def _place(self, epoch: int, done: int) -> None:
        self._shared[_EPOCH], self._shared[_START] = epoch, done
        self._done = done

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        if worker and self._is_gpu:
            raise ValueError(f"device {self._device}: workers do not reach it. Iterate over the batches as they are")
        epoch, start, _ = self._shared.tolist()
        self._shared[_FETCHED_AHEAD] = int(worker is not None)
        if worker is None:
            self._shared[_START], self._done = 0, start  # a loaded place is for one pass
            return self._pass(epoch, start, 1)
        return self._pass(epoch, start + worker.id, worker.num_workers)

    def _pass(self, epoch: int, start: int, step: int) -> Iterator[Batch]:
        order = self._order(epoch)
        for number in range(start, len(self), step):
            rows = order[self._edges[number] : self._edges[number + 1]]
            self._done = number + 1
            yield self._take(rows)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows of this rank in an epoch."""
        count = len(self._data)
        order = np.random.default_rng([self._seed, epoch]).permutation(count) if self._shuffle else np.arange(count)
        mine = order[self.rank :: self.world_size]
        short = self._edges[-1] - len(mine)  # 1 where rows are repeated
        return np.concatenate([mine, order[:short]]) if short > 0 else mine

    def _take(self, rows: NDArray[np.int64]) -> Batch:
        images = torch.empty((len(rows), *self._data.images.shape[1:]), dtype=torch.uint8, pin_memory=self._is_gpu)
        # "clip" since "raise" would write to a copy first; no row is out of bounds
        np.take(self._data.images, rows, axis=0, out=images.numpy(), mode="clip")
        labels = None if self._data.labels is None else torch.from_numpy(self._data.labels[rows])
        if labels is not None and self._is_gpu:
            labels = labels.pin_memory()
        images = images.permute(0, 3, 1, 2)
        if self._device is None:
            return images, labels
        moved = None if labels is None else labels.to(self._device, non_blocking=True)
        return images.to(self._device, non_blocking=True), moved


def _ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if (rank is None) != (world_size is None):
        raise ValueError("rank and world_size: give both, or none for those of torch.distributed")
    if rank is None or world_size is None:
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise ValueError(
                "WORLD_SIZE says that there are several ranks, and torch.distributed does not know them yet: call "
                "torch.distributed.init_process_group first, or give rank and world_size"
            )
        return 0, 1
    if not 0 <= rank < world_size:
        raise ValueError(f"expected a rank from 0 to {world_size - 1}, got {rank}")
    return rank, world_size


def _edges(rows: int, size: int, rank: int, world_size: int, drop_last: bool, pad: bool) -> list[int]:
    """Return where batches begin among the rows of a rank, and the end of the last.

    Where some ranks have a row more than others, and it alone would be a batch, the others' last but one gives up a
    row: all ranks have equally many batches.
    """
    if size < 1 or rows < world_size:
        raise ValueError(
            f"expected a row in each batch and on each rank; got batches of {size}, {rows} rows on {world_size} ranks"
        )
    if drop_last and rows // world_size < size:
        raise ValueError(f"{rows} rows on {world_size} ranks make no full batch of {size}, and with drop_last no other")
    if drop_last:
        return [number * size for number in range(rows // world_size // size + 1)]
    most = -(-rows // world_size)
    mine = most if pad else len(range(rank, rows, world_size))
    count = -(-most // size)
    if not pad and rows // world_size < count:  # on some rank, so all of them refuse
        raise ValueError(f"{rows} rows are not equally many batches of one on {world_size} ranks: pad, or drop_last")
    return [min(number * size, mine - (count - number)) for number in range(count + 1)]


def flip_and_crop(images: torch.Tensor, padding: int = 4, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return images as large as they were, each cut at random from itself in a black frame, and mirrored or not.

    `images` is [B, 3, H, W], best in channels-last memory, where the result is; of any type and on any device. The
    frame is `padding` pixels wide; each place and each of the two sides is as likely as any other.
    """
    count, channels, height, width = images.shape
    framed = functional.pad(images.permute(0, 2, 3, 1), (0, 0, *[padding] * 4))
    tall, wide = framed.shape[1:3]

    def draw(limit: int) -> torch.Tensor:
        return torch.randint(limit, (count, 1), generator=generator, device=images.device)

    across = torch.arange(width, device=images.device)
    rows = draw(2 * padding + 1) + torch.arange(height, device=images.device)
    columns = draw(2 * padding + 1) + torch.where(draw(2) == 1, across.flip(0), across)
    starts = torch.arange(count, device=images.device)[:, None] * tall + rows
    pixels = starts[:, :, None] * wide + columns[:, None, :]  # their numbers among all of the batch, [B, H, W]
    cut = framed.reshape(-1, channels).index_select(0, pixels.flatten())
    return cut.view(count, height, width, channels).permute(0, 3, 1, 2)
