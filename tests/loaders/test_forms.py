"""Each form in which people hold a dataset gives the shards of the registered form, to the byte."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import loaders
from loaders.base.dataset import SplitPlan
from loaders.base.obtain import obtain
from loaders.sources.folder import SourceFolder
from publish.build.shard import write_shard
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
def test_damaged_zips_of_pickles_are_refused_by_name(tmp_path: Path) -> None:
    forms.pickle_zips(tmp_path, deflated=True)
    path = tmp_path / "Imagenet8_val.zip"
    flip(path, 400)
    says(refused("imagenet_resized", "8x8", tmp_path), path)


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
