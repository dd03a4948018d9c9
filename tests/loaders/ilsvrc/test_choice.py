"""A choice of classes, as ImageNet-100 is one, beside the validation of all."""

from pathlib import Path

import pytest

from loaders import classes
from loaders.ilsvrc.choice import labels_there
from tests.kit import archives, contract, ilsvrc

WNIDS = classes.wnids("ilsvrc")[:2]
LABELS = {0, 1}


FORMS = {name: ilsvrc.FORMS[name] for name in ("folders", "class tars", "packed again", "Parquet")}


@pytest.mark.keeps("S32")
@pytest.mark.parametrize("form", FORMS)
def test_validation_is_cut_to_the_classes_that_train_has_and_that_is_said(form: str, tmp_path: Path) -> None:
    archives.subset(tmp_path, test=True)
    ilsvrc.choose(tmp_path, WNIDS)
    FORMS[form](tmp_path)
    train, validation, test = contract.plans("imagenet2012_subset", "10pct", tmp_path)
    assert labels_there(train.archives[0].path) == LABELS
    assert set(contract.read(train)["label"].to_pylist()) == LABELS
    assert set(contract.read(validation)["label"].to_pylist()) == LABELS
    assert validation.skipped["photograph of a class that train has not"] == len(archives.SUBSET_LABELS) - 2
    assert test.rows == 30


@pytest.mark.keeps("S32")
def test_validation_of_another_choice_is_taken_whole_with_leave_and_that_is_said(tmp_path: Path) -> None:
    archives.subset(tmp_path)
    ilsvrc.choose(tmp_path, WNIDS)
    archives.unpack(tmp_path)
    for path in sorted((tmp_path / "val").iterdir()):
        if ilsvrc.wnid_of(path.stem) in WNIDS:
            path.unlink()
    _, validation = contract.plans("imagenet2012_subset", "10pct", tmp_path)
    count = len(archives.SUBSET_LABELS) - 2
    said = "photograph of a class that train has not, and taken: none is of one that it has"
    assert (validation.rows, dict(validation.skipped)) == (count, {said: count})
