"""Configs and splits that people add by `datasets` itself stay theirs, beside whatever becomes of ours."""

from pathlib import Path

import pytest

from tests.kit.pushing import Desk, card, front, is_whole

_PUSH = """
from datasets import load_dataset
rows = load_dataset({name!r}, "8x8", split="validation").select(range(5))
rows.push_to_hub({name!r}, {config!r}, split={split!r})
"""
_READ = """
from datasets import load_dataset, load_dataset_builder
print(list(load_dataset_builder({name!r}, "8x8").info.features))
print({{config: load_dataset({name!r}, config).num_rows for config in ("8x8", "extra")}})
"""


def reader(desk: Desk, code: str, **words: str) -> str:
    """Run a program of a person's, with their login, and return what it prints."""
    return desk.run("-c", code.format(name=desk.name(), **words)).text


def configs(desk: Desk) -> dict[str, list[str]]:
    """Return the splits of each config, as the card lists them."""
    listed = front(card(desk.repo()))["configs"]
    return {config["config_name"]: [files["split"] for files in config["data_files"]] for config in listed}


@pytest.mark.keeps("P23")
@pytest.mark.keeps("P13", "P14")
def test_configs_and_splits_of_people_stay(desk: Desk) -> None:
    desk.push()
    reader(desk, _PUSH, config="extra", split="validation")
    assert desk.push().commits == 0
    reader(desk, _PUSH, config="8x8", split="extra")  # which takes `default: true` from ours
    assert [desk.push().commits, desk.push().commits] == [1, 0]
    theirs = {"8x8": ["train", "validation", "extra"], "extra": ["validation"]}
    assert configs(desk) == theirs
    newer: Path = desk.lay("newer", 40, variation=1)
    desk.push(source=newer)
    assert configs(desk) == theirs
    assert desk.run("publish.check", desk.name()).text.strip().endswith("all right")
    desk.push("--overwrite-card", source=newer)
    assert configs(desk) == theirs
    assert reader(desk, _READ).splitlines() == [
        "['image', 'label']",
        "{'8x8': {'train': 40, 'validation': 20, 'extra': 5}, 'extra': {'validation': 5}}",
    ]
    assert not is_whole(desk.repo())  # by shards that are theirs
