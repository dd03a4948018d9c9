"""A card as the page shows it: its own pictures are put into it, any other is told of, nothing leaves its place."""

import base64
import io
import re
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from PIL import Image

from loaders import Problem
from publish.preview import card, page, place
from publish.preview.reader import Budget, NotRead, Reader
from publish.repository import shown
from tests.kit import making


def png(width: int = 1, height: int = 1) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


PICTURE = png()
ADDRESS = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
AWAY = "is not in the repository, and nothing is fetched from elsewhere"


def read(path: str) -> bytes:
    """Return the only file of the repository, as one of a folder is read."""
    if "\0" in path:
        raise ValueError("embedded null byte")
    if path != "pictures/one.png":
        raise FileNotFoundError(path)
    return PICTURE


def none(path: str) -> bytes:
    raise KeyError(path)


@pytest.mark.parametrize("source", ["pictures/one.png", "./pictures/one.png", "pictures%2Fone.png"])
def test_a_picture_of_the_repository(source: str) -> None:
    shown = card.shown(f'before <img src="{source}" alt="one"> after', read)
    assert shown == f'<p>before <img src="{ADDRESS}" alt="one"> after</p>\n'


@pytest.mark.parametrize(
    "text",
    [
        "![a](pictures/one.png)",
        '![a](pictures/one.png "title")',
        '<img src="pictures/one.png" alt="a">',
        "<IMG alt='a' width=\"3\" src='./pictures/one.png'/>",
    ],
)
def test_pictures_of_the_repository_become_part_of_the_card(text: str) -> None:
    found = card.shown(f"---\nlicense: mit\n---\n# Card\n{text}\n", read)
    assert found.startswith('<h1 id="card-card">Card</h1>\n')
    assert f'src="{ADDRESS}"' in found
    assert 'alt="a"' in found
    assert found.count("src=") == 1


@pytest.mark.parametrize(
    "source",
    ["http://[x", "%00", "pictures/two.png", "../one.png", "/one.png", "//host/one.png", "http://host/one.png"],
)
@pytest.mark.parametrize("form", ['<img src="{}">', "![]({})"])
def test_a_picture_that_cannot_be_shown(source: str, form: str) -> None:
    shown = card.shown(f"before {form.format(source)} after", read)
    assert re.fullmatch(rf"<p>before \[.*: this picture {AWAY}\] after</p>\n", shown)


def test_code_on_a_card_is_left_alone() -> None:
    text = "```python\nx = '![a](b.png)'  # <img src=\"b.png\">\n```\n"
    assert card.shown(text, none).count("this picture") == 0
    assert card.paths(text) == []
    assert "x = '![a](b.png)'  # &lt;img src=" in card.shown(text, none)


def test_a_card_without_yaml_is_whole() -> None:
    assert card.shown("# Card\n\n***\n\nmore\n", none) == '<h1 id="card-card">Card</h1>\n<hr>\n<p>more</p>\n'


def test_headings_have_the_names_that_links_have() -> None:
    found = card.shown(
        "[to](#load-it-1) <a href='#x'>x</a>\n\n## Load it\n\n## Load it\n\n<h2 id='rows'>x</h2>\n", none
    )
    assert re.findall(r'(?:id|href)="([^"]*)"', found) == [
        *("#card-load-it-1", "#card-x", "card-load-it", "card-load-it-1", "card-rows"),
    ]


HARMFUL = [
    '<div style="position: fixed; inset: 0">over</div>',
    "<style>body { display: none }</style>",
    "<script>x</script>",
    '<img src="pictures/one.png" onerror="x">',
    '<a href="javascript:x">x</a>',
    '<a href="data:text/html,x">x</a>',
    '<form action="https://example.org"><input name="x"></form>',
    '<iframe src="https://example.org"></iframe>',
    '<svg onload="x"></svg>',
    '<p class="fixed" id="where">x</p>',
    '<base href="https://example.org/">',
    '<meta http-equiv="refresh" content="0;url=https://example.org">',
    '<img src="data:image/svg+xml,<svg onload=x>">',
    '<p title="<img src=&quot;pictures/one.png&quot; onerror=x>">x</p>',
    '<td style="background: url(https://example.org/a.png)">x</td>',
    "<img alt='\" onerror=x' src='none.png'>",
]


