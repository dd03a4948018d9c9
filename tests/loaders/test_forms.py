"""Each form in which people hold a dataset gives the shards of the registered form, to the byte."""

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import BinaryIO

import pytest

import loaders
from loaders.base.dataset import SplitPlan
from loaders.base.obtain import obtain
from loaders.formats import packed
from loaders.sources.folder import SourceFolder
from publish.build.shard import write_shard
from publish.sample import archives as writers
from tests.kit import archives, contract, forms
from tests.kit.refusals import flip, refused, says

Shards = Callable[[str, str], dict[str, list[str]]]


def shards(plans: list[SplitPlan], folder: Path) -> dict[str, list[str]]:
    """Return the SHA-256 of every shard, by split."""
    folder.mkdir()
    return {
        plan.split.name: [write_shard(job, folder / f"{plan.split.name}-{n}").sha256 for n, job in enumerate(plan.jobs)]
        for plan in plans
    }


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Return what gives the shards of a config from the archives that upstream registers."""
    lay: dict[str, Callable[[Path, str], archives.Laid]] = {
        "imagenet_resized": lambda folder, config: archives.resized(folder, [int(config.partition("x")[0])]),
        "downsampled_imagenet": lambda folder, _: archives.downsampled(folder),
        "imagenet_v2": lambda folder, _: archives.v2(folder),
    }

    @cache
    def made(dataset: str, config: str) -> dict[str, list[str]]:
        folder = tmp_path_factory.mktemp("registered")
        lay[dataset](folder, config)
        return shards(contract.plans(dataset, config, folder), folder / "out")

    return made


@pytest.mark.keeps("S34")
@pytest.mark.parametrize("form", forms.RESIZED)
def test_a_form_of_imagenet_resized(form: str, registered: Shards, tmp_path: Path) -> None:
    size, lay = forms.RESIZED[form]
    lay(forms._made(tmp_path / "source"))
    plans = contract.plans("imagenet_resized", f"{size}x{size}", tmp_path / "source")
    assert shards(plans, tmp_path / "out") == registered("imagenet_resized", f"{size}x{size}")


@pytest.mark.keeps("S34", "S33")
@pytest.mark.parametrize("config", ["32x32", "64x64"])
@pytest.mark.parametrize("form", forms.DOWNSAMPLED)
def test_a_form_of_downsampled_imagenet(form: str, config: str, registered: Shards, tmp_path: Path) -> None:
    forms.DOWNSAMPLED[form](tmp_path)
    plans = contract.plans("downsampled_imagenet", config, tmp_path)
    assert shards(plans, tmp_path / "out") == registered("downsampled_imagenet", config)


@pytest.mark.keeps("S20", "S34")
@pytest.mark.parametrize("config", writers.V2)
@pytest.mark.parametrize("form", forms.V2)
def test_a_form_of_imagenet_v2(form: str, config: str, registered: Shards, tmp_path: Path) -> None:
    forms.V2[form](tmp_path)
    plans = contract.plans("imagenet_v2", config, tmp_path)
    assert shards(plans, tmp_path / "out") == registered("imagenet_v2", config)
    assert (
        loaders.load("imagenet_v2").find(loaders.load("imagenet_v2").config(config), SourceFolder(tmp_path)).missing
        == ()
    )


@pytest.mark.keeps("S34")
def test_what_lies_there_twice_and_agrees_is_said(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    archives.resized_pickles(tmp_path, [8])
    forms.pickle_zips(tmp_path)
    loader = loaders.load("imagenet_resized")
    found = loader.find(loader.config("8x8"), SourceFolder(tmp_path))
    kinds = ["zips of npz batches", "zips of pickled batches", "loose batches"]
    for split in ("train", "validation"):
        taken = [found.archives[split], *found.others[split]]
        assert [{archive.form for archive in archives} for archives in taken] == [{kind} for kind in kinds]
    assert len(loader.plan(loader.config("8x8"), found, True)) == 2


@pytest.mark.keeps("S34")
def test_forms_of_other_rows_are_refused(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    archives.resized_pickles(tmp_path, [8])
    batch = archives.resized_batches(8)[1]
    lost = {"data": batch["data"][1:], "labels": batch["labels"][1:].tolist()}
    (tmp_path / "Imagenet8_val" / "val_data").write_bytes(archives.pickled(lost, 3, "numpy.core"))
    text = refused("imagenet_resized", "8x8", tmp_path)
    says(text, "Imagenet8_val_npz.zip (zips of npz batches) has 20 rows", "val_data (loose batches) has 19")


@pytest.mark.keeps("S34")
def test_copies_of_other_sizes_are_refused(tmp_path: Path) -> None:
    archives.resized(tmp_path, [8])
    data = (tmp_path / "Imagenet8_val_npz.zip").read_bytes()
    (tmp_path / "Imagenet8_val_npz (1).zip").write_bytes(data[:-100])
    text = refused("imagenet_resized", "8x8", tmp_path)
    says(text, f"(1).zip with {len(data) - 100:,} bytes", f"Imagenet8_val_npz.zip with {len(data):,} bytes")
    (tmp_path / "Imagenet8_val_npz (1).zip").write_bytes(data)
    assert len(contract.plans("imagenet_resized", "8x8", tmp_path)) == 2


@pytest.mark.keeps("S34")
def test_loose_copies_of_other_sizes_are_refused(tmp_path: Path) -> None:
    archives.resized_pickles(tmp_path, [8])
    batch = tmp_path / "Imagenet8_train" / "train_data_batch_4"
    batch.with_name("train_data_batch_4 (1)").write_bytes(batch.read_bytes()[:-1])
    says(refused("imagenet_resized", "8x8", tmp_path), batch, "(1)", "Only one can be right")


@pytest.mark.keeps("S7", "S34")
def test_batches_of_another_size_are_told_in_the_message(tmp_path: Path) -> None:
    forms.pickle_zips(tmp_path, 16)
    (tmp_path / "Imagenet16_train.zip").rename(tmp_path / "Imagenet8_train.zip")
    text = refused("imagenet_resized", "8x8", tmp_path)
    says(text, "`Imagenet8_train.zip` holds 10 pickled batches of 16x16", "Imagenet8_train_npz.zip")


@pytest.mark.keeps("S16", "S34")
def test_a_zip_of_nine_pickles_is_told_in_the_message(tmp_path: Path) -> None:
    train, validation = forms.batches(8, 3)
    train.pop("train_data_batch_9")
    forms.write(tmp_path, {"Imagenet8_train.zip": forms.zip_of(train), "Imagenet8_val.zip": forms.zip_of(validation)})
    says(refused("imagenet_resized", "8x8", tmp_path), "`Imagenet8_train.zip` holds 9 pickled batches of 8x8")


@pytest.mark.keeps("S9", "S34")
@pytest.mark.parametrize("deflated", [False, True])
def test_damaged_zips_of_pickles_are_refused_by_name(deflated: bool, tmp_path: Path) -> None:
    forms.pickle_zips(tmp_path, 16, deflated=deflated)
    path = tmp_path / "Imagenet16_val.zip"
    flip(path, 4000)
    says(refused("imagenet_resized", "16x16", tmp_path), path)
    gc.collect()  # tells of files that were left open


@pytest.mark.keeps("S9")
def test_no_pickle_in_a_zip_is_run(tmp_path: Path) -> None:
    forms.pickle_zips(tmp_path)
    bomb = b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR."
    train, _ = forms.batches(8, 3)
    train["train_data_batch_3"] = b"\x80\x03" + bomb
    (tmp_path / "Imagenet8_train.zip").write_bytes(forms.zip_of(train))
    says(refused("imagenet_resized", "8x8", tmp_path), "Imagenet8_train.zip", "train_data_batch_3", "os.system")
    assert not (tmp_path / "ran").exists()


@pytest.mark.keeps("S34")
def test_zips_of_pickles_need_no_leave(tmp_path: Path) -> None:
    """Nobody published digests; a whole set of other sizes is taken without --allow-partial."""
    forms.pickle_zips(tmp_path)
    loader = loaders.load("imagenet_resized")
    whole = replace(
        loader.config("8x8"),
        splits=tuple(replace(s, rows=archives.SPLITS[s.name]) for s in loader.config("8x8").splits),
    )
    (found,) = obtain([(loader, whole)], tmp_path, False)
    assert [plan.rows for plan in loader.plan(whole, found, False)] == [60, 20]
    assert {archive.origin for archive in found.all()} == {"unregistered"}


@pytest.mark.keeps("S34")
def test_a_folder_itself_may_be_the_source(tmp_path: Path) -> None:
    forms.V2["folders by number"](tmp_path)
    folder = tmp_path / "imagenetv2-threshold0.7-format-val"
    assert contract.plans("imagenet_v2", "threshold-0.7", folder)[0].rows == 2 * len(archives.V2_LABELS)
    loader = loaders.load("imagenet_v2")
    assert loader.find(loader.config("topimages"), SourceFolder(folder)).missing


@pytest.mark.keeps("S7", "S34")
def test_another_set_under_a_name_is_told(tmp_path: Path) -> None:
    forms._v2_tars(tmp_path, "index", "imagenetv2-{}.tar.gz", "imagenetv2-top-images-format-val")
    text = refused("imagenet_v2", "matched-frequency", tmp_path)
    says(text, "imagenetv2-matched-frequency.tar.gz: holds the folder imagenetv2-top-images-format-val", "topimages")


@pytest.mark.keeps("S2", "S34")
@pytest.mark.parametrize("form", ["gzip", "in a zip", "deflated in a zip", "gzip in a zip"])
def test_a_packed_tar_cut_short_is_refused(form: str, tmp_path: Path) -> None:
    forms.DOWNSAMPLED[form](tmp_path)
    (path,) = tmp_path.glob("valid_32x32*")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    says(refused("downsampled_imagenet", "32x32", tmp_path), path.name)


@pytest.mark.keeps("S10", "S29", "S34")
def test_wrong_files_in_a_folder_of_pictures_are_refused_by_name(tmp_path: Path) -> None:
    forms.DOWNSAMPLED["folders"](tmp_path)
    folder = tmp_path / "train_32x32"
    first = sorted(folder.iterdir())[0]
    (folder / "readme.txt").write_text("hello")
    says(refused("downsampled_imagenet", "32x32", tmp_path), folder, "'readme.txt'", "numbered PNG")
    (folder / "readme.txt").unlink()
    first.write_bytes(sorted((tmp_path / "train_64x64").iterdir())[0].read_bytes())
    says(refused("downsampled_imagenet", "32x32", tmp_path), first, "RGB PNG of 32x32, found: RGB 64x64")
    first.unlink()
    first.symlink_to(tmp_path / "nowhere")
    says(refused("downsampled_imagenet", "32x32", tmp_path), first, "link to what is not there")
    first.unlink()
    says(refused("downsampled_imagenet", "32x32", tmp_path, False), folder, "found 59")


@pytest.mark.keeps("S17", "S34")
def test_wrong_files_in_folders_of_v2_are_refused_by_name(tmp_path: Path) -> None:
    forms.V2["folders by number"](tmp_path)
    folder = tmp_path / "imagenetv2-top-images-format-val"
    forms.write(folder, {"1000/a.jpeg": b"-"})
    says(refused("imagenet_v2", "topimages", tmp_path), folder, "1000/a.jpeg")
    (folder / "1000" / "a.jpeg").unlink()
    forms.write(folder, {"7/a.txt": b"-"})
    says(refused("imagenet_v2", "topimages", tmp_path), folder, "7/a.txt")
    (folder / "7" / "a.txt").unlink()
    says(refused("imagenet_v2", "topimages", tmp_path, False), folder, "expected 10 photographs in each")


@pytest.mark.keeps("S34")
def test_a_folder_and_a_tar_are_compared_where_both_are_known(tmp_path: Path) -> None:
    archives.downsampled(tmp_path)
    forms.write(tmp_path / "train_32x32", {"0000001.png": archives.png(archives.pictures(1, 32, 0)[0])})
    says(
        refused("downsampled_imagenet", "32x32", tmp_path), "train_32x32.tar", "60 rows", "folder of PNG files", "has 1"
    )


def test_a_compressed_tar_is_inflated_once_by_who_makes_its_shards_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms.DOWNSAMPLED["gzip"](tmp_path)
    train, _ = contract.plans("downsampled_imagenet", "32x32", tmp_path)
    assert [job.continues for job in train.jobs] == [False, True]
    opened: list[Path] = []
    real = packed.open_tar

    def counted(path: Path) -> BinaryIO:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(packed, "open_tar", counted)
    packed.close()
    assert contract.read(train).num_rows == 60
    assert len(opened) == 1
