"""The card as the page shows it: its YAML left out, its pictures put into it, nothing fetched from elsewhere."""

import base64
import html
import mimetypes
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

_YAML = re.compile(r"\A---\n.*?^---\n", re.DOTALL | re.MULTILINE)
_FENCE = re.compile(r"(^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$)", re.DOTALL | re.MULTILINE)
_TAG = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"""\b(?P<name>src|alt|title|width|height)\s*=\s*(?:"(?P<a>[^"]*)"|'(?P<b>[^']*)')""", re.IGNORECASE
)
_MARKDOWN = re.compile(r"!\[(?P<alt>[^\]]*)\]\(\s*<?(?P<src>[^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_ANCHOR = re.compile(r"\]\(#")

Read = Callable[[str], bytes]


def shown(text: str, read: Read) -> str:
    """Return a card as Markdown whose pictures are part of it.

    `read` returns the bytes of a file of the repository, and raises OSError or KeyError for one that is not there.
    """
    body = _YAML.sub("", text.replace("\r\n", "\n"), count=1)
    parts = _FENCE.split(body)[::3], [match[0] for match in _FENCE.finditer(body)]
    prose = [_with_pictures(part, read) for part in parts[0]]
    return "".join(piece for pair in zip(prose, [*parts[1], ""], strict=True) for piece in pair)


def _with_pictures(prose: str, read: Read) -> str:
    prose = _ANCHOR.sub("](#h-", prose)  # Gradio gives headings these ids
    prose = _MARKDOWN.sub(lambda found: _picture({"src": found["src"], "alt": found["alt"]}, read), prose)
    return _TAG.sub(lambda found: _picture(_attributes(found[0]), read), prose)


def _attributes(tag: str) -> dict[str, str]:
    found = {match["name"].lower(): match["a"] or match["b"] or "" for match in _ATTRIBUTE.finditer(tag)}
    return {name: html.unescape(value) for name, value in found.items()}


def _picture(attributes: dict[str, str], read: Read) -> str:
    """Return an <img> with the picture itself as its source, or its text where there is none to show."""
    source = attributes.get("src", "")
    try:
        data = source if source.startswith("data:image/") else _inlined(source, read)
    except (OSError, KeyError, ValueError):  # the last of an address that is none
        why = "is not in the repository, and nothing is fetched from elsewhere"
        return html.escape(f"[{attributes.get('alt') or source}: this picture {why}]")
    kept = [("src", data), *((name, value) for name, value in attributes.items() if name != "src")]
    return "<img " + " ".join(f'{name}="{html.escape(value)}"' for name, value in kept) + ">"


def _inlined(source: str, read: Read) -> str:
    url = urlsplit(source)
    path = unquote(url.path).removeprefix("./")
    if url.scheme or url.netloc or path.startswith("/") or ".." in path.split("/"):
        raise KeyError(source)
    return data_uri(read(path), mimetypes.guess_type(path)[0] or "image/png")


def data_uri(data: bytes, kind: str) -> str:
    """Return a picture as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
