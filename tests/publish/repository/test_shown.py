"""The viewer's rules: ours keep them, each that is broken is told, and what is told to be shown is what is there."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import loaders
from publish.repository import shown, thrift, verify
from publish.repository.contents import FolderContents
from publish.repository.pages import Pages
from publish.repository.scan import Footers, Shard, Split
from publish.repository.shown import Report
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


def reported(folder: Path) -> Report:
    contents = FolderContents(folder)
    return shown.report(contents, verify.read_manifest(contents))


def edit(folder: Path, change: Callable[[Front], object]) -> None:
    """Change the YAML of the card."""
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(head)
    change(front)
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n{body}")


# What is right


@pytest.mark.parametrize("dataset", loaders.names())
def test_what_is_built_keeps_every_rule(dataset: str, built: Path) -> None:
    assert reported(built / dataset).faults == []


def test_what_is_told_is_what_is_there(built: Path) -> None:
    lines = reported(built / RESIZED).text.splitlines()
    rows = [line.split()[:3] for line in lines if "all rows" in line]
    configs = ("8x8", "16x16", "32x32", "64x64")
    assert rows == [[c, s, n] for c in configs for s, n in (("train", "2,000"), ("validation", "1,000"))]
    assert any(line.startswith("label: the names of 1,000 classes; a histogram") for line in lines)
    assert any(line.startswith("image: pictures, not byte for byte but as lossy JPEG") for line in lines)
    assert any("not offer search" in line for line in lines)


def test_a_column_of_text_is_found_by_search(built: Path) -> None:
    text = reported(built / "imagenet_v2").text
    assert "file_name: text, found by search" in text
    assert "not offer search" not in text


def test_configs_come_as_the_viewer_lists_them() -> None:
    assert shown.in_order(["64x64", "8x8", "16x16", "32x32"], "8x8") == ["8x8", "16x16", "32x32", "64x64"]
    assert shown.in_order(["b", "c", "a", "b"], None) == ["a", "b", "c"]


# What reading takes


@pytest.mark.parametrize(("dataset", "config"), [(RESIZED, "64x64"), ("imagenet_v2", "topimages"), (RESIZED, "8x8")])
def test_a_page_reads_what_is_said(dataset: str, config: str, built: Path) -> None:
    """Held against the bytes that are in fact read for each page of a hundred rows."""
    folder = built / dataset
    split = "test" if dataset == "imagenet_v2" else "train"
    found = Footers(FolderContents(folder)).split(config, split, f"{config}/{split}-*-of-*.parquet")
    assert found.rows == 2000
    assert found.most_scanned() == max(max(read_by_page(folder, found, at).values()) for at in range(0, 2000, 100))


def read_by_page(folder: Path, split: Split, at: int) -> dict[str, int]:
    """Return {path: bytes that are read of it} for the rows from `at`."""
    read: dict[str, int] = {}
    begin = 0
    for shard in split.shards:
        rows = np.arange(max(at, begin), min(at + 100, begin + shard.rows)) - begin
        begin += shard.rows
        if len(rows):
            read[shard.path] = taken(folder / shard.path, rows)
    return read


def taken(path: Path, rows: np.ndarray[Any, Any]) -> int:
    data, counted = path.read_bytes(), [0]

    def spans(wanted: Any) -> list[bytes]:
        counted[0] += sum(end - begin for begin, end in wanted)
        return [data[begin:end] for begin, end in wanted]

    pages = Pages(spans, len(data))
    pages._tail_at = len(data)  # nothing is taken from what was read with the footer
    columns = pages.columns
    counted[0] = 0
    for column in columns:
        pages.take(column, rows)
    return counted[0]


def test_a_page_over_two_files_reads_of_both() -> None:
    pages = [(np.arange(0, 150, 10), np.full(15, 1000), 7)]
    split = Split("c", "s", "p", [Shard("a", 150, pages=pages), Shard("b", 150, pages=pages)])
    assert split.most_scanned() == 10 * 1000 + 7  # of a file: a hundred rows of the first, of the second fifty each


def test_statistics_are_of_whole_files_until_the_limit_is_passed() -> None:
    split = Split("c", "s", "p", [Shard(str(i), 10, uncompressed=100) for i in range(5)])
    assert [split.rows_within(limit) for limit in (0, 99, 100, 150, 200, 399, 400, 1000)] == [
        *(10, 10, 20, 20, 30, 40, 50, 50)
    ]


def test_rows_beyond_the_statistics_are_told(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_MEASURED", 100)
    found = reported(small)
    assert found.faults == []
    assert found.text.count("only the first 30 rows") == 2  # of two files of thirty; validation is one file
    assert "Rows beyond 100 bytes of a split" in found.text


def test_a_page_that_reads_too_much_is_told(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_SCANNED", 5000)
    faults = reported(small).faults
    assert [fault.partition(":")[0] for fault in faults] == ["8x8 train", "16x16 train", "16x16 validation"]
    assert all("100 rows of a page take" in fault and "gives up at 5.0 kB" in fault for fault in faults)


# Rules of the card


def first(front: Front) -> Front:
    """Return the first config."""
    config: Front = front["configs"][0]
    return config


def pattern(front: Front, path: object) -> None:
    first(front)["data_files"][0]["path"] = path


def twice(front: Front) -> None:
    first(front)["data_files"].insert(1, {"split": "train", "path": "8x8/train-00001-of-00002.parquet"})
    pattern(front, "8x8/train-00000-of-00002.parquet")


def renamed(front: Front) -> None:
    first(front)["data_files"][0]["split"] = "train-clean"


ONE, CONFIGS, INFO = "8x8/train-*-of-00002.parquet", "README.md: configs: ", "README.md: dataset_info: "
PATTERNS = f"{CONFIGS}8x8 train: expected one pattern; of two, the viewer offers neither code nor formats"
CARDS: dict[str, tuple[Callable[[Front], object], list[str]]] = {
    "a list of patterns": (lambda front: pattern(front, [ONE]), [PATTERNS]),
    "a split twice": (
        twice,
        [
            PATTERNS,
            f"8x8 train: {TRAIN} does not match {SECOND}",
            f"{INFO}8x8 train: expected num_examples 30, as the footers say, found 60",
        ],
    ),
    "too few files": (
        lambda front: pattern(front, "8x8/train-00000-of-*.parquet"),
        [
            f"8x8 train: 8x8/train-00000-of-*.parquet does not match {SECOND}",
            f"{INFO}8x8 train: expected num_examples 30, as the footers say, found 60",
        ],
    ),
    "too many files": (
        lambda front: pattern(front, "8x8/*.parquet"),
        [
            "8x8 train: 8x8/*.parquet matches files that are none of its shards: 8x8/validation-00000-of-00001.parquet",
            f"{INFO}8x8 train: expected num_examples 80, as the footers say, found 60",
        ],
    ),
    "no file": (
        lambda front: pattern(front, "8x8/train-*-of-00003.parquet"),
        [
            "8x8 train: 8x8/train-*-of-00003.parquet matches no file, and the viewer fails for all of 8x8",
            f"{INFO}8x8 train: expected num_examples 0, as the footers say, found 60",
        ],
    ),
    "files of a folder below": (
        lambda front: pattern(front, "*train-*-of-00002.parquet"),
        [
            "8x8 train: *train-*-of-00002.parquet matches no file, and the viewer fails for all of 8x8",
            f"{INFO}8x8 train: expected num_examples 0, as the footers say, found 60",
        ],
    ),
    "no default": (
        lambda front: first(front).pop("default"),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on none"],
    ),
    "two defaults": (
        lambda front: front["configs"][1].update(default=True),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8, 16x16"],
    ),
    "a default that is false": (
        lambda front: first(front).update(default=False),
        [f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8"],
    ),
    "another key": (
        lambda front: first(front).update(description="small", data_dir="8x8"),
        [f"{CONFIGS}8x8 has data_dir, description: nothing but config_name, data_files, default belongs there"],
    ),
    "a split with a dash": (
        renamed,
        [
            f"{CONFIGS}8x8 has a split 'train-clean': a name is of letters, digits, _ and ., without -",
            f"8x8 train-clean: {ONE} matches files that are none of its shards: {TRAIN}, {SECOND}",
            f"{INFO}8x8 train-clean: expected num_examples 60, as the footers say, found None",
            "8x8 train: is not among the card's configs, so nobody will see it",
        ],
    ),
    "a config twice": (
        lambda front: front["configs"].append({**first(front), "config_name": "16x16", "default": True}),
        [
            f"{CONFIGS}16x16 is listed 2 times",
            f"{CONFIGS}expected `default: true` on exactly one, found `default` on 8x8, 16x16",
        ],
    ),
    "a config missing": (
        lambda front: front["configs"].pop(),
        [
            "16x16 train: is not among the card's configs, so nobody will see it",
            "16x16 validation: is not among the card's configs, so nobody will see it",
        ],
    ),
    "no data_files": (
        lambda front: front["configs"][1].pop("data_files"),
        [
            f"{CONFIGS}16x16 has no data_files that name a split and its pattern",
            "16x16 train: is not among the card's configs, so nobody will see it",
            "16x16 validation: is not among the card's configs, so nobody will see it",
        ],
    ),
    "features in the YAML": (
        lambda front: front["dataset_info"][0].update(features=[{"name": "image", "dtype": "image"}]),
        [f"{INFO}8x8 has features, and these win over the footers' without a word"],
    ),
    "another count": (
        lambda front: front["dataset_info"][1]["splits"][1].update(num_examples=21),
        [f"{INFO}16x16 validation: expected num_examples 20, as the footers say, found 21"],
    ),
    "no count": (
        lambda front: front["dataset_info"].pop(),
        [
            f"{INFO}16x16 {split}: expected num_examples {rows}, as the footers say, found None"
            for split, rows in archives.SPLITS.items()
        ],
    ),
}


@pytest.mark.parametrize("rule", CARDS)
def test_a_card_that_breaks_a_rule(rule: str, folder: Path) -> None:
    change, faults = CARDS[rule]
    edit(folder, change)
    assert reported(folder).faults == faults


@pytest.mark.parametrize("configs", [None, [], "8x8", {"config_name": "8x8"}, ["8x8"], [None]])
def test_a_card_without_configs(configs: object, folder: Path) -> None:
    edit(folder, lambda front: front.update(configs=configs))
    said = f"{CONFIGS}expected a list of config_name and data_files; without it the viewer guesses"
    assert reported(folder).faults[0] == said
    edit(folder, lambda front: front.pop("configs"))
    assert reported(folder).faults[0] == said


# Rules of the files


def rewritten(folder: Path, path: str, table: pa.Table | None = None, **options: Any) -> None:
    """Write a shard again, with a page index unless told otherwise."""
    table = pq.read_table(folder / path) if table is None else table
    with pq.ParquetWriter(
        folder / path, table.schema, **{"write_page_index": True, **options.get("writer", {})}
    ) as out:
        out.write_table(table, row_group_size=options.get("rows"))


def with_two_keys(folder: Path) -> None:
    """Write every key of a footer twice, which pyarrow does not."""
    data = (folder / TRAIN).read_bytes()
    begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = thrift.Reader(data[begin:-8]).struct()
    footer[5].value.values.extend(list(footer[5].value.values))
    end = thrift.dump(footer)
    (folder / TRAIN).write_bytes(data[:begin] + end + len(end).to_bytes(4, "little") + b"PAR1")


def with_features(folder: Path, path: str, change: Callable[[Front], object]) -> None:
    table = pq.read_table(folder / path)
    content = json.loads(table.schema.metadata[b"huggingface"])
    change(content["info"]["features"])
    rewritten(folder, path, table.replace_schema_metadata({"huggingface": json.dumps(content)}))


def without_labels(folder: Path) -> None:
    table = pq.read_table(folder / SECOND)
    content = json.loads(table.schema.metadata[b"huggingface"])
    del content["info"]["features"]["label"]
    rewritten(folder, SECOND, table.drop_columns("label").replace_schema_metadata({"huggingface": json.dumps(content)}))


OTHER = f"{SECOND}: has other features than {TRAIN}, which the viewer takes for 8x8"
FILES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no page index": (
        lambda folder: rewritten(folder, TRAIN, writer={"write_page_index": False}),
        [f"{TRAIN}: it has no offset index, so its rows cannot be read by page"],
    ),
    "several row groups": (
        lambda folder: rewritten(folder, TRAIN, rows=10),
        [f"{TRAIN}: expected one row group, found 3"],
    ),
    "no huggingface key": (
        lambda folder: rewritten(folder, TRAIN, pq.read_table(folder / TRAIN).replace_schema_metadata(None)),
        [f"{TRAIN}: expected one `huggingface` key in its footer, found 0"],
    ),
    "two huggingface keys": (
        with_two_keys,
        [f"{TRAIN}: expected one `huggingface` key in its footer, found 2"],
    ),
    "features of another column": (
        lambda folder: with_features(folder, TRAIN, lambda features: features.update(more=features["label"])),
        [
            f"{TRAIN}: expected features of the columns ['image', 'label'], found ['image', 'label', 'more']",
            OTHER,
        ],
    ),
    "other names of classes": (
        lambda folder: with_features(folder, SECOND, lambda features: features["label"]["names"].reverse()),
        [OTHER],
    ),
    "other columns": (without_labels, [OTHER]),
}


@pytest.mark.parametrize("rule", FILES)
def test_a_file_that_breaks_a_rule(rule: str, folder: Path) -> None:
    change, faults = FILES[rule]
    change(folder)
    found = reported(folder).faults
    assert [fault for fault in found if fault not in faults] == [
        fault.replace(SECOND, "8x8/validation-00000-of-00001.parquet")
        for fault in faults[1:]
        if rule == "features of another column"
    ]
    assert [fault for fault in found if fault in faults] == faults


def test_without_a_page_index_a_page_reads_all(folder: Path) -> None:
    rewritten(folder, TRAIN, writer={"write_page_index": False})
    footer = pq.read_metadata(folder / TRAIN).row_group(0)
    whole = sum(footer.column(i).total_compressed_size for i in range(footer.num_columns))
    (split,) = [Footers(FolderContents(folder)).split("8x8", "train", TRAIN)]
    assert split.most_scanned() == whole


@pytest.mark.parametrize("harm", ["cut", "empty", "text"])
def test_a_file_that_is_no_parquet(harm: str, folder: Path) -> None:
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"<html>" * 99}[harm])
    report = reported(folder)
    (fault,) = report.faults
    assert fault.startswith(f"{TRAIN}: cannot be read as Parquet (")
    assert re.search(r"^ *8x8 +train +unknown +unknown +unknown *$", report.text, re.MULTILINE)
    assert re.search(r"^ *8x8 +validation +20 ", report.text, re.MULTILINE)


def test_a_file_that_is_not_there(folder: Path) -> None:
    """The card is right about the rows, whatever the footers that are left say."""
    (folder / TRAIN).unlink()
    report = reported(folder)
    assert report.faults == [f"8x8 train: 8x8/train-*-of-00002.parquet does not match {TRAIN}"]
    assert re.search(r"^ *8x8 +train +unknown +unknown +unknown *$", report.text, re.MULTILINE)


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


def test_the_command_on_the_hub(desk: Desk) -> None:
    desk.push()
    said = desk.run("publish.check", desk.name())
    assert "8x8  train         60" in said.text
    text = card(desk.repo())
    desk.hub.commit(desk.name(), {"README.md": text.replace("  default: true\n", "").encode()})
    said = desk.run("publish.check", desk.name(), code=1)
    assert f"wrong: {CONFIGS}expected `default: true` on exactly one, found `default` on none\n" in said.text
