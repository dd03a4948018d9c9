"""HTML of what the page shows of a split. Every text that comes from data is escaped here."""

from collections.abc import Sequence
from html import escape
from typing import Any

from publish.console.progress import megabytes
from publish.manifest import SplitEntry
from publish.preview.rows import Page, Row

_BARS = 120  # units of height of the histogram
_MOST_BARS = 10_000


def rows(page: Page, names: Sequence[str]) -> str:
    """Return rows as a list of images with their labels, and above them what is to be told of them."""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in page.notes)
    return inert(f'{notes}<ol class="rows">{"".join(_row(row, names) for row in page.rows)}</ol>')


def _row(row: Row, names: Sequence[str]) -> str:
    name = "" if row.label is None else label(row.label, names)
    facts = [f"row {row.number:,}", *([] if row.label is None else [f"label {row.label}"]), *row.texts.values()]
    facts += [row.image.what] if row.image else []
    return (
        f'<li data-row="{row.number}" data-label="{"" if row.label is None else row.label}">'
        f"{_image(row, f'row {row.number}' + (f': {name}' if name else ''))}"
        f"{f'<strong>{escape(name)}</strong>' if name else ''}<small>{escape(' · '.join(facts))}</small></li>"
    )


def label(number: int, names: Sequence[str]) -> str:
    """Return the name of a label, or the number itself where it has none."""
    return names[number] if 0 <= number < len(names) else str(number)


def _image(row: Row, text: str) -> str:
    shown = row.image
    if shown is None:
        return f'<span class="broken">{escape(row.why)}</span>' if row.why else ""
    pixels = ' class="pixels"' if shown.enlarged else ""
    size = f'width="{shown.width}" height="{shown.height}"'
    return f'<img{pixels} src="{escape(shown.source)}" alt="{escape(text)}" {size}>'


def message(text: str) -> str:
    """Return what is wrong, in place of what cannot be shown."""
    return inert(f'<p class="problem" role="alert">{escape(text)}</p>')


def statistics(entry: SplitEntry, names: Sequence[str]) -> str:
    """Return what the manifest says of a split: how many rows, mean and deviation, and the histogram of its classes."""
    facts = [("rows", f"{entry.rows:,}"), ("shards", str(len(entry.shards)))]
    facts += [("Parquet", megabytes(sum(shard.bytes for shard in entry.shards)))]
    facts += [("rows with an earlier row's image", f"{entry.duplicates:,}")]
    facts += [("mean (R, G, B)", _triple(entry.mean)), ("standard deviation", _triple(entry.deviation))]
    lines = "".join(f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    return inert(f'<table class="facts">{lines}</table>{_histogram(entry.labels, names)}')


def _triple(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _histogram(counts: Sequence[int], names: Sequence[str]) -> str:
    if not counts:
        return "<p>There are no labels, so there is no histogram of them.</p>"
    more, counts = len(counts) - _MOST_BARS, counts[:_MOST_BARS]
    top = max(max(counts), 1)
    bars = "".join(
        f'<rect x="{i}" y="{_BARS * (1 - count / top):.2f}" width="1" height="{_BARS * count / top:.2f}">'
        f"<title>{escape(label(i, names))}: {count:,}</title></rect>"
        for i, count in enumerate(counts)
    )
    each = f"{min(counts):,} to {top:,} rows" if min(counts) < top else f"{top:,} row" + "s" * (top > 1)
    said = f"Rows a class: {len(counts):,} classes, {each} each"
    said += f"; {more:,} more classes are not drawn" if more > 0 else ""
    return (
        f'<figure><svg class="histogram" role="img" aria-label="{said}" viewBox="0 0 {len(counts)} {_BARS}" '
        f'preserveAspectRatio="none">{bars}</svg><figcaption>{said}, in the order of the labels.</figcaption></figure>'
    )


def inert(text: str) -> str:
    """Return HTML in which the page's own templates find nothing to fill in."""
    return text.translate(_TEMPLATES)


_TEMPLATES: dict[int, Any] = {ord("{"): "&#123;", ord("}"): "&#125;", ord("$"): "&#36;", ord("`"): "&#96;"}
