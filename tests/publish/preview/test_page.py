"""The page in a real browser: rows, lists, pages, classes, the card; by mouse, by keyboard, narrow and wide."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from publish import manifest
from tests.kit.browsing import Viewer, pixels

RESIZED = "imagenet_resized"


def table(built: Path, config: str = "8x8", split: str = "train", dataset: str = RESIZED) -> pa.Table:
    """Return a split as pyarrow reads it."""
    found = manifest.read(built / dataset)
    assert found
    return pa.concat_tables(pq.read_table(built / dataset / s.path) for s in found.configs[config][split].shards)


def names(rows: pa.Table) -> list[str]:
    features = json.loads(rows.schema.metadata[b"huggingface"])["info"]["features"]
    return list(features["label"]["names"])


def expected(rows: pa.Table, numbers: list[int]) -> list[tuple[int, str, str]]:
    """Return what the page shows of rows."""
    return [
        (n, str(label), names(rows)[label])
        for n, label in zip(numbers, rows["label"].take(numbers).to_pylist(), strict=True)
    ]


def files(viewer: Viewer) -> list[bytes]:
    """Return the images on the page as they were sent."""
    return [base64.b64decode(source.partition(";base64,")[2]) for source in viewer.sources]


def test_the_page_opens_on_the_default_config(viewer: Viewer, built: Path) -> None:
    viewer.choose("dataset", "imagenet_v2_resized")
    viewer.choose("config", "64x64")
    viewer.choose("dataset", RESIZED)
    assert viewer.tab.title().startswith("Preview: ")
    assert {name: viewer.chosen(name) for name in ("dataset", "config", "split")} == {
        "dataset": RESIZED,
        "config": "8x8",
        "split": "train",
    }
    rows = table(built)
    assert viewer.rows == expected(rows, list(range(100)))
    assert files(viewer) == rows["image"].combine_chunks().field("bytes")[:100].to_pylist()
    assert viewer.said.startswith("Rows 0 to 99 of 2,000")


def test_the_lists_are_those_of_the_hub(viewer: Viewer) -> None:
    """The default config is first, the others go by name."""
    viewer.tab.locator("#config input").click()
    viewer.options("config").nth(3).wait_for()
    listed = [text.split()[-1] for text in viewer.options("config").all_inner_texts()]
    assert listed == ["8x8", "16x16", "32x32", "64x64"]


def test_a_config_is_chosen(viewer: Viewer, built: Path) -> None:
    viewer.choose("config", "64x64")
    viewer.choose("split", "validation")
    rows = table(built, "64x64", "validation")
    assert viewer.rows == expected(rows, list(range(100)))
    assert files(viewer) == rows["image"].combine_chunks().field("bytes")[:100].to_pylist()


def test_a_list_that_is_left_without_a_choice_changes_nothing(viewer: Viewer, built: Path) -> None:
    """Neither the page of rows nor the list: what was typed there goes."""
    viewer.press("Next 100")
    for number, name in enumerate(("dataset", "config", "split", "label"), 2):
        chosen = viewer.chosen(name)
        field = viewer.tab.locator(f"#{name} input")
        field.click()
        field.press_sequentially("no such choice")
        field.press("Tab")
        viewer.press("Next 100")
        assert viewer.chosen(name) == chosen, name
        assert viewer.rows == expected(table(built), list(range(100 * number, 100 * number + 100))), name


def test_a_list_that_tab_left_takes_fewer_choices(viewer: Viewer) -> None:
    """Gradio took it for open still, and failed over the choices that were gone."""
    viewer.tab.locator("#split input").click()
    viewer.tab.keyboard.press("Tab")
    viewer.choose("config", "16x16")
    viewer.choose("dataset", "imagenet_v2")
    assert viewer.chosen("split") == "test"


def test_the_line_to_copy_is_exact(viewer: Viewer, built: Path) -> None:
    viewer.choose("config", "16x16")
    line = f'ds = load_dataset("{built / RESIZED}", "16x16", split="train")'
    viewer.tab.wait_for_function(
        "text => document.querySelector('#load .cm-content').innerText.includes(text)", arg=line
    )
    code = viewer.tab.locator("#load .cm-content").inner_text()
    assert [text for text in code.splitlines() if text.strip()] == ["from datasets import load_dataset", line]


def test_pages_follow_each_other(viewer: Viewer, built: Path) -> None:
    first = viewer.sources
    assert viewer.tab.locator("#before").is_disabled()
    viewer.press("Next 100")
    assert viewer.rows == expected(table(built), list(range(100, 200)))
    assert set(viewer.sources) & set(first) == set()
    viewer.press("Previous 100")
    assert viewer.sources == first


def test_the_next_page_begins_at_its_top(viewer: Viewer) -> None:
    """The buttons stay in sight, and what they lead to begins under them."""
    viewer.tab.locator("#rows li").last.scroll_into_view_if_needed()
    viewer.press("Next 100")
    viewer.tab.wait_for_function("() => document.querySelector('#rows li').getBoundingClientRect().top < 400")
    bar, row = (viewer.tab.locator(name).first.bounding_box() for name in ("#turn", "#rows li"))
    assert 0 <= bar["y"] <= bar["y"] + bar["height"] <= row["y"] < 400


def test_a_far_row_is_jumped_to(viewer: Viewer, built: Path) -> None:
    """Into the second shard, across its border, and to the end."""
    jumps = {1950: range(1950, 2000), -5: range(100), 950: range(950, 1050), 5_000_000: range(1999, 2000)}
    for row, shown in jumps.items():
        viewer.jump(row)
        assert viewer.rows == expected(table(built), list(shown))
    assert viewer.tab.locator("#after").is_disabled()


def test_the_page_is_turned_while_another_dataset_is_on_its_way(open_tab: Callable[[], Viewer], address: str) -> None:
    """Whichever of the two comes first; the fixture asks for a console without errors."""
    viewer = open_tab().open(address, RESIZED)
    other = ("imagenet_v2_resized", "matched_frequency")
    for dataset, split in (other, (RESIZED, "train"), other):
        viewer.tab.locator("#dataset input").click()
        viewer.options("dataset", name=dataset, exact=True).click()
        viewer.tab.locator("#after").click()
        viewer.tab.wait_for_function("split => document.querySelector('#split input').value === split", arg=split)
    viewer.tab.locator("#after").click()
    viewer.tab.wait_for_function("() => ['100', '200'].includes(document.querySelector('#rows li')?.dataset.row)")
    assert viewer.tab.locator(".toast-body").count() == 0


def test_one_class_is_shown(viewer: Viewer, built: Path) -> None:
    rows = table(built)
    viewer.choose_class("tench")
    (label,) = (number for number, name in enumerate(names(rows)) if name.startswith("tench"))
    assert viewer.rows == expected(rows, np.flatnonzero(rows["label"].to_numpy() == label).tolist())
    assert "of the 2 rows of this class" in viewer.said


def test_small_images_are_whole_pixels(viewer: Viewer, built: Path) -> None:
    """On the screen, each pixel of an image of 8x8 is a square of one colour, 16 a side."""
    image = viewer.tab.locator("#rows li img").first
    assert image.evaluate("e => getComputedStyle(e).imageRendering") == "pixelated"
    image.scroll_into_view_if_needed()
    at = {side: round(image.bounding_box()[side]) for side in ("x", "y")}  # painted on whole pixels of the screen
    seen = pixels(viewer.tab.screenshot(clip=at | {"width": 128, "height": 128}))
    assert (seen == pixels(files(viewer)[0]).repeat(16, 0).repeat(16, 1)).all()


def test_photographs_are_shown_smaller_but_whole(viewer: Viewer) -> None:
    viewer.choose("dataset", "imagenet2012_subset")
    sizes = viewer.tab.locator("#rows li img").evaluate_all(
        "all => all.map(e => [e.naturalWidth, e.naturalHeight, e.className])"
    )
    assert len(sizes) == 100
    assert all(0 < max(width, height) <= 320 and not name for width, height, name in sizes)


def test_a_config_without_labels_has_no_list_of_classes(viewer: Viewer, built: Path) -> None:
    viewer.tab.reload()
    viewer.tab.wait_for_selector("#rows li")
    assert viewer.chosen("dataset") == "downsampled_imagenet"  # the first of the list
    rows = table(built, "32x32", dataset="downsampled_imagenet")
    assert viewer.rows == [(number, "", "") for number in range(100)]
    assert files(viewer) == rows["image"].combine_chunks().field("bytes")[:100].to_pylist()
    assert not viewer.tab.locator("#label").is_visible()
    assert "There are no labels" in viewer.show("Statistics").inner_text()
    viewer.show("Rows")
    viewer.choose("dataset", RESIZED)
    assert viewer.tab.locator("#label").is_visible()


def test_the_statistics_are_the_manifest_s(viewer: Viewer, built: Path) -> None:
    found = manifest.read(built / RESIZED)
    assert found
    entry = found.configs["16x16"]["validation"]
    viewer.choose("config", "16x16")
    viewer.choose("split", "validation")
    said = viewer.show("Statistics").inner_text()
    for values in (entry.mean, entry.deviation):
        assert ", ".join(f"{value:.4f}" for value in values) in said
    bars = viewer.tab.locator("#statistics rect")
    assert [int(text.rpartition(" ")[2]) for text in bars.locator("title").all_text_contents()] == list(entry.labels)
    assert "1,000 classes, 1 row each" in said


def test_the_card_is_rendered(viewer: Viewer, built: Path) -> None:
    card = viewer.show("Card")
    text = (built / RESIZED / "README.md").read_text()
    assert card.locator("h1").inner_text().strip() == "ImageNet resized"
    assert "pretty_name" in text
    assert "pretty_name" not in card.inner_text()
    assert card.locator("h2").all_inner_texts() == re.findall(r"^## (.*)$", text, re.MULTILINE)
    card.locator("img").first.wait_for(state="attached")
    card.locator("summary").evaluate_all("all => all.forEach(e => e.parentElement.open = true)")
    pictures = card.locator("img")
    assert pictures.count() == text.count("<img ") > 0
    viewer.tab.wait_for_function("() => [...document.querySelectorAll('#card img')].every(e => e.naturalWidth)")


def test_links_within_the_card_lead_somewhere(viewer: Viewer) -> None:
    card = viewer.show("Card")
    link = card.locator("table a[href^='#']").first
    target = link.get_attribute("href")
    assert card.locator(f"[id='{target.removeprefix('#')}']").inner_text().strip() == "Labels"
    link.click()
    viewer.tab.wait_for_function(
        "id => Math.abs(document.getElementById(id).getBoundingClientRect().top) < 300", arg=target[1:]
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_the_window(theme: str, open_tab: Callable[[], Viewer], viewer: Viewer, address: str) -> None:
    """Of a narrow one, and of a wide one."""
    if theme == "dark":
        viewer = open_tab()
        viewer.tab.set_viewport_size({"width": 400, "height": 900})
        viewer.open(f"{address}?__theme=dark", RESIZED)
    for width, columns in ((400, 2), (1920, 11)):
        viewer.tab.set_viewport_size({"width": width, "height": 900})
        assert viewer.tab.evaluate("document.documentElement.scrollWidth") <= width
        for name in ("dataset", "config", "split", "label", "row", "before", "after"):
            box = viewer.tab.locator(f"#{name}").bounding_box()
            assert 0 <= box["x"] <= box["x"] + box["width"] <= width, name
        assert viewer.tab.locator("#rows li img").first.bounding_box()["width"] == 128
        boxes = viewer.tab.locator("#rows li").evaluate_all("all => all.map(e => e.getBoundingClientRect().x)")
        assert len(set(boxes)) == columns
    background = viewer.tab.evaluate("getComputedStyle(document.querySelector('gradio-app')).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", background)[:3]))
    assert (brightness > 600) == (theme == "light"), background


def test_the_keyboard_is_enough(viewer: Viewer, built: Path) -> None:
    """Tab to the lists, choose with the arrows, turn the page, jump."""
    keys = viewer.tab.keyboard
    tab_to(viewer, "config")
    keys.press("ArrowDown")
    with viewer.turned():
        keys.press("Enter")
    assert viewer.chosen("config") == "16x16"
    tab_to(viewer, "after")
    with viewer.turned():
        keys.press("Enter")
    assert viewer.rows == expected(table(built, "16x16"), list(range(100, 200)))
    tab_to(viewer, "row", "Shift+Tab")
    keys.press("Control+A")
    keys.type("1234")
    with viewer.turned():
        keys.press("Enter")
    assert viewer.numbers == list(range(1234, 1334))


def tab_to(viewer: Viewer, name: str, key: str = "Tab") -> None:
    """Press Tab until the focus is in a part of the page."""
    for _ in range(40):
        viewer.tab.keyboard.press(key)
        if viewer.tab.evaluate("id => !!document.activeElement.closest('#' + id)", name):
            return
    raise AssertionError(f"#{name} is not reached by Tab")


def test_what_takes_the_focus_has_a_name(viewer: Viewer) -> None:
    """For those who hear the page: every list, field, button and image says what it is."""
    found: list[Any] = viewer.tab.locator("#rows img").evaluate_all("all => all.map(e => e.alt)")
    assert found == [f"row {number}: {name}" for number, _, name in viewer.rows]
    for role, name in (
        *(("combobox", list) for list in ("Dataset", "Config", "Split", "Class")),
        ("spinbutton", "From row"),
    ):
        assert viewer.tab.get_by_role(role, name=name).count() == 1, name
