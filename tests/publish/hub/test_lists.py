"""One's own list on the Hub: nothing is sent again for the same list; another is another, and a tag leads back."""

import pytest

from tests.kit import archives, building
from tests.kit.pushing import Desk, card, contents, is_whole

SUBSET = "imagenet2012_subset"


@pytest.mark.keeps("P10", "P20")
def test_a_list_is_pushed_and_taken_back(desk: Desk) -> None:
    archives.subset(building.make(desk.folder / "ilsvrc"))
    few = desk.folder / "few.txt"

    def push(*names: str) -> int:
        few.write_text("".join(f"{name}\n" for name in names))
        options = ("--names", few, "--tag", f"v{names[0].partition('_')[2][:3]}")
        return desk.push(*options, source=desk.folder / "ilsvrc", config=f"{SUBSET}/few").commits

    assert push("n01440764_100.JPEG", "n01443537_100.JPEG") == 1
    first = contents(desk.repo(SUBSET))
    assert is_whole(desk.repo(SUBSET))
    assert "SimCLR" not in card(desk.repo(SUBSET))
    desk.forget()
    assert push("n01440764_100.JPEG", "n01443537_100.JPEG") == 0
    assert push("n01440764_101.JPEG", "n01443537_100.JPEG") == 1
    assert is_whole(desk.repo(SUBSET))
    desk.run("publish.restore", desk.name(SUBSET), "v100")
    assert contents(desk.repo(SUBSET)) == first
