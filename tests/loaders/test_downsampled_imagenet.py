"""downsampled_imagenet: the contract, and PNG files that are not framed as ours."""

from pathlib import Path

import pytest
from PIL import Image

from loaders import downsampled_imagenet
from publish.sample import archives as writers
from tests.kit import archives, contract
from tests.kit.archives import Laid
from tests.kit.contract import every_check, every_config


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Laid:
    return archives.downsampled(tmp_path_factory.mktemp("downsampled"))


@pytest.mark.keeps("S19")
@every_config("downsampled_imagenet")
@every_check
def test_contract(laid: Laid, config: str, check: contract.Check, tmp_path: Path) -> None:
    check(laid, config, tmp_path)


@every_config("downsampled_imagenet")
def test_the_sample(laid: Laid, config: str, sample: Path) -> None:
    contract.the_sample_needs_no_leave(laid, config, sample)


def test_the_default_is_the_smallest() -> None:
    assert downsampled_imagenet.Builder.DEFAULT_CONFIG_NAME == "32x32"


def test_images_are_framed_anew_and_alike(laid: Laid) -> None:
    """Every PNG of one size has the same length, so that a reader can find rows without an index."""
    for plan in contract.plans("downsampled_imagenet", "64x64", laid.folder):
        files = contract.read(plan)["image"].combine_chunks().field("bytes")
        assert {len(file.as_py()) for file in files} == {48 + 64 * (1 + 3 * 64) + 20}


@pytest.mark.parametrize("options", [{"optimize": True}, {"compress_level": 0}, {"compress_level": 9}])
def test_any_deflate_stream_is_read(laid: Laid, options: dict[str, int], tmp_path: Path) -> None:
    other = archives.downsampled(tmp_path)
    pictures = archives.pictures(archives.SPLITS["train"], 32, 0)
    files = [writers.encoded(Image.fromarray(picture), "PNG", **options) for picture in pictures]
    members = [(f"./train_32x32/{n:07d}.png", file) for n, file in enumerate(files, 1)]
    (tmp_path / "train_32x32.tar").write_bytes(writers.tar(members))
    contract.every_image_and_label_is_what_was_laid_out(other, "32x32", tmp_path)
