"""imagenet_v2: the contract, both layouts of folders, gzip or plain."""

import io
from pathlib import Path

import pytest
from PIL import Image

from loaders import imagenet_v2
from publish.sample import archives as writers
from publish.sample.archives import _write_v2
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.contract import every_check, every_config


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.v2(tmp_path_factory.mktemp("v2"), labels=archives.V2_SHARDS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.v2(tmp_path_factory.mktemp("few"))


@every_config("imagenet_v2")
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


@every_config("imagenet_v2")
def test_the_sample(laid: Laid, config: str, sample: Path) -> None:
    contract.the_sample_needs_no_leave(laid, config, sample)


def test_the_default_is_matched_frequency() -> None:
    assert imagenet_v2.Builder.DEFAULT_CONFIG_NAME == "matched-frequency"


@pytest.mark.keeps("S20")
@every_config("imagenet_v2")
@pytest.mark.parametrize("layout", ["index", "wnid"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("littered", [True, False])
def test_every_shape_gives_the_same_rows(
    few: Laid, config: str, layout: str, compressed: bool, littered: bool, tmp_path: Path
) -> None:
    other = archives.v2(tmp_path, layout, compressed=compressed, littered=littered)
    assert contract.expected(other, config)["test"].equals(contract.expected(few, config)["test"])
    (plan,) = contract.plans("imagenet_v2", config, tmp_path)
    assert sum(plan.skipped.values()) == littered * (1 + -(-len(few.rows[config]["test"]) // 500))


@pytest.mark.keeps("S20")
def test_folder_100_is_label_100(laid: Laid) -> None:
    """Folders sorted as strings put 100 behind 10, where labels counted by place would be wrong."""
    table = contract.expected(laid, "matched-frequency")["test"]
    folders = [int(name.partition("/")[0]) for name in table["file_name"].to_pylist()]
    assert table["label"].to_pylist() == folders
    assert folders.count(100) == 2


@pytest.mark.keeps("S26")
def test_a_decoy_in_the_working_directory_is_not_read(
    laid: Laid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = writers.jpeg(archives.pictures(1, 8, 40)[0])
    for row in laid.rows["topimages"]["test"]:
        for name in (row["file_name"], Path(row["file_name"]).name):
            path = tmp_path / "here" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(decoy)
    monkeypatch.chdir(tmp_path / "here")
    made = contract.builder(laid, "topimages", tmp_path / "cache")
    made.download_and_prepare()
    wanted = {row["file_name"]: row["image"] for row in laid.rows["topimages"]["test"]}
    for row in made.as_dataset(split="test"):
        assert row["image"].tobytes() == Image.open(io.BytesIO(wanted[row["file_name"]])).tobytes()


def test_the_sample_is_the_same_bytes_each_time(sample: Path, tmp_path: Path) -> None:
    _write_v2(tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 3
    assert [(sample / name).read_bytes() == (tmp_path / name).read_bytes() for name in written] == [True] * 3
