"""The class table: both orders, held against facts that were not made from it."""

import importlib.resources
from collections import Counter

import pytest

import loaders
from loaders import classes


def test_a_thousand_classes_once_each() -> None:
    table = classes.classes()
    assert len(table) == classes.COUNT == 1000
    for values in (
        {c.wnid for c in table},
        {c.name for c in table},
        {c.ilsvrc_label for c in table},
        {c.clsloc_label for c in table},
    ):
        assert len(values) == 1000
    assert {c.ilsvrc_label for c in table} == {c.clsloc_label for c in table} == set(range(1000))
    assert all(c.name.strip() == c.name != "" for c in table)


@pytest.mark.keeps("S18")
@pytest.mark.parametrize(
    ("order", "label", "wnid", "name"),
    [
        ("ilsvrc", 0, "n01440764", "tench, Tinca tinca"),
        ("ilsvrc", 1, "n01443537", "goldfish, Carassius auratus"),
        ("ilsvrc", 207, "n02099601", "golden retriever"),
        ("ilsvrc", 281, "n02123045", "tabby, tabby cat"),
        ("ilsvrc", 999, "n15075141", "toilet tissue, toilet paper, bathroom tissue"),
        ("clsloc", 0, "n02119789", "kit fox, Vulpes macrotis"),
        ("clsloc", 1, "n02100735", "English setter"),
        ("clsloc", 448, "n01440764", "tench, Tinca tinca"),
    ],
)
def test_labels_that_are_known(order: classes.Order, label: int, wnid: str, name: str) -> None:
    assert classes.wnids(order)[label] == wnid
    assert classes.names(order)[label] == name
    assert classes.label_of_wnid(order)[wnid] == label


@pytest.mark.keeps("S18")
def test_ilsvrc_labels_are_the_sorted_wnids() -> None:
    wnids = [c.wnid for c in classes.classes()]
    assert list(classes.wnids("ilsvrc")) == sorted(wnids) == wnids
    assert list(classes.wnids("clsloc")) != sorted(wnids)


@pytest.mark.keeps("S18")
def test_the_table_between_the_orders() -> None:
    table = classes.clsloc_to_ilsvrc()
    assert table[0] == classes.label_of_wnid("ilsvrc")["n02119789"]
    assert [classes.names("ilsvrc")[i] for i in table] == list(classes.names("clsloc"))
    assert sorted(table) == list(range(1000))


def test_the_two_cranes_are_told_apart() -> None:
    cranes = [(c.wnid, c.name) for c in classes.classes() if c.name.split(",")[0].split(" (")[0] == "crane"]
    assert [wnid for wnid, _ in cranes] == ["n02012849", "n03126707"]
    assert len({name for _, name in cranes}) == 2


@pytest.mark.keeps("S18")
@pytest.mark.parametrize(
    ("dataset", "first"),
    [
        ("imagenet_resized", "kit fox, Vulpes macrotis"),
        ("imagenet2012_subset", "tench, Tinca tinca"),
        ("imagenet_v2", "tench, Tinca tinca"),
        ("imagenet_v2_resized", "kit fox, Vulpes macrotis"),
    ],
)
def test_each_dataset_has_its_upstream_order(dataset: str, first: str) -> None:
    module = loaders.load(dataset)
    assert module.DATASET.features["label"]["names"][0] == first
    names = module.Builder(config_name=module.DATASET.default.name).info.features["label"].names  # type: ignore[attr-defined]
    assert names == module.DATASET.features["label"]["names"]
    assert len(set(names)) == 1000


def test_validation_labels_of_the_package() -> None:
    """ILSVRC2012_val_00000001.JPEG is a sea snake (65), ...2 an alp (970); 50 a class."""
    text = (importlib.resources.files("loaders.ilsvrc") / "validation_labels.txt").read_text()
    labels = [int(label) for label in text.split()]
    assert labels[:4] == [65, 970, 230, 809]
    assert Counter(labels) == dict.fromkeys(range(1000), 50)
    assert classes.names("ilsvrc")[65] == "sea snake"
    assert classes.names("ilsvrc")[970] == "alp"
