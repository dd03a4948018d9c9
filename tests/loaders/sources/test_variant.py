"""The names of configs and archives are one rule, read as it is written."""

import pytest

from loaders.formats.naming import TAKEN, is_list
from loaders.images.photographs import FILTERS
from loaders.sources.variant import Variant, parsed


@pytest.mark.parametrize(
    ("config", "variant", "train", "validation"),
    [
        ("8x8", Variant(8), ["Imagenet8_train_npz.zip"], "Imagenet8_val_npz.zip"),
        ("48x48", Variant(48), ["Imagenet48_train_npz.zip"], "Imagenet48_val_npz.zip"),
        ("63x63-few", Variant(63, names="few"), ["Imagenet63_few_train_npz.zip"], "Imagenet63_few_val_npz.zip"),
        ("64x64", Variant(64), ["Imagenet64_train_part1_npz.zip", "Imagenet64_train_part2_npz.zip"], None),
        ("64x64-lanczos", Variant(64, "lanczos"), ["Imagenet64_lanczos_train_part1_npz.zip", ...], None),
        ("147x147-center", Variant(147, "center"), [..., "Imagenet147_center_train_part2_npz.zip"], None),
        ("64x64-center-few", Variant(64, "center", "few"), [..., "Imagenet64_center_few_train_part2_npz.zip"], None),
        ("4x4-16", Variant(4, names="16"), ["Imagenet4_16_train_npz.zip"], "Imagenet4_16_val_npz.zip"),
    ],
)
def test_a_config_and_its_archives(config: str, variant: Variant, train: list[object], validation: str | None) -> None:
    assert parsed(config) == variant
    assert variant.config == config
    assert all(found == wanted for found, wanted in zip(variant.zips("train"), train, strict=True) if wanted != ...)
    assert validation in (None, *variant.zips("validation"))


@pytest.mark.parametrize(
    "config",
    ["", "8", "8x16", "08x08", "3x3", "148x148", "8x8-", "8x8--few", "8x8-box", "8x8-Few", "8x8-few-center", "8x8-a-b"]
    + [f"8x8-center-{name}" for name in sorted(TAKEN)]
    + ["8x8-squash", "8x8-1pct", "٤٨x٤٨"],
)
def test_no_other_name_is_a_config(config: str) -> None:
    with pytest.raises(KeyError):
        parsed(config)


def test_a_list_may_have_no_name_that_stands_for_another_thing() -> None:
    assert {*FILTERS, "center", "squash", "1pct", "10pct", "train", "val"} <= TAKEN
    assert not any(map(is_list, [*TAKEN, "Few", "few-er", "", "a_b", "few.txt"]))
    assert all(map(is_list, ["few", "2012", "centered"]))


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["imagenet32", "train", "npz", "zip"], "32x32"),
        (["mine"], "32x32"),
        (["imagenet32", "lanczos", "train"], "32x32-lanczos"),
        (["imagenet32", "center", "few", "val"], "32x32-center-few"),
        (["imagenet32", "few", "val"], "32x32-few"),
    ],
)
def test_what_archives_may_be_of_by_their_names(words: list[str], config: str) -> None:
    configs = ["32x32", "32x32-lanczos", "32x32-center", "32x32-few", "32x32-center-few"]
    found = [name for name in configs if parsed(name).fits(words)]
    assert found[-1] == config  # people may call upstream's whatever they like, a list's only by its name


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("48x48", "--sizes 48"),
        ("8x8-hamming", "--sizes 8 --resample hamming"),
        ("8x8-center-few", "--sizes 8 --crop center --names few.txt"),
    ],
)
def test_the_options_that_make_it(config: str, options: str) -> None:
    assert parsed(config).options() == options
