"""Batches for PyTorch: rows once an epoch on all ranks together, the same order anywhere, gone on from any batch."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.training import Data, load_array
from tests.kit import building
from tests.kit.forks import Forked, Job

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch.utils.data import DataLoader  # noqa: E402

from loaders.training.torch import Batches, flip_and_crop  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads, from 3.12 on


def numbered(rows: int) -> Data:
    """Return rows that know their number: by their label, and by their pixels modulo 251."""
    numbers = np.arange(rows)
    images = np.broadcast_to((numbers % 251).astype(np.uint8)[:, None, None, None], (rows, 4, 5, 3)).copy()
    images[:, 0, 0] = (1, 2, 3)
    return Data(images, numbers, None)


def order(batches: Iterable[Any]) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches]


def flat(batches: Iterable[Any]) -> list[int]:
    return [number for numbers in order(batches) for number in numbers]


def test_a_batch_is_rows_and_labels_of_one_another_in_channels_last_memory() -> None:
    data = numbered(600)
    for images, labels in Batches(data, 256):
        assert (images.dtype, images.shape[1:]) == (torch.uint8, (3, 4, 5))
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64
        assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), data.images[labels.numpy()])
        images[:] = labels[:] = 0  # whoever gets a batch may write to it
    assert np.array_equal(data.images, numbered(600).images)


def test_an_epoch_has_each_row_once_and_the_next_another_order() -> None:
    batches, seen = Batches(numbered(1000), 64), []
    for epoch in range(3):
        batches.set_epoch(epoch)
        seen.append(order(batches))
        assert [len(numbers) for numbers in seen[-1]] == [64] * 15 + [40]
        assert sorted(number for batch in seen[-1] for number in batch) == list(range(1000))
    assert len({str(one) for one in [*seen, list(range(1000))]}) == 4
    again = Batches(numbered(1000), 64)
    again.set_epoch(2)
    assert order(again) == order(again) == seen[2]
    assert order(Batches(numbered(1000), 64, seed=1)) != seen[0]


def test_unshuffled_rows_are_in_their_order() -> None:
    assert flat(Batches(numbered(100), 7, shuffle=False)) == list(range(100))


def test_a_dataset_without_labels_gives_none() -> None:
    data = Data(numbered(10).images, None, None)
    assert [labels for _, labels in Batches(data, 4)] == [None] * 3
    assert [labels for _, labels in DataLoader(Batches(data, 4), batch_size=None)] == [None] * 3


def test_what_the_repository_has_arrives(repository: str) -> None:
    for memmap in (False, True):
        data = load_array(repository, "8x8", "validation", memmap=memmap)
        found = list(Batches(data, 256, shuffle=False))
        assert np.array_equal(torch.cat([images for images, _ in found]).permute(0, 2, 3, 1).numpy(), data.images)
        assert flat(found) == list(data.labels)  # type: ignore[arg-type]


def test_batches_go_to_a_device() -> None:
    images, labels = next(iter(Batches(numbered(10), 4, device="meta")))
    assert (images.device.type, labels.device.type, images.shape) == ("meta", "meta", (4, 3, 4, 5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_batches_reach_a_gpu_whole() -> None:
    """Also while the loop runs ahead of the copies, as it does: nothing of a batch is overwritten by the next."""
    data = Data(np.random.default_rng(0).integers(0, 256, (20_000, 32, 32, 3), np.uint8), np.arange(20_000), None)
    found = [(images.clone(), labels.clone()) for images, labels in Batches(data, 256, device="cuda")]
    rows = torch.cat([labels for _, labels in found]).cpu().numpy()
    assert sorted(rows) == list(range(20_000))
    assert np.array_equal(
        torch.cat([images for images, _ in found]).cpu().permute(0, 2, 3, 1).numpy(), data.images[rows]
    )


def test_workers_are_refused_where_batches_go_to_a_gpu() -> None:
    loader = DataLoader(Batches(numbered(10), 4, device="cuda"), batch_size=None, num_workers=1)
    with pytest.raises(ValueError, match="device cuda: workers do not reach it"):
        next(iter(loader))


def test_a_batch_is_flipped_and_cropped_as_by_a_plain_loop() -> None:
    """Each image is one of the cuts that a loop makes of it; all places and both sides occur."""
    images = torch.randint(256, (400, 3, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    found = flip_and_crop(images.contiguous(memory_format=torch.channels_last), 1, generator)
    assert found.is_contiguous(memory_format=torch.channels_last)
    seen = []
    for image, cut in zip(images.numpy(), found.numpy(), strict=True):
        framed = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        for y, x, turn in np.ndindex(3, 3, 2):
            if np.array_equal(framed[:, y : y + 6, x : x + 5][:, :, :: -1 if turn else 1], cut):
                seen.append((y, x, turn))
    assert len(seen) == 400
    assert len({*seen}) == 18
    assert torch.equal(flip_and_crop(images, 1, torch.Generator().manual_seed(1)), found)
    assert not torch.equal(flip_and_crop(images, 1, generator), found)
    unchanged = {image.numpy().tobytes() for image in (*images, *images.flip(3))}
    assert all(image.numpy().tobytes() in unchanged for image in flip_and_crop(images, 0))


# Ranks

SHARES = [(1, 1, 1), (10, 3, 4), (1000, 256, 3), (1025, 256, 4), (1024, 256, 4), (9, 2, 4), (4, 100, 4), (1281, 5, 7)]


@pytest.mark.parametrize(("rows", "size", "world_size"), SHARES)
def test_ranks_have_all_rows_once_and_equally_many_batches(rows: int, size: int, world_size: int) -> None:
    ranks = [Batches(numbered(rows), size, rank=rank, world_size=world_size) for rank in range(world_size)]
    found = [order(rank) for rank in ranks]
    assert sorted(number for numbers in found for batch in numbers for number in batch) == list(range(rows))
    counts = [sum(map(len, numbers)) for numbers in found]
    assert max(counts) - min(counts) <= 1
    assert {len(numbers) for numbers in found} == {len(rank) for rank in ranks} == {-(-max(counts) // size)}
    assert all(1 <= len(batch) <= size for numbers in found for batch in numbers)


@pytest.mark.parametrize(("rows", "size", "world_size"), [*SHARES, (10, 1, 4)])
def test_padded_ranks_have_equally_many_rows(rows: int, size: int, world_size: int) -> None:
    ranks = [Batches(numbered(rows), size, rank=rank, world_size=world_size, pad=True) for rank in range(world_size)]
    found = [flat(rank) for rank in ranks]
    assert {len(numbers) for numbers in found} == {-(-rows // world_size)}
    assert {number for numbers in found for number in numbers} == {*range(rows)}
    assert len({tuple(map(len, order(rank))) for rank in ranks}) == 1


@pytest.mark.parametrize(("rows", "size", "world_size"), [(1000, 256, 3), (1025, 256, 4), (10, 3, 3), (9, 1, 4)])
def test_full_batches_alone(rows: int, size: int, world_size: int) -> None:
    arguments: Any = {"drop_last": True, "world_size": world_size}
    found = [order(Batches(numbered(rows), size, rank=rank, **arguments)) for rank in range(world_size)]
    assert {len(batch) for numbers in found for batch in numbers} == {size}
    assert {len(numbers) for numbers in found} == {rows // world_size // size}
    numbers = [number for numbers in found for batch in numbers for number in batch]
    assert len(numbers) == len({*numbers})


_RANK = """
import os, sys, torch, numpy as np
from torch import distributed
from loaders.training import Data
from loaders.training.torch import Batches

