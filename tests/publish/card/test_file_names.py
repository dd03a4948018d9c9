"""Of archives without names: which photographs the rows of validation are, where their order tells."""

import re
from pathlib import Path

import datasets
import numpy as np

from publish import __main__ as cli
from publish.sample import archives as writers
from tests.kit import archives

ROWS = 50_000


def built(folder: Path, labels: list[int]) -> Path:
    """Return the repository of archives as upstream has them, of all of validation, each picture its row's number."""
    laid = archives.resized(folder, [8])
    numbers = np.arange(ROWS, dtype="<u4").view(np.uint8).reshape(ROWS, 4)
    pixels = np.zeros((ROWS, 192), np.uint8)
    pixels[:, :3] = numbers[:, :3]
    writers.write_validation_zip(laid.folder, 8, {"data": pixels, "labels": np.array(labels)})
    words = ["--config", "imagenet_resized/8x8", "--source", str(laid.folder), "--out", str(folder / "hub")]
    assert cli.main([*words, "--workers", "1", "--allow-partial"]) == 0
    return folder / "hub" / "imagenet_resized"


def part(repository: Path) -> str:
    card = (repository / "README.md").read_text(encoding="utf-8")
    return card.split("<!-- begin measured: file names")[1].split("<!-- end")[0]


def test_in_the_order_of_file_names_one_line_adds_the_column(tmp_path: Path) -> None:
    repository = built(tmp_path, archives.truth_ids())
    assert "In `8x8` the rows of validation stand in the order of ILSVRC's file names" in part(repository)
    (line,) = re.findall(r"```python\n(.*?)```", part(repository), re.DOTALL)
    names = {"ds": datasets.load_dataset(str(repository), "8x8", split="validation", cache_dir=str(tmp_path / "cache"))}
    exec(line, names)
    found = names["ds"]
    assert found.num_rows == ROWS
    for row in (0, 1, 4_321, ROWS - 1):
        red, green, blue = np.asarray(found[row]["image"]).reshape(64, 3)[:3, 0].tolist()
        assert red + 256 * green + 65_536 * blue == row
        assert found[row]["file_name"] == f"ILSVRC2012_val_{row + 1:08d}.JPEG"


def test_in_another_order_the_card_says_that_it_is_not_known(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(0).permutation(archives.truth_ids()).tolist()
    said = part(built(tmp_path, shuffled))
    assert "In `8x8` it is not known which photograph a row is" in said
    assert "```" not in said
