"""What the viewer will show is told from the manifest, and each of its rules that a card or a file breaks is named."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import loaders
from publish.manifest import Manifest
from publish.repository import shown, verify
from publish.repository.contents import FolderContents
from tests.kit import archives
from tests.kit.building import RESIZED, build, make
from tests.kit.pushing import Desk, card

TRAIN = "8x8/train-00000-of-00002.parquet"
SECOND = "8x8/train-00001-of-00002.parquet"
Front = dict[str, Any]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two configs, 8x8 and 16x16; not to be changed."""
    folder = tmp_path_factory.mktemp("small")
    build(archives.resized(make(folder / "archives"), [8, 16]), folder / "out")
    return folder / "out" / RESIZED


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / RESIZED))


def manifest_of(folder: Path) -> Manifest:
    return verify.read_manifest(FolderContents(folder))


def faults(folder: Path) -> list[str]:
    """Return what a card breaks, then what the files do."""
    contents = FolderContents(folder)
    return shown.faults(contents) + verify.footers(contents, manifest_of(folder))


def edit(folder: Path, change: Callable[[Front], object]) -> None:
    """Change the YAML of the card."""
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(head)
    change(front)
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n{body}")


# What is right


@pytest.mark.parametrize("dataset", loaders.names())
def test_what_is_built_keeps_every_rule(dataset: str, built: Path) -> None:
    assert faults(built / dataset) == []


def test_what_is_told_is_what_is_there(built: Path) -> None:
    lines = shown.told(manifest_of(built / RESIZED)).splitlines()
    rows = [line.split()[:3] for line in lines if "all rows" in line]
    configs = ("8x8", "16x16", "32x32", "64x64")
    assert rows == [[c, s, n] for c in configs for s, n in (("train", "2,000"), ("validation", "1,000"))]
    assert any(line.startswith("label: the names of 1,000 classes; a histogram") for line in lines)
    assert any(line.startswith("image: pictures, not byte for byte but as lossy JPEG") for line in lines)
    assert any("not offer search" in line for line in lines)


@pytest.mark.parametrize("dataset", loaders.names())
def test_every_column_is_told_of(dataset: str, built: Path) -> None:
    schema = loaders.load(dataset).DATASET.schema
    text = shown.told(manifest_of(built / dataset))
    assert [name for name in schema.names if f"\n{name}: " in text] == schema.names


def test_a_name_is_found_by_a_filter_and_not_by_search(built: Path) -> None:
    text = shown.told(manifest_of(built / "imagenet_v2"))
    assert "file_name: names, found by a filter (\"file_name\"='...') and not by search" in text
    assert "not offer search" not in text


@pytest.mark.parametrize("dataset", loaders.names())
def test_no_card_promises_search(dataset: str, built: Path) -> None:
    """Where there are names, it says that search does not find them; where there are none, nothing of search."""
    said = re.search(r"^- The viewer shows .*(?:\n  .*)*", (built / dataset / "README.md").read_text(), re.MULTILINE)
    assert said
    has_names = "file_name" in loaders.load(dataset).DATASET.schema.names
    assert ("search looks at letters alone" in said[0], "search" in said[0]) == (has_names, has_names)
    assert ('"file_name"=\'' in said[0]) == has_names


def test_statistics_are_of_whole_files_until_the_limit_is_passed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = manifest_of(small).configs["8x8"]["train"]
    five = replace(entry, shards=tuple(replace(entry.shards[0], rows=10, nbytes=100) for _ in range(5)))
    found = []
    for limit in (0, 99, 100, 150, 200, 399, 400, 1000):
        monkeypatch.setattr(shown, "MOST_MEASURED", limit)
        found.append(shown._within(five))
    assert found == [10, 10, 20, 20, 30, 40, 50, 50]