data = Data(np.zeros((11, 1, 1, 3), np.uint8), np.arange(11), None)
try:
    Batches(data, 4)
except ValueError as error:
    assert "init_process_group" in str(error)
else:
    raise AssertionError("a rank that does not know of the others")
distributed.init_process_group("gloo", "file://" + sys.argv[1], rank=int(os.environ["RANK"]), world_size=2)
print(*[number for _, labels in Batches(data, 4) for number in labels.tolist()], flush=True)
distributed.barrier()
distributed.destroy_process_group()
"""


def test_torch_distributed_is_asked_for_rank_and_size(tmp_path: Path) -> None:
    forks, outputs = building.readers(), [tmp_path / f"rank{rank}" for rank in range(2)]
    running = []
    for rank, output in enumerate(outputs):
        variables = {"RANK": str(rank), "WORLD_SIZE": "2", "GLOO_SOCKET_IFNAME": "lo"}
        running.append(Forked(forks, Job("-c", [_RANK, str(tmp_path / "meeting")], str(output), variables)))
    assert [process.wait(60) for process in running] == [0, 0]
    said = [output.read_text() for output in outputs]
    assert sorted(map(int, " ".join(said).split())) == list(range(11))
    assert [len(words.split()) for words in said] == [6, 5]


# In a DataLoader, and gone on from


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_a_data_loader_has_the_same_order_with_any_number_of_workers(workers: int) -> None:
    """Its workers persist: `set_epoch` is to reach them, too."""
    batches, alone = Batches(numbered(300), 64), Batches(numbered(300), 64)
    loader = DataLoader(batches, batch_size=None, num_workers=workers, persistent_workers=workers > 0)
    assert len(loader) == 5
    for epoch in (0, 1, 7):
        batches.set_epoch(epoch)
        alone.set_epoch(epoch)
        assert order(loader) == order(alone)


def test_a_worker_that_is_spawned_opens_the_array_by_its_path(repository: str) -> None:
    data = load_array(repository, "8x8", "validation", memmap=True)
    batches = Batches(data, 256)
    loader = DataLoader(batches, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert order(loader) == order(batches)


@pytest.mark.parametrize("done", [0, 1, 3, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_gone_on_with_at_any_batch(done: int, workers: int) -> None:
    batches = Batches(numbered(300), 64, seed=3)
    batches.set_epoch(4)
    expected, state = order(batches), batches.state_dict(0)
    for number, _ in enumerate(DataLoader(batches, batch_size=None, num_workers=workers), 1):
        if number == done:
            state = batches.state_dict(done if workers else None)
            break
    later = Batches(numbered(300), 64, seed=3)
    later.load_state_dict(state)
    loader = DataLoader(later, batch_size=None, num_workers=workers)
    assert later.epoch == 4
    later.set_epoch(4)  # as a loop over epochs does
    assert order(loader) == expected[done:]
    later.set_epoch(5)
    batches.set_epoch(5)
    assert order(loader) == order(batches)


def test_a_pass_that_was_left_is_begun_anew_and_a_finished_one_stays_finished() -> None:
    batches = Batches(numbered(300), 64)
    expected = order(batches)
    assert batches.state_dict()["done"] == 5
    for _ in batches:
        break
    assert batches.state_dict()["done"] == 1
    assert order(batches) == expected


def test_where_workers_fetch_ahead_the_loop_has_to_say_where_it_is() -> None:
    batches = Batches(numbered(300), 64)
    for _ in DataLoader(batches, batch_size=None, num_workers=1):
        with pytest.raises(ValueError, match="pass the number of batches done"):
            batches.state_dict()
        assert batches.state_dict(1)["done"] == 1
        break


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"size": 32}, {"shuffle": False}, {"rank": 0, "world_size": 2}, {"drop_last": True}]
)
def test_the_state_of_other_batches_is_refused(other: dict[str, Any]) -> None:
    state = Batches(numbered(300), 64).state_dict()
    with pytest.raises(ValueError, match="of other batches"):
        Batches(numbered(300), **({"size": 64} | other)).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rank": 0}, "give both"),
        ({"rank": 2, "world_size": 2}, "rank from 0 to 1"),
        ({"size": 0}, "a row in each batch"),
        ({"rank": 0, "world_size": 11}, "and on each rank"),
        ({"size": 11, "drop_last": True}, "no full batch"),
        ({"size": 1, "rank": 0, "world_size": 3}, "pad, or drop_last"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    for rank in range(3) if arguments.get("world_size") == 3 else [arguments.get("rank")]:
        with pytest.raises(ValueError, match=said):
            Batches(numbered(10), **({"size": 4} | arguments | ({} if rank is None else {"rank": rank})))