@pytest.mark.parametrize("text", HARMFUL)
@pytest.mark.keeps("V1")
def test_nothing_of_a_card_is_run_or_leaves_its_place(text: str) -> None:
    found = card.shown(text, read)
    tags = re.findall(r"<[^>]*>", re.sub(r'"[^"]*"', lambda value: value[0] if "style" in value[0] else '""', found))
    assert not re.search(
        r"<(script|style|form|input|iframe|svg|base|meta|object)|style=|class=|\son\w+=", "".join(tags)
    )
    assert not re.search(r'(href|src)="(javascript|data:(?!image/png;base64,))', found)
    assert 'id="where"' not in found


def test_tables_keep_their_alignment() -> None:
    assert '<td style="text-align:right">1</td>' in card.shown("|a|\n|-:|\n|1|\n", none).replace(": right", ":right")


# What a card may cost


@pytest.mark.keeps("V1")
def test_pictures_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is named twenty times is held once, and shown until there is enough of it."""
    monkeypatch.setattr(card, "MOST_PICTURES", 3 * len(PICTURE))
    found = card.shown('<img src="pictures/one.png" alt="one">\n' * 20, read)
    assert found.count(ADDRESS) == 3
    assert found.count("[one: this picture is one too many: those of a card may have") == 17


def test_a_picture_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "MOST_PICTURE", len(PICTURE) - 1)
    assert "this picture has more than" in card.shown("![one](pictures/one.png)", read)


def test_a_picture_is_an_image() -> None:
    said = "[one: this picture is no PNG, JPEG, GIF or WebP]"
    assert said in card.shown("![one](a.svg)", lambda path: b"<svg/>")
    assert said in card.shown("![one](a.png)", lambda path: b"root:x:0:0")


def test_pictures_of_very_many_pixels_are_not_shown() -> None:
    data = png(6000, 6000)
    assert len(data) < card.MOST_PICTURE
    assert "is one too many" in card.shown("![one](a.png)", lambda path: data)


HEAVY = {
    "fences": "```\n~~~x\n",
    "pictures": "![",
    "tags": "<img ",
    "marks": "<!-- begin a -->\n",
    "boxes": "<div>",
    "links": "![](x",
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with closing(Reader()) as reader:
        yield reader


def test_what_takes_too_long_is_told(reader: Reader) -> None:
    reader.ready()
    with pytest.raises(NotRead, match="reading it takes more time than the preview gives it"):
        Budget(reader, 0.0).ask({"what": "paths"}, b"# Card")
    assert Budget(reader).ask({"what": "paths"}, b"![](a.png)")[0] == {"paths": ["a.png"]}  # by the next process


@pytest.mark.parametrize("kind", HEAVY)
@pytest.mark.keeps("V1")
def test_a_card_that_takes_long_is_given_up(kind: str, reader: Reader) -> None:
    """Or takes no time at all: either way the page is there soon."""
    reader.ready()
    text = (HEAVY[kind] * 400_000)[:400_000].encode()
    began = time.monotonic()
    with suppress(NotRead):
        Budget(reader, 1.5).ask({"what": "card", "paths": [], "sizes": []}, text)
    assert time.monotonic() - began < 10


@pytest.mark.keeps("V1")
def test_a_card_of_many_bytes_is_not_read(built: Path, tmp_path: Path) -> None:
    repository = making.copied(built, tmp_path)
    with (repository / "README.md").open("ab") as file:
        file.truncate(100 << 30)
    dataset = place.find(str(repository), "main").dataset(str(repository))
    assert "README.md cannot be shown: it has more than 512 kB" in page._card(dataset)
    with pytest.raises(Problem, match="expected a card of up to 512,000 bytes, found more"):
        shown.faults(dataset.contents)


def test_a_picture_of_many_bytes_is_not_read(built: Path, tmp_path: Path) -> None:
    repository = making.copied(built, tmp_path)
    with (repository / "big.png").open("wb") as file:
        file.truncate(100 << 30)
    (repository / "README.md").write_text('<img src="big.png" alt="big">\n' * 20)
    found = place.find(str(repository), "main")
    with closing(found.reader):
        said = page._card(found.dataset(str(repository)))
    assert said.count("[big: this picture has more than 4.0 MB]") == 20