def test_rows_beyond_the_statistics_are_told(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_MEASURED", 100)
    text = shown.told(manifest_of(small))
    assert text.count("only the first 30 rows") == 2  # of two files of thirty; validation is one file
    assert "Rows beyond 100 bytes of a split" in text


# Rules of the card


def first(front: Front) -> Front:
    """Return the first config."""
    config: Front = front["configs"][0]
    return config


def pattern(front: Front, path: object) -> None:
    first(front)["data_files"][0]["path"] = path


def twice(front: Front) -> None:
    first(front)["data_files"].insert(1, {"split": "train", "path": SECOND})
    pattern(front, TRAIN)


def renamed(front: Front) -> None:
    first(front)["data_files"][0]["split"] = "train-clean"


ONE, CONFIGS, INFO = "8x8/train-*-of-00002.parquet", "README.md: configs: ", "README.md: dataset_info: "
OTHERS = {key: f"README.md: {key} is not what the manifest says" for key in ("configs", "dataset_info")}
PATTERNS = f"{CONFIGS}8x8 train: expected one pattern; of two, the viewer offers neither code nor formats"
CARDS: dict[str, tuple[Callable[[Front], object], list[str]]] = {
    "a list of patterns": (lambda front: pattern(front, [ONE]), [PATTERNS, OTHERS["configs"]]),
    "a split twice": (twice, [PATTERNS, PATTERNS, OTHERS["configs"]]),
    "too few files": (lambda front: pattern(front, "8x8/train-00000-of-*.parquet"), [OTHERS["configs"]]),
    "no default": (
        lambda front: first(front).pop("default"),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on none", OTHERS["configs"]],
    ),
    "two defaults": (
        lambda front: front["configs"][1].update(default=True),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8, 16x16", OTHERS["configs"]],
    ),
    "a default that is false": (
        lambda front: first(front).update(default=False),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8", OTHERS["configs"]],
    ),
    "another key": (
        lambda front: first(front).update(description="small", data_dir="8x8"),
        [
            f"{CONFIGS}8x8 has data_dir, description: nothing but config_name, data_files, default belongs there",
            OTHERS["configs"],
        ],
    ),
    "a split with a dash": (
        renamed,
        [
            f"{CONFIGS}8x8 has a split 'train-clean': a name is of letters, digits, _ and ., without -",
            OTHERS["configs"],
        ],
    ),
    "a config twice": (
        lambda front: front["configs"].append({**first(front), "config_name": "16x16", "default": True}),
        [
            f"{CONFIGS}16x16 is listed 2 times",
            f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8, 16x16",
            OTHERS["configs"],
        ],
    ),
    "names that are lists": (
        lambda front: [config.update(config_name=["8x8"]) for config in front["configs"]],
        [f"{CONFIGS}['8x8'] is listed 2 times", OTHERS["configs"]],
    ),
    "a config missing": (lambda front: front["configs"].pop(), [OTHERS["configs"]]),
    "no data_files": (
        lambda front: front["configs"][1].pop("data_files"),
        [f"{CONFIGS}16x16 has no data_files that name a split and its pattern", OTHERS["configs"]],
    ),
    "features in the YAML": (
        lambda front: front["dataset_info"][0].update(features=[{"name": "image", "dtype": "image"}]),
        [OTHERS["dataset_info"]],
    ),
    "another count": (
        lambda front: front["dataset_info"][1]["splits"][1].update(num_examples=21),
        [OTHERS["dataset_info"]],
    ),
}


@pytest.mark.parametrize("rule", CARDS)
def test_a_card_that_breaks_a_rule(rule: str, folder: Path) -> None:
    change, expected = CARDS[rule]
    edit(folder, change)
    assert faults(folder) == expected


@pytest.mark.parametrize("configs", [None, [], "8x8", {"config_name": "8x8"}, ["8x8"], [None]])
def test_a_card_without_configs(configs: object, folder: Path) -> None:
    edit(folder, lambda front: front.update(configs=configs))
    said = f"{CONFIGS}expected a list of config_name and data_files; without it the viewer guesses"
    assert faults(folder)[0] == said
    edit(folder, lambda front: front.pop("configs"))
    assert faults(folder)[0] == said


# Rules of the files


def rewritten(folder: Path, table: pa.Table | None = None, rows: int | None = None, **options: Any) -> None:
    """Write the first shard again, with a page index unless told otherwise."""
    table = pq.read_table(folder / TRAIN) if table is None else table
    pq.write_table(table, folder / TRAIN, row_group_size=rows, **{"write_page_index": True, **options})


def with_features(folder: Path, change: Callable[[Front], object]) -> None:
    table = pq.read_table(folder / TRAIN)
    content = json.loads(table.schema.metadata[b"huggingface"])
    change(content["info"]["features"])
    rewritten(folder, table.replace_schema_metadata({"huggingface": json.dumps(content)}))


FEATURES = f"{TRAIN}: expected the columns ['image', 'label'] and their features, found others"
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no page index": (
        lambda folder: rewritten(folder, write_page_index=False),
        f"{TRAIN}: has no page index, and the Hub's viewer reads rows by it",
    ),
    "several row groups": (lambda folder: rewritten(folder, rows=10), f"{TRAIN}: expected one row group, found 3"),
    "no features": (
        lambda folder: rewritten(folder, pq.read_table(folder / TRAIN).replace_schema_metadata(None)),
        FEATURES,
    ),
    "features of another column": (
        lambda folder: with_features(folder, lambda features: features.update(more=features["label"])),
        FEATURES,
    ),
    "other names of classes": (
        lambda folder: with_features(folder, lambda features: features["label"]["names"].reverse()),
        FEATURES,
    ),
    "other columns": (
        lambda folder: rewritten(folder, pq.read_table(folder / TRAIN).drop_columns("label")),
        FEATURES,
    ),
}


