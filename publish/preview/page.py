"""The page: dataset, config, split and class chosen from lists; rows a hundred at a time, statistics and the card."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loaders import Problem
from publish.preview import markup
from publish.preview.components import gradio as gr
from publish.preview.place import Dataset, Place
from publish.preview.reader import NotRead

ROWS = 100
_EVERY = -1  # the choice of no class
_TOP = "() => document.querySelector('#where').scrollIntoView({block: 'nearest'})"
_SERVED: dict[str, Any] = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class _Parts:
    """The components of the page, and what is shown: dataset, config, split, class, and the first of the rows."""

    shown: gr.State
    dataset: gr.Dropdown
    config: gr.Dropdown
    split: gr.Dropdown
    load: gr.Code
    label: gr.Dropdown
    row: gr.Number
    before: gr.Button
    after: gr.Button
    where: gr.Markdown
    rows: gr.HTML
    statistics: gr.HTML
    card: gr.HTML


Updates = dict[Any, Any]


def build(place: Place) -> gr.Blocks:
    """Return the page that shows a place."""
    title = f"Preview: {', '.join(_short(name) for name in place.names)}"
    page = gr.Blocks(title=title, analytics_enabled=False)
    with page:
        _Events(place, _lay(place)).bind(page)
    return page


def _lay(place: Place) -> _Parts:
    shown = gr.State(())
    with gr.Row():
        names = [(_short(name), name) for name in place.names]
        dataset = gr.Dropdown(names, value=place.names[0], label="Dataset", elem_id="dataset", min_width=240)
        config = gr.Dropdown([], label="Config", elem_id="config")
        split = gr.Dropdown([], label="Split", elem_id="split")
    load = gr.Code(
        language="python", label="Load it", elem_id="load", interactive=False, lines=1, show_line_numbers=False
    )
    with gr.Tab("Rows"):
        with gr.Row(elem_id="turn"):
            label = gr.Dropdown([], label="Class (type to find one)", elem_id="label", min_width=200)
            row = gr.Number(0, label="From row", precision=0, elem_id="row", min_width=110)
            before = gr.Button(f"Previous {ROWS}", elem_id="before", min_width=110, interactive=False)
            after = gr.Button(f"Next {ROWS}", elem_id="after", min_width=110, interactive=False)
        where = gr.Markdown(elem_id="where")
        rows = gr.HTML(elem_id="rows")
    with gr.Tab("Statistics"):
        statistics = gr.HTML(elem_id="statistics")
    with gr.Tab("Card"):
        text = gr.HTML(elem_id="card")
    return _Parts(shown, dataset, config, split, load, label, row, before, after, where, rows, statistics, text)


def _short(name: str) -> str:
    return Path(name).resolve().name if Path(name).is_dir() else name


class _Events:
    """What follows from what a person does. Each returns new values for the components it changes.

    A list is heard when its value changes: Gradio tells of input also when a list is left without a choice. It changes
    by what the page itself sets too, so that a choice that is shown already changes nothing. Pages are turned from what
    is shown, whatever was chosen meanwhile and is still on its way.
    """

    def __init__(self, place: Place, parts: _Parts) -> None:
        self._place, self._parts = place, parts

    def bind(self, page: gr.Blocks) -> None:
        p = self._parts
        at = [p.dataset, p.config, p.split, p.label]
        turned = [p.shown, p.row, p.before, p.after, p.where, p.rows]
        of_split = [p.load, p.label, p.statistics, *turned]
        everything = [p.config, p.split, p.card, *of_split]
        page.load(self.opened, at[:1], everything, **_SERVED)
        p.dataset.change(self.opened, at[:1], everything, **_SERVED)
        p.config.change(_unless_shown(self.config), [p.shown, *at[:2]], [p.split, *of_split], **_SERVED)
        p.split.change(_unless_shown(self.split), [p.shown, *at[:3]], of_split, **_SERVED)
        p.label.change(_unless_shown(self.label), [p.shown, *at], turned, **_SERVED)
        p.row.submit(self.row, [p.shown, p.row], turned, **_SERVED)
        p.before.click(self.before, [p.shown], turned, **_SERVED).then(None, js=_TOP)
        p.after.click(self.after, [p.shown], turned, **_SERVED).then(None, js=_TOP)

    def opened(self, name: str) -> Updates:
        """A dataset was chosen, or the page was loaded: read it again, and show the first rows of its default."""
        p = self._parts
        try:
            dataset = self._place.dataset(name, anew=True)
        except (Problem, OSError) as problem:
            nothing = {p.config: gr.update(choices=[], value=None), p.split: gr.update(choices=[], value=None)}
            return nothing | {p.card: "", p.statistics: "", p.load: ""} | self._problem(problem, (name, None, None))
        config = dataset.configs[0]
        card_of = {p.config: gr.update(choices=dataset.configs, value=config), p.card: _card(dataset)}
        return card_of | self.config(name, config)

    def config(self, name: str, config: str) -> Updates:
        splits = self._place.dataset(name).splits(config)
        return {self._parts.split: gr.update(choices=splits, value=splits[0])} | self.split(name, config, splits[0])

    def split(self, name: str, config: str, split: str) -> Updates:
        p, dataset = self._parts, self._place.dataset(name)
        try:
            classes = dataset.split(config, split).classes
        except Problem as problem:
            classes, turned = [], self._problem(problem, (name, config, split, _EVERY, 0))
        else:
            turned = self._turn((name, config, split, _EVERY, 0))
        choices = [("every class", _EVERY), *((f"{text} ({i})", i) for i, text in enumerate(classes))]
        return turned | {
            p.load: _load(dataset, config, split),
            p.label: gr.update(choices=choices, value=_EVERY, visible=bool(classes)),
            p.statistics: markup.statistics(dataset.manifest.configs[config][split], classes),
        }

    def label(self, name: str, config: str, split: str, label: int) -> Updates:
        return self._turn((name, config, split, label, 0))

    def row(self, shown: Sequence[Any], row: float | None) -> Updates:
        return self._turn((*shown[:4], row)) if _has_rows(shown) else gr.skip()

    def before(self, shown: Sequence[Any]) -> Updates:
        return self._turn(shown, -ROWS) if _has_rows(shown) else gr.skip()

    def after(self, shown: Sequence[Any]) -> Updates:
        return self._turn(shown, ROWS) if _has_rows(shown) else gr.skip()

    def _turn(self, at: Sequence[Any], step: int = 0) -> Updates:
        """Show the rows from a number on, or those a page before or after them."""
        name, config, split, label, row = at
        p = self._parts
        try:
            rows = self._place.dataset(name).split(config, split)
            of_class = None if label == _EVERY or not rows.classes else rows.of_class(label)
            total = rows.rows if of_class is None else len(of_class)
            begin = int(row or 0) if of_class is None else int(np.searchsorted(of_class, row or 0))
            begin = max(0, min(begin + step, total - 1))
            numbers = np.arange(begin, min(begin + ROWS, total))
            numbers = numbers if of_class is None else of_class[numbers]
            shown = markup.rows(rows.read(numbers), rows.classes)
        except Problem as problem:
            return self._problem(problem, at)
        first = int(numbers[0]) if total else 0
        return {
            p.shown: (*at[:4], first),
            p.row: first,
            p.before: gr.update(interactive=begin > 0),
            p.after: gr.update(interactive=begin + ROWS < total),
            p.where: _where(begin, len(numbers), total, of_class is not None),
            p.rows: shown,
        }

    def _problem(self, problem: Exception, shown: Sequence[Any]) -> Updates:
        p = self._parts
        turns = dict.fromkeys((p.before, p.after), gr.update(interactive=_has_rows(shown)))
        return {p.shown: tuple(shown), p.where: "", p.rows: markup.message(str(problem))} | turns


def _has_rows(shown: Sequence[Any]) -> bool:
    return len(shown) == len(("dataset", "config", "split", "class", "row"))


def _unless_shown(choose: Callable[..., Updates]) -> Callable[..., Updates]:
    """Return what shows a choice, given what is shown and the choice."""

    def chosen(shown: tuple[Any, ...], *choice: Any) -> Updates:
        return gr.skip() if shown[: len(choice)] == choice else choose(*choice)

    return chosen


def _where(begin: int, count: int, total: int, filtered: bool) -> str:
    if not total:
        return "No row is of this class."
    last = begin + count - 1
    if filtered:
        return f"**{begin + 1:,} to {last + 1:,}** of the {total:,} rows of this class"
    return f"Rows **{begin:,} to {last:,}** of {total:,}, counted from 0"


def _load(dataset: Dataset, config: str, split: str) -> str:
    revision = f", revision={json.dumps(dataset.revision)}" if dataset.revision else ""
    call = f"load_dataset({json.dumps(dataset.name)}, {json.dumps(config)}, split={json.dumps(split)}{revision})"
    return f"from datasets import load_dataset\n\nds = {call}"


def _card(dataset: Dataset) -> str:
    try:
        return markup.inert(dataset.card())
    except (OSError, KeyError, NotRead, Problem) as error:
        return markup.message(f"README.md cannot be shown: {error}.")
