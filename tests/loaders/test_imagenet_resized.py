"""imagenet_resized: the contract, and the shapes that its batches come in."""

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import loaders
from loaders import imagenet_resized
from loaders.formats.batches import BatchFile, OpenBatch, open_batch
from loaders.formats.streams import ByteRange
from loaders.images import png
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.contract import every_check, every_config


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.resized(tmp_path_factory.mktemp("resized"))


@pytest.mark.keeps("S19", "S26")
@every_config("imagenet_resized")
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


@every_config("imagenet_resized")
def test_the_sample(laid: Laid, config: str, sample: Path) -> None:
    contract.the_sample_needs_no_leave(laid, config, sample)


def test_the_default_is_the_smallest() -> None:
    assert imagenet_resized.Builder.DEFAULT_CONFIG_NAME == "8x8"


@pytest.mark.keeps("S19")
@every_config("imagenet_resized")
@pytest.mark.parametrize("shape", ["deflated", "protocol 3", "protocol 4", "new NumPy", "loose"])
def test_every_shape_gives_the_rows_of_the_stored_zips(laid: Laid, config: str, shape: str, tmp_path: Path) -> None:
    size = int(config.partition("x")[0])
    other = {
        "deflated": lambda: archives.resized(tmp_path, [size], deflated=True),
        "protocol 3": lambda: archives.resized_pickles(tmp_path, [size]),
        "protocol 4": lambda: archives.resized_pickles(tmp_path, [size], protocol=4),
        "new NumPy": lambda: archives.resized_pickles(tmp_path, [size], protocol=4, module="numpy._core"),
        "loose": lambda: archives.resized_loose(tmp_path, size),
    }[shape]()
    contract.every_image_and_label_is_what_was_laid_out(other, config, tmp_path)
    found, wanted = contract.expected(other, config), contract.expected(laid, config)
    assert all(found[split].equals(table) for split, table in wanted.items())


def test_zips_win_over_unpacked_batches(tmp_path: Path) -> None:
    zips = archives.resized(tmp_path, [8])
    archives.resized_pickles(tmp_path, [8])
    plans = contract.plans("imagenet_resized", "8x8", tmp_path)
    assert {archive.path.suffix for plan in plans for archive in plan.archives} == {".zip"}
    contract.every_image_and_label_is_what_was_laid_out(zips, "8x8", tmp_path)


def test_batches_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    laid = archives.resized(tmp_path, [8])
    train, _ = archives.resized_batches(8)
    members = [(f"train_data_batch_{n}.npz", writers.npz(batch)) for n, batch in enumerate(train, 1)]
    writers.write_zip(tmp_path / "Imagenet8_train_npz.zip", sorted(members, reverse=True))
    contract.every_image_and_label_is_what_was_laid_out(laid, "8x8", tmp_path)


@pytest.mark.parametrize("dtype", ["<i8", "<i4", ">i8", "<u2"])
def test_labels_of_any_integer_type(dtype: str, tmp_path: Path) -> None:
    laid = archives.resized(tmp_path, [8])
    _, validation = archives.resized_batches(8)
    writers.write_validation_zip(tmp_path, 8, validation | {"labels": validation["labels"].astype(dtype)})
    contract.every_image_and_label_is_what_was_laid_out(laid, "8x8", tmp_path)


@pytest.mark.parametrize("size", [8, 64])
def test_shards_start_and_stop_anywhere_in_batches(size: int, tmp_path: Path) -> None:
    """Batches of uneven lengths, one of them empty, none of which ends where a shard does."""
    pixels = writers.planar(archives.pictures(200, size, 0))
    labels = archives.labels(200)
    cuts = [0, 1, 1, 40, 77, 78, 120, 121, 160, 190, 200]
    parts = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
    archives.resized(tmp_path, [size])
    writers.write_train_zips(tmp_path, size, [{"data": pixels[part], "labels": labels[part]} for part in parts])
    train, _ = contract.plans("imagenet_resized", f"{size}x{size}", tmp_path)
    blocks = list(contract.batches(train))
    assert [job.rows for job in train.jobs] == [100, 100]
    assert np.array_equal(np.concatenate([b.pixels for b in blocks if b.pixels is not None]).reshape(200, -1), pixels)
    table = pa.Table.from_batches([block.rows for block in blocks])
    assert table["label"].to_pylist() == (labels - 1).tolist()


