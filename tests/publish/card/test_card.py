"""The card: valid by the libraries that read it, and saying nothing that the data do not."""

import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from datasets import DatasetInfo, Features
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from huggingface_hub.repocard_data import DatasetCardData
from PIL import Image

import loaders
from publish import manifest
from publish.card import marks, picture, prose, render
from publish.card.owned import KEYS, owned
from publish.manifest import Manifest, SourceEntry, SplitEntry
from tests.kit import archives, building

DATASETS = loaders.names()
every_dataset = pytest.mark.parametrize("dataset", DATASETS)


def text_of(built: Path, dataset: str) -> str:
    return (built / dataset / "README.md").read_text(encoding="utf-8")


def head(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text.split("---\n", 2)[1]))


def manifest_of(built: Path, dataset: str) -> Manifest:
    read = manifest.read(built / dataset)
    assert read is not None
    return read


# As the libraries read it


@every_dataset
def test_the_hub_s_client_reads_it(dataset: str, built: Path) -> None:
    read = DatasetCard(text_of(built, dataset))
    data = read.data
    assert isinstance(data, DatasetCardData)
    assert (data.license, data.language) == (
        "mit" if dataset.startswith("imagenet_v2") else "other",
        ["en"] if data.language else None,
    )
    assert str(data.pretty_name).endswith(" (sample)")
    written = yaml.safe_load(data.to_yaml())
    assert written == {key: value for key, value in head(text_of(built, dataset)).items() if value is not None}


@pytest.mark.parametrize("dataset", DATASETS)
def test_datasets_reads_its_configs(dataset: str, built: Path) -> None:
    read = MetadataConfigs.from_dataset_card_data(DatasetCard(text_of(built, dataset)).data)
    configs = loaders.load(dataset).DATASET.configs
    assert read.get_default_config_name() == configs[0].name
    found = {name: [files["split"] for files in config["data_files"]] for name, config in read.items()}
    wanted = {config.name: [split.name for split in config.splits if not split.optional] for config in configs}
    assert list(found.items()) == list(wanted.items())


@every_dataset
def test_exactly_one_config_is_the_default(dataset: str, built: Path) -> None:
    configs = head(text_of(built, dataset))["configs"]
    assert [config["config_name"] for config in configs if config.get("default")] == [configs[0]["config_name"]]


@every_dataset
def test_patterns_pin_the_total_and_find_exactly_their_shards(dataset: str, built: Path) -> None:
    entries = manifest_of(built, dataset).configs
    for config in head(text_of(built, dataset))["configs"]:
        for files in config["data_files"]:
            shards = entries[config["config_name"]][files["split"]].shards
            assert re.fullmatch(r"[\w.-]+/[\w.]+-\*-of-\d{5}\.parquet", files["path"])
            assert files["path"].endswith(f"-of-{len(shards):05d}.parquet")
            found = sorted(
                path.relative_to(built / dataset).as_posix() for path in (built / dataset).glob(files["path"])
            )
            assert found == [shard.path for shard in shards]


@pytest.mark.keeps("P15")
@every_dataset
def test_dataset_info_is_what_the_footers_say(dataset: str, built: Path) -> None:
    text = head(text_of(built, dataset))
    info = {each["config_name"]: each for each in text["dataset_info"]}
    assert list(info) == [config["config_name"] for config in text["configs"]]
    for config in text["configs"]:
        said, download, size = info[config["config_name"]], 0, 0
        for files, split in zip(config["data_files"], said["splits"], strict=True):
            paths = sorted((built / dataset).glob(files["path"]))
            assert split["name"] == files["split"]
            assert split["num_examples"] == sum(pq.read_metadata(path).num_rows for path in paths)
            read = sum(pq.read_table(path).nbytes for path in paths)
            assert split["num_bytes"] == pytest.approx(
                read, rel=0.01
            )  # offsets and masks of the batches are counted in
            download += sum(path.stat().st_size for path in paths)
            size += split["num_bytes"]
        assert (said["download_size"], said["dataset_size"]) == (download, size)
        assert said["features"] == features_of(dataset)


