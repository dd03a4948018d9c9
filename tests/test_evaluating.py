"""What docs/evaluate.md says to run: on the sample, and on rows whose answers are known."""

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, load_dataset

from loaders import classes
from loaders.ilsvrc.layout import validation_labels
from publish import __main__ as cli
from publish import manifest
from publish.card import render
from publish.regenerate import __main__ as regenerate
from tests.kit import answers, building, regenerating
from tests.kit.building import ROOT

DOCUMENT = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TRAINED, REAL, TURNED = _FENCE.findall(DOCUMENT)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with ReaL's answers."""
    answers.lay(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(code: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a program in this process, and return what it prints."""
    exec(code, {})
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def hub(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNetV2 of the sample, and a few photographs regenerated at 64x64, which have names."""
    folder = tmp_path_factory.mktemp("named")
    source = regenerating.lay_tars(folder / "originals", regenerating.drawn())
    out, options = folder / "regenerated", ("--sizes", "64", "--workers", "1")
    assert regenerate.main(["--source", str(source), "--out", str(out), *options]) == 0
    wanted = ("--config", "imagenet_resized/64x64", "--source", str(out), "--workers", "1")
    assert cli.main([*wanted, "--out", str(folder / "hub")]) == 0
    (folder / "hub" / "imagenet_v2_resized").symlink_to(built / "imagenet_v2_resized")
    return folder / "hub"


def rated() -> list[tuple[str, int]]:
    """Return the file name of each of its photographs of validation, and ILSVRC's label."""
    return [(name, classes.clsloc_to_ilsvrc()[label - 1]) for name, _, label in regenerating.drawn().rows("validation")]


def test_a_network_is_tested_on_validation_v2_and_real(hub: Path, here: Path) -> None:
    """Of five epochs one is run, by one thread: on a busy machine, several wait for each other."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    (here / "hub").symlink_to(hub)
    code = f"{TRAINED}\n{REAL}".replace("EPOCHS = 5", "EPOCHS = 1")
    done = building.run_reader(sys.executable, "-c", code, cwd=here, env=building.environment(OMP_NUM_THREADS="1"))
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(.*): right [\d.]+% of ([\d,]+)$", done.stdout, re.MULTILINE)
    _, count = answers.accuracy(*map(list, zip(*rated(), strict=True)))
    v2 = [(f"V2 {split}", "2,000") for split in ("matched_frequency", "threshold_0.7", "topimages")]
    assert found == [("validation", str(len(rated()))), *v2, ("ReaL", str(count))]


def of_card(card: str) -> str:
    """Return the program of a card that asks ReaL, as it runs beside the repository `hub`."""
    code: str = next(each for each in _FENCE.findall(card) if answers.NAME in each)
    return code.replace("hf://datasets/my-lab/imagenet_resized", "hub").replace('"my-lab/imagenet_resized"', '"hub"')


def test_the_card_joins_real_by_name(hub: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "hub").symlink_to(hub / "imagenet_resized")
    code = of_card((hub / "imagenet_resized" / "README.md").read_text())
    expected, count = answers.accuracy(*map(list, zip(*rated(), strict=True)))
    assert run(code, capsys) == f"ReaL accuracy {expected:.2%} of {count:,} photographs\n"


def test_the_card_joins_real_by_row_where_that_is_known(
    built: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not of the sample, of which no card says so: the rows stand for others here."""
    (here / "hub").symlink_to(built / "imagenet_resized")
    found = manifest.read(built / "imagenet_resized")
    assert found
    assert answers.NAME not in render.render(found)
    ordered = {split: replace(entry, named="row") for split, entry in found.configs["8x8"].items()}
    code = of_card(render.render(replace(found, configs={**found.configs, "8x8": ordered})))
    labels = [classes.clsloc_to_ilsvrc()[label] for label in labels_of(built, "8x8")]
    expected, count = answers.accuracy(NAMES[: len(labels)], labels)
    assert run(code, capsys) == f"ReaL accuracy {expected:.2%} of {count:,} photographs\n"


def labels_of(built: Path, config: str) -> list[int]:
    return list(load_dataset(str(built / "imagenet_resized"), config, split="validation")["label"])


def test_labels_are_turned_from_one_order_to_the_other(
    built: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "hub").symlink_to(built)
    assert run(TURNED, capsys) == "2000 labels turned\n"


@pytest.fixture
def program(here: Path) -> dict[str, Any]:
    """The functions of the program."""
    found: dict[str, Any] = {}
    exec(REAL.partition("\nrows = ")[0], found)
    return found


NAMES = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)]


def in_their_order() -> np.ndarray[Any, Any]:
    """Validation's labels as `imagenet_resized` has them."""
    return np.argsort(classes.clsloc_to_ilsvrc())[validation_labels()]


def test_real_is_joined_by_name(program: dict[str, Any]) -> None:
    places = np.random.default_rng(0).permutation(50_000)[:700]
    names, labels = [NAMES[place] for place in places], in_their_order()[places]
    rows = Dataset.from_dict({"label": labels, "file_name": names})
    expected = answers.accuracy(names, np.array(validation_labels())[places].tolist())
    assert program["real_accuracy"](rows, labels) == expected
    assert 0.5 < expected[0] < 0.95


def test_real_is_joined_by_row_where_the_order_is_known_and_refused_elsewhere(program: dict[str, Any]) -> None:
    labels = in_their_order()
    expected = answers.accuracy(NAMES, validation_labels())
    assert program["real_accuracy"](Dataset.from_dict({"label": labels}), labels) == expected
    shuffled = np.random.default_rng(0).permutation(labels)
    for other in (shuffled, labels[:-1]):
        with pytest.raises(SystemExit, match="cannot be joined"):
            program["real_accuracy"](Dataset.from_dict({"label": other}), other)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", DOCUMENT))
def test_links_of_the_document_resolve(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
