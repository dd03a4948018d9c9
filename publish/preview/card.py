"""The card as the page shows it: rendered here, with its pictures in it, and with nothing that could leave its place.

It is rendered in the process that reads shards (`publish.preview.child`), for there are texts over which Markdown and
HTML take very long. What a card may cost is bounded: its text, its time, each of its pictures, and these together. Of
its HTML stays what `nh3` knows to be harmless, without any style but the alignment of tables.
"""

import base64
import html
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from urllib.parse import unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from loaders.images.pillow import decoding, opened
from publish.console.progress import megabytes

MOST_PICTURE, MOST_PICTURES = 4_000_000, 16_000_000  # bytes of one, and of all; ours have up to 1 MB and some in all
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP")  # what every browser shows, and runs nothing of
_MOST_PIXELS = 1 << 25  # of all pictures of a card: the browser holds them decoded
_ID = "card-"  # so that a heading has the name of no part of the page
_NESTED = 20  # levels of lists and quotes
_TAG = re.compile(r'<(?P<name>[a-z][a-z0-9]*)(?P<attributes>(?: [^\s="<>]+="[^"]*")*)>')  # as `nh3` writes them
_ATTRIBUTE = re.compile(r' (?P<name>[^\s="<>]+)="(?P<value>[^"]*)"')
_EMBEDDED = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*")

MOST = 200  # pictures of a card
SECONDS = 5.0  # for rendering a card; ours take 0.1
Read = Callable[[str], bytes]


class _NotShown(Exception):
    """A picture is not shown: its text says why."""


def shown(text: str, read: Read) -> str:
    """Return a card as HTML whose pictures are part of it.

    `read` returns the bytes of a file of the repository, or more than MOST_PICTURE of one that has more, and raises
    OSError or KeyError for one that is not there.
    """
    rendered = _CLEANER.clean(_rendered(_body(text.replace("\r\n", "\n"))))
    pictures = _Pictures(read)
    with_pictures = _TAG.sub(lambda tag: pictures.of(tag) if tag["name"] == "img" else tag[0], rendered)
    return _CLEANER.clean(with_pictures)  # again: whatever was put together above, no script comes of it


def paths(text: str) -> list[str]:
    """Return the paths of the pictures that a card asks for, each once, and no more than MOST."""
    found: dict[str, None] = {}

    def read(path: str) -> bytes:
        found[path] = None
        raise KeyError(path)

    shown(text, read)
    return list(found)[:MOST]


def _body(text: str) -> str:
    """Return a card without its YAML."""
    end = text.find("\n---\n", 3) if text.startswith("---\n") else -1
    return text if end < 0 else text[end + len("\n---\n") :]


def _rendered(body: str) -> str:
    markdown = MarkdownIt("commonmark", {"html": True, "maxNesting": _NESTED}).enable(["table", "strikethrough"])
    tokens = markdown.parse(body)
    for heading, name in _headings(tokens):
        heading.attrSet("id", name)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _headings(tokens: list[Token]) -> Iterator[tuple[Token, str]]:
    """Yield the headings with their names, as the Hub's links call them."""
    seen: dict[str, int] = {}
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            name = re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
            seen[name] = seen.get(name, -1) + 1
            yield token, f"{name}-{seen[name]}" if seen[name] else name


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Return the value of an attribute as it is to be, or None to leave it out."""
    if name == "id":
        return value if value.startswith(_ID) else _ID + value
    if name == "href":
        if value.startswith("#") and not value.startswith("#" + _ID):
            return f"#{_ID}{value[1:]}"
        return None if value.lower().lstrip().startswith("data:") else value
    if name == "src" and value.lower().lstrip().startswith("data:"):
        return value if _EMBEDDED.fullmatch(value) else None
    return value


_HEADINGS = {f"h{level}": {"id"} for level in range(1, 7)}
_CLEANER = nh3.Cleaner(
    tags=(nh3.ALLOWED_TAGS | {"details", "summary", "s"}) - {"map", "area"},
    attributes={
        **_HEADINGS,
        "a": {"href", "title", "id"},
        "img": {"src", "alt", "title", "width", "height"},
        "td": {"style", "colspan", "rowspan"},
        "th": {"style", "colspan", "rowspan"},
        "ol": {"start"},
        "details": {"open"},
    },
    attribute_filter=_attribute,
    filter_style_properties={"text-align"},
    url_schemes={"http", "https", "mailto", "data"},
    clean_content_tags={"script", "style"},
)


class _Pictures:
    """The pictures of a card, each read once, and what is left of the bytes and pixels that they may have together."""

    def __init__(self, read: Read) -> None:
        self._read, self._left, self._pixels = read, MOST_PICTURES, _MOST_PIXELS
        self._known: dict[str, tuple[str, int, int] | _NotShown] = {}

    def of(self, tag: re.Match[str]) -> str:
        """Return an <img> with the picture itself as its source, or its text where there is none to show."""
        attributes = {found["name"]: html.unescape(found["value"]) for found in _ATTRIBUTE.finditer(tag["attributes"])}
        source = attributes.pop("src", "")
        try:
            kept = {"src": source if source.startswith("data:") else self._address(source), **attributes}
        except _NotShown as reason:
            return html.escape(f"[{attributes.get('alt') or source}: this picture {reason}]")
        return "<img " + " ".join(f'{name}="{html.escape(value)}"' for name, value in kept.items()) + ">"

    def _address(self, source: str) -> str:
        if source not in self._known:
            try:
                self._known[source] = self._opened(source)
            except _NotShown as reason:
                self._known[source] = reason
        found = self._known[source]
        if isinstance(found, _NotShown):
            raise found
        address, size, pixels = found
        if size > self._left or pixels > self._pixels:
            raise _NotShown(f"is one too many: those of a card may have {megabytes(MOST_PICTURES)} together")
        self._left, self._pixels = self._left - size, self._pixels - pixels
        return address

    def _opened(self, source: str) -> tuple[str, int, int]:
        """Return the address that holds a picture of the repository, its bytes and its pixels."""
        try:
            data = self._read(path_of(source))
        except (OSError, KeyError, ValueError):  # the last of an address that is none
            raise _NotShown("is not in the repository, and nothing is fetched from elsewhere") from None
        if len(data) > MOST_PICTURE:
            raise _NotShown(f"has more than {megabytes(MOST_PICTURE)}")
        try:
            with decoding():
                image = opened(data, _FORMATS)
        except ValueError:
            raise _NotShown("is no PNG, JPEG, GIF or WebP") from None
        return data_uri(data, f"image/{str(image.format).lower()}"), len(data), image.width * image.height


def path_of(source: str) -> str:
    """Return the path of a picture in the repository; raises KeyError and ValueError for what is elsewhere."""
    url = urlsplit(source)
    path = unquote(url.path).removeprefix("./")
    if url.scheme or url.netloc or not path or path.startswith("/") or ".." in path.split("/"):
        raise KeyError(source)
    return path


def data_uri(data: bytes, kind: str) -> str:
    """Return a picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