def features_of(dataset: str) -> list[dict[str, Any]]:
    """Return the features of the shards as `datasets` writes them into a card."""
    found = DatasetInfosDict(
        {"x": DatasetInfo(features=Features.from_arrow_schema(loaders.load(dataset).DATASET.schema))}
    )
    data = DatasetCardData()
    found.to_dataset_card_data(data)
    return list(data["dataset_info"]["features"])


@every_dataset
def test_size_categories_are_those_of_the_largest_config(dataset: str, built: Path) -> None:
    assert head(text_of(built, dataset))["size_categories"] == ["1K<n<10K"]


@pytest.mark.parametrize(
    ("rows", "category"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (50_000, "10K<n<100K"), (128_116, "100K<n<1M"), (1_331_167, "1M<n<10M")],
)
def test_size_categories(rows: int, category: str, built: Path) -> None:
    assert owned(resized(manifest_of(built, "imagenet_v2"), rows))["size_categories"] == [category]


def resized(made: Manifest, rows: int) -> Manifest:
    """Return the manifest with one config of so many rows."""
    entry = made.configs["topimages"]["test"]
    entry = replace(entry, shards=(replace(entry.shards[0], rows=rows),))
    return replace(made, configs={"topimages": {"test": entry}})


# YAML


@every_dataset
def test_its_yaml_survives_an_edit(dataset: str, built: Path) -> None:
    """Read and written again as people's tools do, it is the same data."""
    text = text_of(built, dataset).split("---\n", 2)[1]
    again = DatasetCard(text_of(built, dataset)).data.to_yaml()
    assert yaml.safe_load(again) == yaml.safe_load(text)


@every_dataset
def test_what_is_written_by_hand_is_kept(dataset: str, built: Path) -> None:
    by_hand = head(prose.filled(manifest_of(built, dataset), None))
    filled = head(text_of(built, dataset))
    assert {key: filled[key] for key in by_hand} == by_hand
    assert set(filled) - set(by_hand) == set(KEYS)
    assert not set(by_hand) & set(KEYS)
    if loaders.load(dataset).DATASET.gated:
        assert "extra_gated_prompt" in by_hand
        assert "checkbox" in by_hand["extra_gated_fields"].values()


@every_dataset
def test_prose_outside_the_marks_is_the_template_s(dataset: str, built: Path) -> None:
    def by_hand(text: str) -> str:
        body = text.split("---\n", 2)[2]
        return marks.replaced(marks.unsealed(body), lambda part: f"<!-- begin {part.name} -->\n").strip()

    assert by_hand(text_of(built, dataset)) == by_hand(prose.filled(manifest_of(built, dataset), None))


# What was measured


@pytest.mark.keeps("S21", "B10")
@every_dataset
def test_numbers_on_the_card_are_those_of_the_manifest(dataset: str, built: Path) -> None:
    text = text_of(built, dataset)
    for name, splits in manifest_of(built, dataset).configs.items():
        for split, entry in splits.items():
            assert f"| `{name}` | {split} | {entry.rows:,} | {len(entry.shards)} |" in text
            mean, deviation = (", ".join(f"{v:.4f}" for v in values) for values in (entry.mean, entry.deviation))
            assert f"| `{name}` | {split} | {mean} | {deviation} | {entry.duplicates:,} |" in text
            for source in entry.sources:
                assert f"| `{source.name}` | {source.bytes:,} | `{source.sha256}` | sample | sha256 |" in text


@every_dataset
def test_every_picture_of_the_manifest_is_on_the_card_and_small(dataset: str, built: Path) -> None:
    text = text_of(built, dataset)
    for entry in manifest_of(built, dataset).entries():
        for path, sha256 in entry.pictures.items():
            assert text.count(f'<img src="{path}" alt="') == 1
            file = (built / dataset / path).read_bytes()
            assert hashlib.sha256(file).hexdigest() == sha256
            assert len(file) < 100_000
            assert Image.open(io.BytesIO(file)).width <= 1000
        assert [picture.kind(path) for path in entry.pictures].count(picture.MEAN) == 1


