"""The whole build: what `load_dataset` reads from it, the same bytes each time, and what a rebuild leaves alone."""

import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import loaders
from loaders import classes
from publish import manifest
from publish.build import staging
from publish.sample import archives as writers
from tests.kit import archives, building, contract
from tests.kit.building import (
    COMMAND,
    RESIZED,
    build,
    environment,
    leftovers,
    make,
    publish,
    rows_of,
    run,
    tree,
    undecoded,
    with_shards,
)

CONFIGS = [(name, config.name) for name in loaders.names() for config in loaders.load(name).DATASET.configs]
every_config = pytest.mark.parametrize(("dataset", "config"), CONFIGS)
SAMPLE_ROWS = {"imagenet2012_subset/10pct": {"train": 2000, "validation": 1000}} | {
    "imagenet2012_subset/1pct": {"train": 1000, "validation": 1000}
}
V2_ROWS = {
    "imagenet_v2": {"test": 2000},
    "imagenet_v2_resized": {"matched_frequency": 2000, "threshold_0.7": 2000, "topimages": 2000},
}
PIXELS = ("imagenet_resized", "downsampled_imagenet", "imagenet_v2_resized")


def sample_rows(dataset: str, config: str) -> dict[str, int]:
    usual = V2_ROWS.get(dataset, {"train": 2000, "validation": 1000})
    return SAMPLE_ROWS.get(f"{dataset}/{config}", usual)


def ways(dataset: str, config: str) -> list[bool]:
    """Return how a config is read: as a stream, and the first of each dataset into a cache as well."""
    return [True, False] if config == loaders.load(dataset).DATASET.configs[0].name else [True]


# What is read from it


def test_there_are_fifteen_configs_in_five_repositories(built: Path) -> None:
    assert len(CONFIGS) == 15
    found = {name: manifest.read(built / name) for name in loaders.names()}
    assert [(name, config) for name, read in found.items() if read for config in read.configs] == CONFIGS


@pytest.mark.parametrize(
    ("dataset", "config", "streaming"), [(*both, streaming) for both in CONFIGS for streaming in ways(*both)]
)
def test_load_dataset_gives_the_archives_rows(
    dataset: str, config: str, streaming: bool, built: Path, sample: Path, tmp_path: Path
) -> None:
    read = datasets.load_dataset(str(built / dataset), config, streaming=streaming, cache_dir=str(tmp_path))
    wanted = {plan.split.name: contract.read(plan) for plan in contract.plans(dataset, config, sample, partial=False)}
    assert set(read) == set(wanted)
    for split, table in wanted.items():
        assert read[split].features == datasets.Features.from_dict(loaders.load(dataset).DATASET.features)
        assert list(undecoded(read[split])) == table.to_pylist()
    assert {split: table.num_rows for split, table in wanted.items()} == sample_rows(dataset, config)


@every_config
def test_label_names_integer_by_integer(dataset: str, config: str, built: Path) -> None:
    features = datasets.load_dataset(str(built / dataset), config, streaming=True)
    clsloc = ("kit fox, Vulpes macrotis", "clsloc")
    first = {"imagenet_resized": clsloc, "imagenet_v2_resized": clsloc, "downsampled_imagenet": (None, None)}
    name, order = first.get(dataset, ("tench, Tinca tinca", "ilsvrc"))
    for split in features.values():
        if order is None:
            assert "label" not in split.features
            continue
        label = split.features["label"]
        assert [label.int2str(i) for i in range(1000)] == list(classes.names(order))
        assert label.int2str(0) == name
        assert len(set(label.names)) == 1000


@every_config
def test_every_image_is_rgb_and_of_its_config_s_size(dataset: str, config: str, built: Path) -> None:
    for split in datasets.load_dataset(str(built / dataset), config, streaming=True).values():
        images = [row["image"] for row in split.take(150)]
        assert {image.mode for image in images} == {"RGB"}
        if dataset in PIXELS:
            assert {image.size for image in images} == {(int(config.partition("x")[0]),) * 2}