@pytest.mark.parametrize("name", ["8x8-nearest", "16x16-bilinear", "32x32-hamming", "64x64-bicubic", "64x64-center"])
def test_another_filter_is_a_config_that_is_built_only_when_named(name: str) -> None:
    assert loaders.select([f"imagenet_resized/{name}"]) == {"imagenet_resized": [name]}
    assert name not in loaders.select(["all"])["imagenet_resized"]
    assert loaders.load("imagenet_resized").config(name).splits == imagenet_resized.config(name.split("-")[0]).splits


def test_shards_are_cut_by_bytes_at_every_size() -> None:
    """In a count that 2, 4 and 8 ranks divide; of train, whole shards to each of the ten batches, unless 8 will do."""
    for size in range(4, 148):
        for split in imagenet_resized.config(f"{size}x{size}").splits:
            whole = split.rows * png.row_bytes(size)
            assert split.shards == 1 or split.shards % 8 == 0
            assert split.shards in (1, 8) or split.shards % 40 == 0 or split.name == "validation"
            assert whole / split.shards <= 150e6
            assert whole / split.shards > 25e6 or split.shards <= 8


def test_upstreams_sizes_have_the_shards_that_they_had() -> None:
    found = {c.name: [split.shards for split in c.splits] for c in imagenet_resized.DATASET.configs}
    assert found == {"8x8": [8, 1], "16x16": [8, 1], "32x32": [40, 8], "64x64": [80, 8]}


@pytest.mark.parametrize("name", ["8x8-box", "8x16", "8x8-", "3x3", "148x148", "32x32-squash", "32x32-few-center"])
def test_no_other_config_is_made_up(name: str) -> None:
    with pytest.raises(loaders.UnknownConfig, match=r"Did you mean.* Also, built when named: .* of 4 to 147 pixels"):
        loaders.select([f"imagenet_resized/{name}"])


def test_configs_are_in_the_order_of_their_sizes_behind_upstreams() -> None:
    names = ["147x147", "64x64-few", "33x33", "64x64", "4x4", "64x64-center", "8x8"]
    wanted = ["8x8", "64x64", "4x4", "33x33", "64x64-center", "64x64-few", "147x147"]
    assert loaders.in_order("imagenet_resized", names) == wanted
    assert loaders.select([f"imagenet_resized/{name}" for name in names]) == {"imagenet_resized": wanted}


def test_an_archive_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    """By a process that has the old one open: a worker of a cluster outlives a run."""
    archives.resized(tmp_path, [8])
    file = BatchFile(tmp_path / "Imagenet8_val_npz.zip", "val_data.npz")
    old = open_batch(file, 8).read(0, 5).tobytes()
    train, _ = archives.resized_batches(8)
    writers.write_validation_zip(tmp_path, 8, train[0])
    assert open_batch(file, 8).read(0, 5).tobytes() == train[0]["data"][:5].tobytes() != old


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("rows", [*range(1, 40, 3), 341, 2049, 4097])
def test_pictures_of_one_colour_are_read_to_their_end(rows: int, level: int, tmp_path: Path) -> None:
    """Deflate has taken its last byte in long before the last one comes out."""
    data, path = np.full((rows, 192), 7, np.uint8), tmp_path / "val_data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, values in (("data", data), ("labels", np.full(rows, 5))):
            with archive.open(f"{name}.npy", "w") as member:
                np.save(member, values)
    for step in (1, 7, 21, 2048):
        batch = OpenBatch(BatchFile(path), 8)
        parts = [batch.read(at, min(at + step, rows)) for at in range(0, rows, step)]
        assert np.array_equal(np.concatenate(parts), data)
        assert batch.labels.tolist() == [4] * rows
        batch.close()


@pytest.mark.parametrize("start", [499, 250, 1])
def test_rows_before_those_wanted_are_not_read_where_they_are_not_compressed(
    start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that makes the last shard needs no bytes of the others, least of all from a store."""
    data = np.random.default_rng(0).integers(0, 256, (500, 12_288), np.uint8)
    (tmp_path / "val_data").write_bytes(archives.pickled({"data": data, "labels": [1] * 500}, 3))
    batch = OpenBatch(BatchFile(tmp_path / "val_data"), 64)
    read: list[int] = []
    readinto = ByteRange.readinto

    def counted(file: ByteRange, buffer: memoryview) -> int:
        read.append(readinto(file, buffer))
        return read[-1]

    monkeypatch.setattr(ByteRange, "readinto", counted)
    assert np.array_equal(batch.read(start, start + 1), data[start : start + 1])
    assert sum(read) <= 12_288 + (1 << 18)  # and what lies in the buffer
    assert np.array_equal(batch.read(start + 1, start + 1), data[:0])
    assert np.array_equal(batch.read(0, 2), data[:2])
    batch.close()