@pytest.mark.keeps("S22", "S23")
def test_oddities_are_on_the_card(built: Path) -> None:
    text = text_of(built, "imagenet2012_subset")
    for config in ("1pct", "10pct"):
        for kind in ("CMYK", "PNG under the name .JPEG", "greyscale", "rotated by its EXIF orientation"):
            assert f"| `{config}` | train | {kind} | 1 |" in text
    assert re.search(r"\| `threshold-0\.7` \| test \| skipped: .* \|", text_of(built, "imagenet_v2"))


# Notices


@every_dataset
def test_a_sample_says_so(dataset: str, built: Path) -> None:
    text = text_of(built, dataset)
    assert "> **This is a sample.**" in text
    assert "not the whole dataset" not in text
    assert "Not verified" not in text


def entry_with(entry: SplitEntry, origin: str, verified: str) -> SplitEntry:
    sources = tuple(SourceEntry(s.name, s.bytes, s.sha256, origin, verified) for s in entry.sources)
    return replace(entry, sources=sources)


def rendered(built: Path, origin: str, verified: str, rows: int | None = None) -> str:
    made = manifest_of(built, "imagenet_v2")
    configs = {
        name: {split: entry_with(entry, origin, verified) for split, entry in splits.items()}
        for name, splits in made.configs.items()
    }
    changed = replace(made, configs=configs)
    return render.render(resized(changed, rows) if rows else changed, "lab/set")


def test_a_regeneration_says_so(built: Path) -> None:
    text = rendered(built, "regenerated", "sha256", 10_000)
    assert "> **Regenerated.**" in text
    assert "sample" not in head(text)["pretty_name"]
    assert "not the whole dataset" not in text


def test_missing_rows_are_said(built: Path) -> None:
    text = rendered(built, "upstream", "sha256", 9_999)
    assert "> **This is not the whole dataset:** topimages test has 9,999 of 10,000 rows." in text


def test_archives_that_were_not_verified_are_said(built: Path) -> None:
    text = rendered(built, "upstream", "nothing", 10_000)
    assert "> **Not verified:** imagenetv2-top-images.tar.gz differ" in text


def test_what_is_whole_and_verified_has_no_notice(built: Path) -> None:
    text = rendered(built, "upstream", "sha256", 10_000)
    assert "\n> **" not in text.split("---\n", 2)[2].partition("## ")[0]
    assert head(text)["pretty_name"] == "ImageNetV2"


def test_it_says_where_to_load_from(built: Path) -> None:
    text = rendered(built, "upstream", "sha256")
    assert 'load_dataset("lab/set", "topimages"' in text
    assert 'read_csv("hf://datasets/lab/set/classes.tsv"' in text


@pytest.fixture(scope="module")
def partial(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The card of one config, built from a few rows."""
    folder = tmp_path_factory.mktemp("partial")
    archives.resized(building.make(folder / "archives"), [16])
    what = ("--config", "imagenet_resized/16x16", "--source", folder / "archives", "--out", folder / "out")
    building.publish(*what, "--allow-partial", "--workers", 1)
    return text_of(folder / "out", "imagenet_resized")


def test_a_build_that_needed_leave_says_what_it_is(partial: str) -> None:
    """From archives to card: other sizes, digests and rows than the published ones, let in by --allow-partial."""
    said = "16x16 train has 60 of 1,281,167 rows; 16x16 validation has 20 of"
    assert f"> **This is not the whole dataset:** {said}" in partial
    assert "> **Not verified:** Imagenet16_train_npz.zip, Imagenet16_val_npz.zip differ" in partial
    assert "sample" not in head(partial)["pretty_name"]


def test_one_config_alone_is_the_default(partial: str) -> None:
    configs = head(partial)["configs"]
    assert [(config["config_name"], config.get("default")) for config in configs] == [("16x16", True)]
