"""What README, docs and cards say of training: run, and held to each row once, epochs that differ, ranks apart."""

import re
from pathlib import Path

import pytest

from publish.card import render
from tests.kit import building
from tests.kit.building import ROOT

pytest.importorskip("torch", reason="the extra `train` is not installed")

_FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DOCUMENT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
# the others are on the cards, too, and run from there
OF_ARRAYS = [code for code in _FENCE.findall(DOCUMENT) if "loaders.training" in code]
CARDS = {"imagenet_resized": "8x8", "downsampled_imagenet": "32x32"}


def run(code: str, built: Path, folder: Path) -> str:
    (folder / "hub").symlink_to(built)
    return building.pasted(code, folder)


@pytest.mark.parametrize("number", range(len(OF_ARRAYS)))
def test_programs_with_arrays_run(number: int, built: Path, tmp_path: Path) -> None:
    """Of the network that learns, one epoch of five; chance is 0.1 %."""
    code = OF_ARRAYS[number]
    said = run(code.replace("EPOCHS = 5", "EPOCHS = 1"), built, tmp_path)
    assert said
    for right in re.findall(r"right ([\d.]+)%", said):
        assert float(right) > 5
    assert ("EPOCHS" in code) == ("right" in said)


_CLAIMS = """
def batches_of(loader):
    found = [batch[0] if isinstance(batch, (list, tuple)) else batch for batch in loader]
    return [[image.numpy().tobytes() for image in images] for images in found]

def flat(batches):
    return [image for batch in batches for image in batch]

import datasets
table = datasets.load_dataset(FOLDER, CONFIG, split="train")
everything = sorted(flat(batches_of([torch.from_numpy(decode(table.data["image"])).permute(0, 3, 1, 2)])))

rows = Rows(table)
first, second = (batches_of(epoch_of(rows, 64, epoch)) for epoch in range(2))
assert sorted(flat(first)) == sorted(flat(second)) == everything
assert first != second == batches_of(epoch_of(rows, 64, 1))
assert batches_of(epoch_of(rows, 64, 1, done=5)) == second[5:]
for ranks in (2, 3):
    parts = [flat(batches_of(epoch_of(rows, 64, 0, rank, ranks))) for rank in range(ranks)]
    assert sorted(flat(parts)) == everything and max(map(len, parts)) - min(map(len, parts)) <= 1

stream = datasets.load_dataset(FOLDER, CONFIG, split="train", streaming=True).shuffle(seed=1, buffer_size=200)
batches = Batches(stream, 64)
for workers in (0, 2):
    seen = []
    for epoch in range(2):
        stream.set_epoch(epoch)
        seen.append(batches_of(DataLoader(batches, batch_size=None, num_workers=workers)))
    assert sorted(flat(seen[0])) == sorted(flat(seen[1])) == everything and seen[0] != seen[1]
    gone_on = DataLoader(Batches(stream, 64, resume=(1, 5)), batch_size=None, num_workers=workers)
    assert batches_of(gone_on) == seen[1][5:]
for ranks in (2, 3):
    parts = [flat(batches_of(Batches(stream, 64, rank, ranks))) for rank in range(ranks)]
    assert sorted(flat(parts)) == everything
print("it holds")
"""


def loaders_of(text: str) -> str:
    found = [code.split("if __name__")[0] for code in _FENCE.findall(text)]
    return "".join(code for code in found if "class Rows" in code or "class Batches" in code)


@pytest.mark.filterwarnings("ignore:.*worker:UserWarning")
@pytest.mark.parametrize("dataset", CARDS)
def test_the_loaders_of_a_card_do_what_it_says(dataset: str, built: Path, tmp_path: Path) -> None:
    text = (built / dataset / "README.md").read_text(encoding="utf-8")
    names = f"FOLDER, CONFIG = {str(built / dataset)!r}, {CARDS[dataset]!r}\n"
    assert run(render.decoder() + loaders_of(text) + names + _CLAIMS, built, tmp_path) == "it holds\n"


def test_the_loaders_of_the_document_are_those_of_the_card(built: Path) -> None:
    """And are held to the same by that."""
    text = (built / "imagenet_resized" / "README.md").read_text(encoding="utf-8")
    mine = loaders_of(DOCUMENT).replace("from loaders.images import decode\n\n", "")
    assert loaders_of(text) == mine.replace("\n\n\n\n", "\n\n\n")


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", DOCUMENT))
def test_links_of_the_document_resolve(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
