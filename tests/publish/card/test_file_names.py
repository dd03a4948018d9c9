"""Of archives without names: which photographs the rows of validation are, where their order tells."""

import re
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest

from publish import __main__ as cli
from publish import manifest
from publish.card import file_names
from publish.sample import archives as writers
from tests.kit import archives

ROWS = 50_000


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made of archives as upstream has them, all of validation, each picture its row's number. Not to be changed."""
    folder = tmp_path_factory.mktemp("upstream")
    laid = archives.resized(folder, [8])
    pixels = np.zeros((ROWS, 192), np.uint8)
    pixels[:, :3] = np.arange(ROWS, dtype="<u4").view(np.uint8).reshape(ROWS, 4)[:, :3]
    writers.write_validation_zip(laid.folder, 8, {"data": pixels, "labels": np.array(archives.truth_ids())})
    words = ["--config", "imagenet_resized/8x8", "--source", str(laid.folder), "--out", str(folder / "hub")]
    assert cli.main([*words, "--workers", "1", "--allow-partial"]) == 0
    return folder / "hub" / "imagenet_resized"


def test_in_the_order_of_file_names_one_line_adds_the_column(repository: Path, tmp_path: Path) -> None:
    card = (repository / "README.md").read_text(encoding="utf-8")
    part = card.split("<!-- begin measured: file names")[1].split("<!-- end")[0]
    assert "In `8x8` the rows of validation stand in the order of ILSVRC's file names" in part
    (line,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    names = {"ds": datasets.load_dataset(str(repository), "8x8", split="validation", cache_dir=str(tmp_path / "cache"))}
    exec(line, names)
    found = names["ds"]
    assert found.num_rows == ROWS
    for row in (0, 1, 4_321, ROWS - 1):
        red, green, blue = np.asarray(found[row]["image"]).reshape(64, 3)[:3, 0].tolist()
        assert red + 256 * green + 65_536 * blue == row
        assert found[row]["file_name"] == f"ILSVRC2012_val_{row + 1:08d}.JPEG"


def test_in_another_order_the_card_says_that_it_is_not_known(repository: Path) -> None:
    """What is taken for that: tests/loaders/base/test_heads.py."""
    read = manifest.read(repository)
    assert read
    unknown = {split: replace(entry, named="") for split, entry in read.configs["8x8"].items()}
    said = file_names.markdown(replace(read, configs={"8x8": unknown}))
    assert "In `8x8` it is not known which photograph a row is" in said
    assert "```" not in said