def test_the_default_config_is_loaded_when_none_is_named(built: Path) -> None:
    for name in loaders.names():
        default = loaders.load(name).DATASET.default.name
        here = datasets.load_dataset_builder(str(built / name))
        assert here.config.name == default


@pytest.mark.parametrize("size", [32, 64])
def test_downsampled_images_are_pixel_for_pixel_the_png_files(size: int, built: Path, sample: Path) -> None:
    """By another way than the loader's: Python's tarfile and Pillow."""
    rows = datasets.load_dataset(
        str(built / "downsampled_imagenet"), f"{size}x{size}", split="validation", streaming=True
    )
    with tarfile.open(sample / f"valid_{size}x{size}.tar") as archive:
        files = [archive.extractfile(m).read() for m in archive if m.isfile()]  # type: ignore[union-attr]
    for row, file in zip(rows, files, strict=True):
        assert np.array_equal(np.asarray(row["image"]), np.asarray(Image.open(io.BytesIO(file))))


def test_every_shard_is_one_row_group_and_in_the_manifest(built: Path) -> None:
    for name in loaders.names():
        read = manifest.read(built / name)
        assert read is not None
        shards = {shard.path: shard for entry in read.entries() for shard in entry.shards}
        there = {path.relative_to(built / name).as_posix() for path in (built / name).rglob("*.parquet")}
        assert there == set(shards)
        for path, shard in shards.items():
            footer = pq.read_metadata(built / name / path)
            assert (footer.num_row_groups, footer.num_rows) == (1, shard.rows)


@pytest.mark.keeps("B3")
def test_the_folder_holds_what_the_manifest_lists_and_no_more(built: Path) -> None:
    for name in loaders.names():
        read = manifest.read(built / name)
        assert read is not None
        digests = {shard.path: shard.sha256 for entry in read.entries() for shard in entry.shards}
        digests |= {path: sha256 for entry in read.entries() for path, sha256 in entry.pictures.items()} | dict(
            read.files
        )
        found = {path.partition("/")[2]: sha256 for path, sha256 in tree(built).items() if path.startswith(f"{name}/")}
        assert {path: found.pop(path) for path in (manifest.NAME, "README.md")}
        assert found == digests
    assert {path.name for path in built.iterdir()} == {*loaders.names(), staging.FOLDER}
    assert leftovers(built) == []


# The same input gives the same bytes


def shards(folder: Path) -> building.Tree:
    return {path: sha256 for path, sha256 in tree(folder).items() if path.endswith(".parquet")}


