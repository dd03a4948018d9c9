"""What a builder prepared is taken again for the archives it was made of, and for no others."""

import os
from pathlib import Path
from typing import Any

import pytest

import loaders
from publish.sample import archives as sample
from publish.sample.sidecar import write_sidecar
from tests.kit import archives
from tests.kit.archives import SPLITS


def validation(labels: list[int]) -> dict[str, Any]:
    pixels = sample.planar(archives.pictures(len(labels), 8, 5))
    return {"data": pixels, "labels": labels}


def lay(folder: Path, labels: list[int] | None = None) -> Path:
    """Lay out Imagenet8, its validation with these labels, and vouch for it."""
    folder.mkdir(parents=True, exist_ok=True)
    archives.resized(folder, [8])
    if labels:
        sample.write_validation_zip(folder, 8, validation(labels))
    write_sidecar(folder, "sample", {"imagenet_resized/8x8": SPLITS | ({"validation": len(labels)} if labels else {})})
    return folder


def make(data_dir: Path | str, cache: Path, **options: Any) -> Any:
    builder = loaders.load("imagenet_resized").Builder  # type: ignore[attr-defined]
    return builder(config_name="8x8", data_dir=data_dir, cache_dir=str(cache), **options)


@pytest.mark.parametrize("allow_partial", [False, True])
def test_other_archives_under_one_path_are_other_rows(
    allow_partial: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, labels in (("one", [1, 2, 3]), ("two", [4, 5, 6])):
        lay(tmp_path / place / "archives", labels)
        monkeypatch.chdir(tmp_path / place)
        made = make("archives", tmp_path / "cache", allow_partial=allow_partial)
        monkeypatch.chdir(tmp_path)
        made.download_and_prepare()
        assert made.as_dataset(split="validation")["label"][:] == [label - 1 for label in labels]
    lay(tmp_path / "two" / "archives", [7, 8, 9])
    monkeypatch.chdir(tmp_path / "two")
    made = make(Path("archives"), tmp_path / "cache", allow_partial=allow_partial)
    made.download_and_prepare()
    assert made.as_dataset(split="validation")["label"][:] == [6, 7, 8]


def test_the_same_archives_are_prepared_once(tmp_path: Path) -> None:
    """Verified ones are known by their digests, also when they were copied."""
    folder = lay(tmp_path / "archives")
    first = make(folder, tmp_path / "cache")
    for path in folder.iterdir():
        os.utime(path, ns=(1, 1))
    again = make(f"{folder}/", tmp_path / "cache")
    assert again.cache_dir == first.cache_dir
    assert make(folder, tmp_path / "cache", allow_partial=True).cache_dir != first.cache_dir


def test_a_download_does_not_change_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    builder = loaders.load("imagenet_v2").Builder  # type: ignore[attr-defined]
    before = builder(config_name="topimages", cache_dir=str(tmp_path)).cache_dir
    place = tmp_path / "cache" / "imagenet-variants" / "archives" / "imagenetv2-top-images.tar.gz"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"of whatever it is, its digest is looked at")
    assert builder(config_name="topimages", cache_dir=str(tmp_path)).cache_dir == before
