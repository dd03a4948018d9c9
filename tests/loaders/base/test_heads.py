"""What batches tell of their photographs: by names, which are all there or none, or by the order of validation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import SourceProblem, classes
from loaders.base.heads import Head, Heads, are_named
from loaders.formats.batches import BatchFile, OpenBatch
from publish.sample.archives import npz
from tests.kit import archives


def head(name: str, names: list[bytes] | None, rows: int = 2) -> Head:
    return Head(BatchFile(Path(name)), np.zeros(rows, np.int64), None if names is None else np.array(names))


ONE, OTHER, NONE = head("one", [b"a", b"bcd"]), head("other", [b"b", b"c"]), head("none", None)


def test_names_are_taken_when_all_batches_of_all_splits_have_them() -> None:
    assert are_named([Heads("train", [ONE, OTHER]), Heads("validation", [ONE])], partial=False)
    assert not are_named([Heads("train", [NONE, NONE]), Heads("validation", [NONE])], partial=False)


@pytest.mark.keeps("S35")
@pytest.mark.parametrize(
    "splits",
    [
        [Heads("train", [ONE, NONE]), Heads("validation", [OTHER])],
        [Heads("train", [ONE]), Heads("validation", [NONE])],
        [Heads("train", [NONE]), Heads("validation", [ONE])],
    ],
)
def test_names_of_some_alone_are_refused_with_advice_and_left_out_with_leave(splits: list[Heads]) -> None:
    with pytest.raises(SourceProblem, match=r"one: has .* none has none.*publish\.regenerate.*--allow-partial"):
        are_named(splits, partial=False)
    assert not are_named(splits, partial=True)


@pytest.mark.keeps("S35")
@pytest.mark.parametrize("partial", [False, True])
def test_a_name_that_a_split_has_twice_is_refused(partial: bool) -> None:
    splits = [Heads("train", [ONE, head("twice", [b"x", b"bcd"])])]
    with pytest.raises(SourceProblem, match="twice: names bcd, which stands in one already"):
        are_named(splits, partial)


def validation(labels: Any) -> Heads:
    return Heads("validation", [Head(BatchFile(Path("val_data")), np.array(labels, np.int64), None)])


def test_validation_in_the_order_of_file_names_is_known_by_all_its_labels() -> None:
    """Held against the development kit's ids, which are the authors' labels and 1 more."""
    labels = np.array(archives.truth_ids()) - 1

    assert validation(labels).by_row == "row"
    assert Heads("train", validation(labels).each).by_row == ""
    assert validation(labels[:-1]).by_row == ""
    assert validation(np.random.default_rng(0).permutation(labels)).by_row == ""
    assert validation(np.argsort(classes.clsloc_to_ilsvrc())[0] + 0 * labels).by_row == ""
    labels[[0, 1]] = labels[[1, 0]]
    assert validation(labels).by_row == ""


# The array


def batch(folder: Path, names: Any, form: str) -> OpenBatch:
    content = {"data": np.zeros((3, 192), np.uint8), "labels": np.ones(3, np.int64), "file_names": names}
    place = folder / ("val_data.npz" if form == "npz" else "val_data")
    place.write_bytes(npz(content) if form == "npz" else archives.pickled(content, 3))
    return OpenBatch(BatchFile(place), 8)


@pytest.mark.parametrize("form", ["npz", "pickle"])
@pytest.mark.parametrize("names", [[b"a", b"bb.JPEG", b"c"], [b"n01440764_10026.JPEG"] * 3])
def test_names_are_read_as_they_were_written(names: list[bytes], form: str, tmp_path: Path) -> None:
    found = batch(tmp_path, np.array(names), form).file_names
    assert found is not None
    assert found.tolist() == names


@pytest.mark.parametrize("form", ["npz", "pickle"])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (np.array([b"a", b"b"]), r"expected file_names of up to 100 bytes \[3\], found \|S1 \[2\]"),
        (np.arange(3), r"file_names of up to 100 bytes \[3\], found int64 \[3\]"),
        (np.array([b"a" * 101] * 3), r"found \|S101 \[3\]"),
        (np.array([b"a", "é".encode(), b"c"]), "expected names of files in ASCII"),
        (np.array([b"a", b"", b"c"]), "expected names of files in ASCII"),
        (np.array([b"a", b"b\n", b"c"]), "expected names of files in ASCII"),
    ],
)
def test_what_are_no_names_is_refused(names: Any, said: str, form: str, tmp_path: Path) -> None:
    with pytest.raises(SourceProblem, match=said):
        batch(tmp_path, names, form).file_names  # noqa: B018