@pytest.mark.parametrize("rule", FILES)
def test_a_file_that_breaks_a_rule(rule: str, folder: Path) -> None:
    change, fault = FILES[rule]
    change(folder)
    assert faults(folder) == [fault]


@pytest.mark.parametrize("harm", ["cut", "empty", "text"])
def test_a_file_that_is_no_parquet(harm: str, folder: Path) -> None:
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"<html>" * 99}[harm])
    (fault,) = faults(folder)
    assert fault.startswith(f"{TRAIN}: cannot be read as Parquet (")


def test_a_card_that_is_not_there(folder: Path, desk: Desk) -> None:
    (folder / "README.md").unlink()
    said = desk.run("publish.check", folder, code=1)
    assert f"error: {folder}: README.md is not there. " in said.text


# The command


def test_the_command_in_a_folder(folder: Path, desk: Desk) -> None:
    said = desk.run("publish.check", folder)
    assert said.text.startswith("The Hub's viewer will show, in this order:\n")
    edit(folder, lambda front: first(front).pop("default"))
    said = desk.run("publish.check", folder, code=1)
    assert f"wrong: {CONFIGS}expected `default: true` on exactly one, found `default` on none\n" in said.text


def test_a_pattern_that_takes_other_files_is_found_by_the_command(folder: Path, desk: Desk) -> None:
    edit(folder, lambda front: pattern(front, "8x8/*.parquet"))
    assert f"wrong: {OTHERS['configs']}\n" in desk.run("publish.check", folder, code=1).text


def test_the_command_on_the_hub(desk: Desk) -> None:
    desk.push()
    said = desk.run("publish.check", desk.name())
    assert re.search(r"^ *8x8 +train +60  all rows$", said.text, re.MULTILINE)
    text = card(desk.repo())
    desk.hub.commit(desk.name(), {"README.md": text.replace("  default: true\n", "").encode()})
    said = desk.run("publish.check", desk.name(), code=1)
    assert f"wrong: {CONFIGS}expected `default: true` on exactly one, found `default` on none\n" in said.text