@pytest.mark.keeps("B9")
def test_the_bytes_do_not_depend_on_where_and_by_whom_they_are_made(built: Path, sample: Path, tmp_path: Path) -> None:
    """Another locale, time zone, mask, hash seed and working directory; one worker, where the shared build had two.

    Of each dataset the first config, whose shards are to be those.
    """
    names = [f"{name}/{loaders.load(name).DATASET.configs[0].name}" for name in loaders.names()]
    env = environment(
        LC_ALL="C", LANG="C", TZ="Asia/Kathmandu", PYTHONHASHSEED="7", PYTHONUTF8="0", TMPDIR=str(tmp_path)
    )
    configs = [word for name in names for word in ("--config", name)]
    wanted = (*configs, "--source", sample, "--out", tmp_path / "out", "--workers", "1")
    command = " ".join(map(str, (*COMMAND, *wanted)))
    done = run("bash", "-c", f"umask 077; exec {command}", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    found, expected = shards(tmp_path / "out"), shards(built)
    assert found == {path: expected[path] for path in found}
    assert {path.split("/")[0] for path in found} == set(loaders.names())


def test_cards_differ_only_in_where_they_lie(built: Path, sample: Path, tmp_path: Path) -> None:
    publish("--config", RESIZED, "--source", sample, "--out", tmp_path)
    here, there = tmp_path / RESIZED, built / RESIZED
    text = (here / "README.md").read_text().replace(str(here), str(there))
    assert text == (there / "README.md").read_text()


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return the inode, size and mtime of every file that is not being built."""
    return {path: (s.st_ino, s.st_size, s.st_mtime_ns) for path in tree(folder) for s in [(folder / path).stat()]}


def copied(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place))


@pytest.mark.keeps("B11")
def test_a_rerun_rewrites_nothing(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = states(out)
    said = build(laid, out)
    assert states(out) == before
    assert said.count("there already") == 4


def test_archives_in_another_folder_are_the_same_archives(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = states(out)
    said = build(copied(laid.folder, tmp_path / "elsewhere"), out)
    assert states(out) == before
    assert said.count("there already") == 4


def test_one_config_built_alone_leaves_the_others(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = states(out / RESIZED)
    other_train(laid.folder, 16, 40)
    build(laid, out, "--config", f"{RESIZED}/16x16")
    after = states(out / RESIZED)
    assert {p: s for p, s in after.items() if p.startswith("8x8/")} == {
        p: s for p, s in before.items() if p[:3] == "8x8"
    }
    assert (rows_of(out, "8x8"), rows_of(out, "16x16")) == (60, 40)


def other_train(folder: Path, size: int, rows: int) -> None:
    """Put a train archive of other rows in the place of the one that is there."""
    pixels = writers.planar(archives.pictures(rows, size, 9))
    writers.write_train_zips(folder, size, writers.train_batches(pixels, archives.labels(rows)))


def test_the_configs_come_in_their_own_order_whatever_was_built_first(laid: archives.Laid, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    build(laid, one)
    build(laid, two, "--config", f"{RESIZED}/16x16")
    build(laid, two, "--config", f"{RESIZED}/8x8")
    assert {**tree(one), f"{RESIZED}/README.md": ""} == {**tree(two), f"{RESIZED}/README.md": ""}  # says where it lies


@pytest.mark.keeps("B3")
def test_fewer_shards_leave_no_stale_file(tmp_path: Path) -> None:
    out, folder = tmp_path / "out", make(tmp_path / "archives")
    archives.resized(folder, [8])
    with_shards(folder, 400_000)
    build(folder, out, "--config", f"{RESIZED}/8x8")
    assert len(list(out.rglob("train-*.parquet"))) == 4
    other_train(folder, 8, 60)
    build(folder, out, "--config", f"{RESIZED}/8x8")
    assert [path.name for path in sorted(out.rglob("train-*.parquet"))] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert rows_of(out, "8x8") == 60


@pytest.mark.keeps("B11", "B12")
def test_a_damaged_shard_is_mended(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before, intact = tree(out), states(out)
    for number, shard in enumerate(sorted(out.rglob("*.parquet"))):
        spoil(shard, number % 3)
        break
    said = build(laid, out)
    assert tree(out) == before
    after = states(out)
    assert [path for path in after if path.endswith(".parquet") and after[path] != intact[path]] == [
        f"{RESIZED}/16x16/train-00000-of-00002.parquet"
    ]
    assert said.count("there already") == 3


def spoil(path: Path, how: int) -> None:
    data = bytearray(path.read_bytes())
    if how == 0:
        data[len(data) // 2] ^= 1
    path.write_bytes(data if how < 1 else data[:-5])


@pytest.mark.keeps("B11")
@pytest.mark.parametrize("how", ["cut", "removed", "picture", "card", "class table"])
def test_whatever_is_broken_is_mended(how: str, laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    before = tree(out)
    shard = out / RESIZED / "8x8" / "train-00001-of-00002.parquet"
    damages: dict[str, Callable[[], object]] = {
        "cut": lambda: spoil(shard, 1),
        "removed": shard.unlink,
        "picture": lambda: (out / RESIZED / "pictures" / "mean-8x8-train.png").write_bytes(b""),
        "card": (out / RESIZED / "README.md").unlink,
        "class table": lambda: (out / RESIZED / "classes.tsv").write_text(""),
    }
    damages[how]()
    build(laid, out)
    assert tree(out) == before


def test_a_damaged_shard_of_another_config_is_told(laid: archives.Laid, tmp_path: Path) -> None:
    """A build of one config does not vouch for another whose files are gone."""
    out = tmp_path / "out"
    build(laid, out)
    (out / RESIZED / "8x8" / "train-00001-of-00002.parquet").unlink()
    before = tree(out)
    other_train(laid.folder, 16, 40)
    said = build(laid, out, "--config", f"{RESIZED}/16x16", code=1)
    assert "8x8/train-00001-of-00002.parquet" in said
    assert "--config imagenet_resized/8x8" in said
    assert tree(out) == before


def test_shards_that_two_configs_share_are_never_of_two_builds(tmp_path: Path) -> None:
    """Building 1pct from other validation archives changes files that 10pct has, too."""
    out, laid = tmp_path / "out", archives.subset(make(tmp_path / "archives"))
    build(laid, out, "--config", "imagenet2012_subset")
    numbers = writers.first_of_each_class()
    photos = [(numbers[label], archives.png(archives.pictures(1, 8, label)[0])) for label in range(7)]
    writers.write_ilsvrc_validation(laid.folder, sorted(photos))
    build(laid, out, "--config", "imagenet2012_subset/1pct")
    read = manifest.read(out / "imagenet2012_subset")
    assert read is not None
    listed = {(shard.path, shard.sha256) for entry in read.entries() for shard in entry.shards}
    found = {path.partition("/")[2]: sha256 for path, sha256 in tree(out).items()}
    assert listed == {(path, found[path]) for path, _ in listed}


@pytest.mark.keeps("B3")
def test_files_of_others_survive(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    foreign = {"LICENSE": "theirs", "notes/deep/run.ipynb": "{}", "8x8/readme.txt": "", ".gitattributes": "*"}
    for path, text in foreign.items():
        (out / RESIZED / path).parent.mkdir(parents=True, exist_ok=True)
        (out / RESIZED / path).write_text(text)
    other_train(laid.folder, 8, 40)
    build(laid, out)
    assert {path: (out / RESIZED / path).read_text() for path in foreign} == foreign
    assert rows_of(out, "8x8") == 40
    before = states(out)
    build(laid, out)
    assert states(out) == before


def test_a_link_of_others_survives(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    (tmp_path / "big.bin").write_bytes(b"far away")
    (out / RESIZED / "link.bin").symlink_to(tmp_path / "big.bin")
    (out / RESIZED / "dangling").symlink_to("nowhere")
    other_train(laid.folder, 8, 40)
    build(laid, out)
    assert (out / RESIZED / "link.bin").readlink() == tmp_path / "big.bin"
    assert (out / RESIZED / "dangling").readlink() == Path("nowhere")


def test_a_damaged_manifest_is_told(laid: archives.Laid, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(laid, out)
    (out / RESIZED / manifest.NAME).write_text('{"configs": ')
    before = tree(out)
    said = build(laid, out, code=1)
    assert str(out / RESIZED / manifest.NAME) in said
    assert tree(out) == before


def test_a_repository_of_another_dataset_is_told(built: Path, sample: Path, tmp_path: Path) -> None:
    """As after a wrong copy: neither taken for the old one, nor built over."""
    out = tmp_path / "out"
    copied(built / "imagenet_v2", out / RESIZED)
    before = tree(out)
    said = publish("--config", f"{RESIZED}/8x8", "--source", sample, "--out", out, code=1)
    assert (
        f"error: {out / RESIZED}/manifest.json: expected the manifest of imagenet_resized, found that of imagenet_v2"
        in said
    )
    assert tree(out) == before
