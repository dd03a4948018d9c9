"""imagenet2012_subset: the contract, the lists and where validation labels come from."""

import io
from pathlib import Path

import pytest
from datasets import Image as ImageFeature
from PIL import Image

from loaders import classes, imagenet2012_subset
from publish import sample as writers
from tests import archives, contract
from tests.archives import Laid
from tests.contract import every_check, every_config


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.subset(tmp_path_factory.mktemp("subset"))


@pytest.mark.keeps("S22", "S26")
@every_config("imagenet2012_subset")
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


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


def test_labels_of_the_development_kit_are_taken(tmp_path: Path) -> None:
    """Ids are read, not assumed: all of them moved by one."""
    archives.subset(tmp_path)
    ids = archives.truth_ids()
    archives.devkit(tmp_path, archives.truth_text([number % 1000 + 1 for number in ids]))
    _, validation = contract.plans("imagenet2012_subset", "1pct", tmp_path)
    wnid_of = dict(enumerate(classes.wnids("clsloc"), 1))
    label_of = classes.label_of_wnid("ilsvrc")
    for row in contract.read(validation).to_pylist():
        number = int(row["file_name"][15:23])
        assert row["label"] == label_of[wnid_of[ids[number - 1] % 1000 + 1]]


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
