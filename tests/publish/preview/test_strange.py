"""What data and cards may hold: text that is no text, pictures from elsewhere, odd images, damage."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from publish.preview import markup
from publish.preview.rows import Page, Row
from tests.kit import making
from tests.kit.browsing import WINDOW, Previews, Viewer, tab_on

LONG = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunte"
NAMES = [
    '<img src=x onerror="window.ran=1">',
    LONG,
    "${window.ran=2} {{7*7}} `x`",
    "</script><script>window.ran=3</script>",
]
CARD = """# A card
<script>window.ran=4</script> <img src="none.png" onerror="window.ran=5" alt="none"> <svg onload="window.ran=6"></svg>
<iframe src="https://example.org/frame"></iframe> <a href="javascript:window.ran=7">press</a>

![away](https://example.org/a.png) <img src='//example.org/b.png' alt='off'> ![up](../../../etc/passwd)

${window.ran=8} {{7*7}}

```markdown
![kept as it is](https://example.org/c.png)
```
"""


def image(width: int, height: int, kind: str, seed: int = 0) -> bytes:
    """Encode noise, which hides nothing."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small repository for each test, of which it may make what it likes before it looks at it."""
    folder = tmp_path_factory.mktemp("strange")
    for name in ("anew", "damaged", "drawing", "empty", "long", "running"):
        making.part(built, folder / name)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path, profile: Any, previews: Previews) -> Iterator[Viewer]:
    """A tab on the preview of them."""
    with previews.served(folder) as address, tab_on(profile, address) as viewer:
        yield viewer


@pytest.fixture
def viewer(page: Viewer) -> Iterator[Viewer]:
    """That tab, held to what no tab may do at the end."""
    page.tab.bring_to_front()
    yield page
    page.tab.set_viewport_size(WINDOW)
    page.hold()


def look(viewer: Viewer, repository: Path) -> None:
    """Look at the rows of a repository that are made by a test."""
    viewer.choose("dataset", repository.name)
    viewer.choose("split", making.SPLIT)


def test_a_repository_that_is_built_anew_is_read_anew(folder: Path, viewer: Viewer) -> None:
    """When the page is loaded again."""
    viewer.choose("split", making.SPLIT)
    assert len(viewer.rows) == 100
    making.with_rows(folder / "anew", [image(8, 8, "PNG")], [0], ["tench"])
    viewer.tab.reload()
    viewer.tab.wait_for_selector("#rows li")
    assert viewer.chosen("dataset") == "anew"
    viewer.choose("split", making.SPLIT)
    assert viewer.rows == [(0, "0", "tench")]


def test_nothing_that_a_dataset_says_is_run(folder: Path, viewer: Viewer) -> None:
    repository = folder / "running"
    making.with_rows(repository, [image(8, 8, "PNG", i) for i in range(4)], range(4), NAMES)
    text = (repository / "README.md").read_text()
    (repository / "README.md").write_text(text.partition("\n# ")[0] + "\n" + CARD)
    look(viewer, repository)
    assert [name for _, _, name in viewer.rows] == NAMES
    viewer.tab.locator("#label input").click()
    assert viewer.tab.get_by_role("option", name=re.compile(r" \(\d\)$")).count() == len(NAMES)
    viewer.tab.keyboard.press("Escape")
    assert viewer.show("Statistics").locator("rect").count() == len(NAMES)
    shown = viewer.show("Card")
    said = shown.inner_text()
    shown.get_by_text("press").click()
    assert viewer.tab.evaluate("window.ran ?? 0") == 0
    for name in ("none", "away", "off", "up"):
        assert f"[{name}: this picture is not in the repository" in said
    assert "${window.ran=8} {{7*7}}" in said
    assert "![kept as it is](https://example.org/c.png)" in said
    viewer.show("Rows")


def test_a_card_cannot_draw_over_the_page(folder: Path, viewer: Viewer) -> None:
    """It asks for nothing elsewhere, either: `viewer` would complain."""
    with (folder / "drawing" / "README.md").open("a") as file:
        file.write(
            '\n<div style="position: fixed; inset: 0; background: url(https://example.org/a.png)">styled</div>\n'
        )
    viewer.choose("dataset", "drawing")
    styled = viewer.show("Card").get_by_text("styled")
    assert styled.evaluate("e => getComputedStyle(e).position") == "static"
    assert viewer.tab.evaluate("getComputedStyle(document.querySelector('#card')).contain") == "layout paint"
    viewer.show("Rows")
    viewer.press("Next 100")


def test_long_labels_and_photographs_stand_beside_small_images(folder: Path, viewer: Viewer) -> None:
    images = [image(8, 8, "PNG"), image(500, 375, "JPEG"), image(8, 8, "PNG")[:60], image(375, 500, "JPEG")]
    making.with_rows(folder / "long", images, [0, 1, 2, -1], ["tench", LONG, "a name " * 9])
    viewer.tab.set_viewport_size({"width": 400, "height": 900})
    look(viewer, folder / "long")
    assert [name for _, _, name in viewer.rows] == ["tench", LONG, "a name " * 9, "-1"]
    assert viewer.tab.evaluate("document.documentElement.scrollWidth") <= 400
    boxes = [viewer.tab.locator("#rows li").nth(i).bounding_box() for i in range(4)]
    parts = viewer.tab.locator("#rows li").nth(1).locator("img, strong, small")
    for part in (parts.nth(i).bounding_box() for i in range(parts.count())):
        assert boxes[1]["x"] <= part["x"] <= part["x"] + part["width"] <= boxes[1]["x"] + boxes[1]["width"]
    assert "this image cannot be decoded" in viewer.tab.locator("#rows li").nth(2).inner_text()
    assert [len(viewer.sources), "500x375 JPEG" in viewer.said, "375x500 JPEG" in viewer.said] == [3, True, True]


def test_an_empty_class_says_so(folder: Path, viewer: Viewer) -> None:
    making.with_rows(folder / "empty", [image(8, 8, "PNG")], [0], ["tench", "goldfish"])
    look(viewer, folder / "empty")
    viewer.choose_class("goldfish")
    assert viewer.rows == []
    assert viewer.said.strip() == "No row is of this class."


def test_a_damaged_shard_is_named_in_place_of_its_rows(folder: Path, viewer: Viewer) -> None:
    """The other shards and splits are still shown; when it is mended, so is it."""
    repository = folder / "damaged"
    path = making.shard_of(repository, number=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1000])
    viewer.choose("dataset", "damaged")
    assert viewer.numbers == list(range(100))
    viewer.jump(1500)
    assert "8x8/train-00001-of-00002.parquet: cannot be read: Parquet magic bytes not found" in viewer.said
    assert f"`python -m publish.check {repository}` says what is wrong" in viewer.said
    viewer.choose("split", "validation")
    assert viewer.numbers == list(range(100))
    path.unlink()
    viewer.choose("split", "train")
    viewer.jump(1500)
    assert "train-00001-of-00002.parquet: cannot be read: it is not there" in viewer.said
    path.write_bytes(whole)
    viewer.jump(1501)
    assert viewer.numbers == list(range(1501, 1601))


# Without a browser


def test_no_text_of_a_row_is_markup() -> None:
    row = Row(3, None, 0, {"file_name": "<b>${x}</b>"})
    found = markup.rows(Page([row], []), ["<i>{{name}}</i>"])
    assert not {"<i>", "<b>", "{", "$", "`"} & {found[i : i + n] for i in range(len(found)) for n in (1, 3)}
    assert "&lt;i&gt;&#123;&#123;name&#125;&#125;&lt;/i&gt;" in found
