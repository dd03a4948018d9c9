"""imagenet2012_subset: the contract, the lists, the folders people have, and where validation labels come from."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Image as ImageFeature
from PIL import Image

import loaders
from loaders import SourceProblem, classes, imagenet2012_subset
from loaders.base import held
from loaders.base.dataset import SplitPlan
from loaders.files import places as paths
from loaders.ilsvrc.layout import DEVKIT, validation_labels
from loaders.sources.folder import SourceFolder
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.contract import every_check, every_config
from tests.kit.refusals import refused, says


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.subset(tmp_path_factory.mktemp("subset"))


@pytest.mark.keeps("S22", "S26")
@every_config("imagenet2012_subset")
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    """The same photographs in folders, and the test split that the tars here are without."""
    other = archives.subset(tmp_path_factory.mktemp("unpacked"), test=True)
    archives.unpack(other.folder)
    return other


@every_check
def test_contract_of_folders_and_test(unpacked: Laid, check: contract.Check, tmp_path: Path) -> None:
    check(unpacked, "10pct", tmp_path)


@every_config("imagenet2012_subset")
def test_the_sample(laid: Laid, config: str, sample: Path) -> None:
    contract.the_sample_needs_no_leave(laid, config, sample)


def test_the_default_is_the_smaller() -> None:
    assert imagenet2012_subset.Builder.DEFAULT_CONFIG_NAME == "1pct"


def test_the_smaller_config_has_rows_of_the_larger_in_their_order(laid: Laid) -> None:
    names = {c: contract.expected(laid, c)["train"]["file_name"].to_pylist() for c in archives.LISTED}
    assert [name for name in names["10pct"] if name in set(names["1pct"])] == names["1pct"]


def test_both_configs_have_the_same_validation_shards(laid: Laid) -> None:
    one, ten = (contract.plans("imagenet2012_subset", config, laid.folder)[1] for config in archives.LISTED)
    assert one.split == ten.split
    assert one.split.folder == "validation"
    assert contract.read(one).equals(contract.read(ten))


@pytest.mark.keeps("S18")
@pytest.mark.parametrize("shape", ["archive", "text"])
def test_labels_of_the_development_kit_are_those_of_the_package(laid: Laid, shape: str, tmp_path: Path) -> None:
    other = archives.subset(tmp_path)
    text = archives.truth_text(archives.truth_ids())
    if shape == "archive":
        archives.devkit(tmp_path, text)
    else:
        (tmp_path / archives.TRUTH).write_bytes(text)
    _, validation = contract.plans("imagenet2012_subset", "1pct", tmp_path)
    assert len(validation.archives) == 2
    assert contract.read(validation).equals(contract.expected(laid, "1pct")["validation"])
    contract.every_image_and_label_is_what_was_laid_out(other, "10pct", tmp_path)


@pytest.mark.keeps("S18")
@pytest.mark.parametrize("shape", ["archive", "text"])
@pytest.mark.parametrize("folders", [False, True])
def test_labels_that_are_not_the_development_kits_are_refused(shape: str, folders: bool, tmp_path: Path) -> None:
    """Whoever sorts the WordNet ids has another id for nearly every class."""
    archives.subset(tmp_path)
    if folders:
        archives.unpack(tmp_path)
    text = archives.truth_text(label + 1 for label in validation_labels())
    if shape == "archive":
        archives.devkit(tmp_path, text)
    else:
        (tmp_path / archives.TRUTH).write_bytes(text)
    path = tmp_path / (archives.TRUTH if shape == "text" else DEVKIT)
    says(refused("imagenet2012_subset", "1pct", tmp_path), path, "another class", "map_clsloc.txt", "Delete")


@pytest.mark.keeps("S18")
def test_one_label_that_is_not_the_development_kits(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    first, second, *rest = archives.truth_ids()
    (tmp_path / archives.TRUTH).write_bytes(archives.truth_text([first, second % 1000 + 1, *rest]))
    says(refused("imagenet2012_subset", "1pct", tmp_path), "1 of 50,000", "ILSVRC2012_val_00000002.JPEG")


@pytest.mark.keeps("S22", "S23")
def test_every_odd_photograph_decodes_to_rgb(laid: Laid) -> None:
    """CMYK, grey, turned by EXIF, and a PNG named .JPEG: bytes as they were, pixels in RGB."""
    table = contract.expected(laid, "1pct")["train"]
    files = {row["label"]: row["image"]["bytes"] for row in table.to_pylist()}
    opened = [Image.open(io.BytesIO(files[label])) for label in range(4)]
    assert [(image.format, image.mode) for image in opened] == [
        ("JPEG", "CMYK"),
        ("JPEG", "L"),
        ("JPEG", "RGB"),
        ("PNG", "RGB"),
    ]
    decoder = ImageFeature(mode="RGB")
    decoded = [decoder.decode_example({"bytes": files[label], "path": None}) for label in range(4)]
    assert [image.mode for image in decoded] == ["RGB"] * 4
    assert [image.size for image in decoded] == [(24, 20)] * 4
    assert opened[2].size == (20, 24)


def test_class_tars_in_any_order_give_the_same_rows(laid: Laid, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    train = archives._subset_train()
    photos = {w: [(r["file_name"], r["image"]) for r in reversed(rows)] for w, rows in reversed(train.items())}
    writers.write_ilsvrc_train(tmp_path, photos)
    again = contract.expected(Laid(laid.dataset, tmp_path, laid.rows), "10pct")["train"]
    assert again.equals(contract.expected(laid, "10pct")["train"])


# Folders


def tables(dataset: Laid, folder: Path, config: str = "1pct") -> dict[str, pa.Table]:
    return contract.expected(Laid(dataset.dataset, folder, dataset.rows), config)


def test_of_train_only_what_is_listed_is_looked_at(unpacked: Laid, tmp_path: Path) -> None:
    """Whatever else lies there is not in the way: read, the pipes would never end."""
    laid = archives.subset(tmp_path)
    archives.unpack(tmp_path)
    listed = {row["file_name"] for row in laid.rows["10pct"]["train"]}
    for path in sorted((tmp_path / "train").glob("*/*")):
        if path.name not in listed:
            path.unlink()
            os.mkfifo(path)
    (tmp_path / "train" / "cats").mkdir()
    (tmp_path / "train" / "n01440764" / "notes.txt").write_text("mine")
    assert tables(laid, tmp_path, "10pct")["train"].equals(tables(unpacked, unpacked.folder, "10pct")["train"])


@pytest.mark.keeps("S16", "S25")
def test_folders_of_all_that_is_listed_need_no_leave(tmp_path: Path) -> None:
    """Without --allow-partial: 12,811 photographs of the list and all of validation; and not with one less."""
    some = [tmp_path / f"{n}.JPEG" for n in range(8)]  # a file system admits few ten thousand names of one file
    for path in some:
        path.write_bytes(b"...")
    wnids = classes.wnids("ilsvrc")
    names = [f"{wnids[n % 1000]}_{n}.JPEG" for n in range(12_811)]
    places = [f"train/{name.partition('_')[0]}/{name}" for name in names]
    places += [f"val/ILSVRC2012_val_{n:08d}.JPEG" for n in range(1, 50_001)]
    for folder in {place.rpartition("/")[0] for place in places}:
        (tmp_path / folder).mkdir(parents=True)
    for number, place in enumerate(places):
        os.link(some[number % len(some)], tmp_path / place)
    (tmp_path / "1percent.txt").write_text("\n".join(names))
    loader = loaders.load("imagenet2012_subset")
    known = loader.config("1pct")

    (tmp_path / "test").mkdir()
    os.link(some[0], tmp_path / "test/ILSVRC2012_test_00000001.JPEG")
    found = loader.find(known, SourceFolder(tmp_path))

    def planned(*splits: str) -> list[SplitPlan]:
        wanted = tuple(split for split in known.splits if split.name in splits)
        return loader.plan(replace(known, splits=wanted), found, False)

    plans = planned("train", "validation")
    assert [(plan.rows, len(plan.jobs)) for plan in plans] == [(12_811, 16), (50_000, 48)]
    with pytest.raises(loaders.SourceProblem, match=f"{tmp_path}/test: .* 100,000 test rows, found 1."):
        planned("test")
    (tmp_path / places[-1]).unlink()
    with pytest.raises(loaders.SourceProblem, match=f"{tmp_path}/val: .* 50,000 validation rows, found 49,999."):
        planned("validation")
    (tmp_path / places[0]).unlink()
    with pytest.raises(
        loaders.SourceProblem, match=f"{tmp_path}/train: 1 of the 12,811 files .* not in it: {names[0]}. "
    ):
        planned("train")


def test_an_archive_is_taken_before_a_folder(laid: Laid, tmp_path: Path) -> None:
    other = archives.subset(tmp_path, test=True)
    archives.unpack(tmp_path)
    archives.subset(tmp_path, test=True)
    (archive,) = {
        p.archives[0] for p in contract.plans("imagenet2012_subset", "1pct", tmp_path) if p.split.name == "test"
    }
    assert archive.path == tmp_path / archives.TEST_TAR
    for path in (tmp_path / "test").iterdir():
        path.unlink()
    assert tables(other, tmp_path)["train"].equals(tables(laid, laid.folder)["train"])


def test_the_test_tar_under_its_older_name(unpacked: Laid, tmp_path: Path) -> None:
    other = archives.subset(tmp_path, test=True)
    (tmp_path / archives.TEST_TAR).rename(tmp_path / "ILSVRC2012_img_test.tar")
    assert tables(other, tmp_path)["test"].equals(tables(unpacked, unpacked.folder)["test"])


def test_an_empty_folder_is_no_test_split(tmp_path: Path) -> None:
    laid = archives.subset(tmp_path)
    (tmp_path / "test").mkdir()
    assert list(tables(laid, tmp_path)) == ["train", "validation"]


@pytest.mark.parametrize("litter", [[], [".DS_Store"]])
def test_an_empty_folder_does_not_hide_a_full_one(unpacked: Laid, litter: list[str], tmp_path: Path) -> None:
    laid = archives.subset(tmp_path, test=True)
    archives.unpack(tmp_path, "ILSVRC/Data/CLS-LOC")
    for name in ("train", "val", "test"):
        (tmp_path / name).mkdir()
        for each in litter:
            (tmp_path / name / each).touch()
    (tmp_path / "test" / "test_mine.py").touch()
    found, wanted = tables(laid, tmp_path), tables(unpacked, unpacked.folder)
    assert list(found) == list(wanted)
    assert all(found[split].equals(table) for split, table in wanted.items())


@pytest.mark.keeps("S8")
@pytest.mark.parametrize("name", ["train", "val"])
def test_photographs_of_an_empty_folder_are_missing(name: str, tmp_path: Path) -> None:
    archives.subset(tmp_path)
    archives.unpack(tmp_path)
    for path in sorted((tmp_path / name).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(loaders.MissingSources, match=rf"ILSVRC2012_img_{name}.tar[^|]*the folders it unpacks to"):
        contract.plans("imagenet2012_subset", "1pct", tmp_path)


@pytest.mark.keeps("S14")
def test_litter_in_a_folder_is_counted(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    archives.unpack(tmp_path)
    for name in (".DS_Store", "._ILSVRC2012_val_00000001.JPEG", "Thumbs.db"):
        (tmp_path / "val" / name).touch()
    _, validation = contract.plans("imagenet2012_subset", "1pct", tmp_path)
    assert dict(validation.skipped) == {"macOS metadata": 2, "Windows metadata": 1}


@pytest.mark.parametrize("layout", archives.LAYOUTS)
def test_folders_by_url_give_the_same_rows(layout: str, unpacked: Laid, tmp_path: Path) -> None:
    archives.subset(tmp_path, test=True)
    archives.unpack(tmp_path, **archives.LAYOUTS[layout])
    url = paths.place(f"memory://{layout}")
    for name in paths.files(tmp_path):
        (url / name).parent.mkdir(parents=True, exist_ok=True)
        (url / name).write_bytes((tmp_path / name).read_bytes())
    for config in archives.LISTED:
        found = tables(unpacked, url, config)
        assert list(found) == ["train", "validation", "test"]
        assert all(found[split].equals(table) for split, table in tables(unpacked, unpacked.folder, config).items())


# Lists of one's own


def listed(path: Path, folder: Path, partial: bool = True) -> dict[str, SplitPlan]:
    config = replace(imagenet2012_subset.config(path.stem), names=path)
    found = imagenet2012_subset.find(config, SourceFolder(folder))
    return {plan.split.name: plan for plan in held.plan(loaders.load("imagenet2012_subset"), config, found, partial)}


@pytest.mark.keeps("S25")
def test_a_list_of_ones_own_chooses_train_alone(laid: Laid, unpacked: Laid, tmp_path: Path) -> None:
    """From tars or folders: the same rows in the same order, and the validation files of the published configs."""
    rows = laid.rows["10pct"]["train"][::7]
    path = tmp_path / "few.txt"
    path.write_text("\n".join(str(row["file_name"]) for row in reversed(rows)))
    plans = listed(path, laid.folder)
    assert contract.by_name(contract.rows(contract.read(plans["train"]), laid.pixels)) == contract.by_name(rows)
    assert contract.read(plans["validation"]).equals(contract.expected(laid, "1pct")["validation"])
    assert contract.read(listed(path, unpacked.folder)["train"]).equals(contract.read(plans["train"]))
    assert [archive.name for archive in plans["train"].archives] == ["ILSVRC2012_img_train.tar", "few.txt"]


@pytest.mark.keeps("S25")
def test_a_name_on_a_list_of_ones_own_that_is_not_there(laid: Laid, tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("n01440764_100.JPEG\nn01440764_998.JPEG\nn01440764_999.JPEG\n")
    with pytest.raises(SourceProblem) as caught:
        listed(path, laid.folder, partial=False)
    says(str(caught.value), "2 of the 3 files that few.txt lists", "n01440764_998.JPEG, n01440764_999.JPEG", "Mend the")
    train = listed(path, laid.folder)["train"]
    assert (train.rows, dict(train.skipped)) == (1, {"listed in few.txt, not in the archive": 2})


def test_a_config_of_ones_own_without_its_list(laid: Laid) -> None:
    says(refused("imagenet2012_subset", "few", laid.folder), "imagenet2012_subset/few", "1pct and 10pct", "few.txt")
    with pytest.raises(KeyError):
        imagenet2012_subset.config("center")


def test_the_builder_takes_a_list(laid: Laid, tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("n01440764_100.JPEG\n")
    options = {"data_dir": str(laid.folder), "cache_dir": str(tmp_path / "cache"), "allow_partial": True}
    builder = imagenet2012_subset.Builder(names=str(path), **options)
    builder.download_and_prepare()
    assert builder.config.name == "few"
    assert builder.as_dataset(split="train")["file_name"][:] == ["n01440764_100.JPEG"]
    path.write_text("n01440764_101.JPEG\n")
    other = imagenet2012_subset.Builder(config_name="few", names=path, **options)
    assert other.cache_dir != builder.cache_dir
    with pytest.raises(ValueError, match="makes the config few, not 1pct"):
        imagenet2012_subset.Builder(config_name="1pct", names=path, **options)
    with pytest.raises(ValueError, match="imagenet_v2 takes no lists"):
        loaders.load("imagenet_v2").Builder(names=path, **options)  # type: ignore[attr-defined]
