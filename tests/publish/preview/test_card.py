"""A card as the page shows it: its own pictures are put into it, any other is told of in words."""

import pytest

from publish.preview import card

PICTURE = b"\x89PNG"


def read(path: str) -> bytes:
    """Return the only file of the repository, as one of a folder is read."""
    if "\0" in path:
        raise ValueError("embedded null byte")
    if path != "pictures/one.png":
        raise FileNotFoundError(path)
    return PICTURE


@pytest.mark.parametrize("source", ["pictures/one.png", "./pictures/one.png", "pictures%2Fone.png"])
def test_a_picture_of_the_repository(source: str) -> None:
    shown = card.shown(f'before <img src="{source}" alt="one"> after', read)
    assert shown == f'before <img src="{card.data_uri(PICTURE, "image/png")}" alt="one"> after'


@pytest.mark.parametrize(
    "source",
    ["http://[x", "%00", "pictures/two.png", "../one.png", "/one.png", "//host/one.png", "http://host/one.png"],
)
@pytest.mark.parametrize("form", ['<img src="{}">', "![]({})"])
def test_a_picture_that_cannot_be_shown(source: str, form: str) -> None:
    shown = card.shown(f"before {form.format(source)} after", read)
    assert (
        shown
        == f"before [{source}: this picture is not in the repository, and nothing is fetched from elsewhere] after"
    )
