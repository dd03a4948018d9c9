"""One's own list, published: a config of its own, whose card speaks of that list; another list is another source."""

import hashlib
from pathlib import Path

import datasets
import pytest

from publish import __main__ as cli
from publish import check, manifest
from tests.kit import archives, building
from tests.kit.refusals import says

SUBSET = "imagenet2012_subset"


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder of archives, and a list of three photographs of two classes beside it."""
    archives.subset(building.make(tmp_path / "archives"))
    (tmp_path / "few.txt").write_text("n01440764_100.JPEG\nn01440764_101.JPEG\nn01443537_100.JPEG\n")
    return tmp_path / "few.txt"


def publish(few: Path, capsys: pytest.CaptureFixture[str], *options: object, config: str = "few", code: int = 0) -> str:
    wanted = ["--config", f"{SUBSET}/{config}", "--names", few, "--source", few.parent / "archives"]
    found = cli.main([str(each) for each in (*wanted, "--out", few.parent / "hub", "--workers", 1, *options)])
    said = "".join(capsys.readouterr())
    assert found == code, said
    return said


def test_a_list_is_published_and_another_is_another_source(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = few.parent / "hub" / SUBSET
    said = publish(few, capsys, "--allow-partial")
    says(said, "3 photographs of 2 classes, 1 to 2 a class; 998 of the 1,000 classes have none")
    rows = datasets.load_dataset(str(out), "few", split="train")
    assert sorted(rows["file_name"]) == few.read_text().split()
    card = (out / "README.md").read_text()
    says(card, hashlib.sha256(few.read_bytes()).hexdigest(), "3 photographs of 2 classes", "few validation has")
    assert "SimCLR" not in card
    assert "simclr" not in card.lower()
    assert "few train has" not in card  # it is whole, by its list
    assert check.main([str(out)]) == 0
    capsys.readouterr()
    before = building.tree(out)
    says(publish(few, capsys, "--allow-partial"), "nothing left to build")
    assert building.tree(out) == before
    few.write_text("n01440764_101.JPEG\nn01443537_100.JPEG\nn01443537_101.JPEG\n")
    says(publish(few, capsys, "--allow-partial"), "3 built now")
    assert sorted(datasets.load_dataset(str(out), "few", split="train")["file_name"]) == few.read_text().split()
    old = manifest.read(out)
    assert old
    says(publish(few, capsys, "--allow-partial", "--config", f"{SUBSET}/1pct"), "few", "1pct")
    both = manifest.read(out)
    assert both
    assert list(both.configs) == ["1pct", "few"]
    assert both.configs["few"] == old.configs["few"]
    says((out / "README.md").read_text(), "no sample of SimCLR's", "`1pct` (the default) and `few`")


def test_what_a_list_lacks_is_told_on_the_card(few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with few.open("a") as file:
        file.write("n01440764_999.JPEG\n")
    publish(few, capsys, "--allow-partial")
    card = (few.parent / "hub" / SUBSET / "README.md").read_text()
    says(card, "few train has 3 of 4 rows", "| skipped: listed in few.txt, not in the archive | 1 |")


def test_what_does_not_go_together_is_refused_before_anything_is_looked_for(
    few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says(publish(few, capsys, config="1pct", code=1), f"Add --config {SUBSET}/few.")
    made = cli.main(["--config", "imagenet_resized/8x8-few", "--names", str(few), "--source", str(few.parent)])
    says("".join(capsys.readouterr()), "the archives of imagenet_resized/8x8-few were made by their list")
    assert made == 1
    other = few.parent / "archives" / "few.txt"
    other.write_bytes(few.read_bytes())
    says(publish(few, capsys, "--names", other, code=1), str(few), str(other), "would both make the config few")
    few.write_text("tench\n")
    says(publish(few, capsys, code=1), f"{few}: of 1 lines, 1 is no name")
    says(publish(few.parent / "Few.txt", capsys, code=1), "small letters")
    assert not (few.parent / "hub").exists()
