"""Litter: what file servers, desktops and notebooks leave behind is known by its name, wherever it lies."""

import pytest

from loaders.formats.untrusted import junk

LITTER = {
    "macOS metadata": ["._a", ".DS_Store", "__MACOSX", ".AppleDouble", ".Trashes", "Icon\r"],
    "Windows metadata": ["Thumbs.db", "thumbs.db", "desktop.ini", "$RECYCLE.BIN", "System Volume Information"],
    "file server's folder": ["@eaDir", "#recycle", "@Recycle", "#snapshot", ".snapshot", "lost+found", ".nfs00a1"],
    "notebook's folder": [".ipynb_checkpoints", "__pycache__"],
    "hidden file": [".rsync", ".git", "..old", "...", "..."],
}
NAMES = [(kind, name) for kind, names in LITTER.items() for name in names]


@pytest.mark.keeps("S14")
@pytest.mark.parametrize(("kind", "name"), NAMES)
@pytest.mark.parametrize("place", ["{}", "train/{}", "{}/n01440764_1.JPEG", "./a/{}/b"])
def test_litter(kind: str, name: str, place: str) -> None:
    assert junk(place.format(name)) == kind


@pytest.mark.parametrize("name", ["n01440764_1.JPEG", "./a", "../a", "a/../b", ".", "", "iconic.JPEG", "lost.tar"])
def test_what_is_none(name: str) -> None:
    assert junk(name) is None
