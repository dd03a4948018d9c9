"""The preview as a person sees it: the command runs, Debian's Chromium opens its page."""

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.kit import building
from tests.kit.forks import PREVIEW, Forks, Job

COMMAND = (sys.executable, "-m", "publish.preview")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run",
    "--force-color-profile=srgb",
)  # fmt: skip
WINDOW = {"width": 1280, "height": 900}
_SECONDS = 60


def launch_settings() -> dict[str, Any]:
    """Return how Chromium is started: as root it has no sandbox."""
    return {"executable_path": str(CHROMIUM), "args": [*FLAGS, *(["--no-sandbox"] if os.getuid() == 0 else [])]}


class Previews:
    """What forks the command: Gradio alone takes three seconds of a processor to import."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        own = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder)}
        self._folder, self._count = folder, count()
        self._forks = Forks({**env, **own}, folder, PREVIEW)

    def run(
        self, *arguments: object, module: str = "publish.preview", cwd: Path | None = None, **variables: str
    ) -> CompletedProcess[str]:
        """Run the command, or another, to its end and return its exit code and what it said."""
        output, errors = (self._folder / f"{name}{next(self._count)}" for name in ("output", "errors"))
        words, folder = [str(argument) for argument in arguments], str(cwd or self._folder)
        code = self._forks.run(Job(module, words, str(output), variables, cwd=folder, errors=str(errors)))
        return CompletedProcess(words, code, output.read_text(), errors.read_text())

    @contextmanager
    def served(self, *arguments: object) -> Iterator[str]:
        """Run the command until the end of the block and give the address that it says."""
        output = self._folder / f"output{next(self._count)}"
        pid = self._forks.begin(Job("publish.preview", [*map(str, arguments), "--port", "0"], str(output)))
        try:
            yield self._address(output)
        finally:
            os.kill(pid, signal.SIGTERM)
            self._forks.end(pid)

    def _address(self, output: Path) -> str:
        deadline = time.monotonic() + _SECONDS
        while not (output.exists() and output.read_text().endswith("\n")):
            assert time.monotonic() < deadline, "the preview did not start"
            time.sleep(0.01)
        return _said(output.read_text())

    def close(self) -> None:
        """End what forks."""
        self._forks.close()


@contextmanager
def served(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """The same by a process of its own, from its start."""
    words = [*COMMAND, *(str(argument) for argument in arguments), "--port", "0"]
    environment = building.environment() if env is None else dict(env)
    process = subprocess.Popen(words, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield _address(process.stdout)
    finally:
        process.terminate()
        process.wait(_SECONDS)
        process.stdout.close()


def _address(output: IO[str]) -> str:
    ready, _, _ = select.select([output], [], [], _SECONDS)
    return _said(output.readline() if ready else "")


def _said(said: str) -> str:
    assert " is shown at " in said, f"the preview did not start: {said!r}"
    return said.split(" is shown at ")[1].split()[0]


@contextmanager
def tab_on(profile: Any, address: str) -> Iterator["Viewer"]:
    """Open a tab of a profile on a preview, for as long as the block runs."""
    viewer = Viewer(profile.new_page()).open(address)
    yield viewer
    viewer.tab.close()


class Viewer:
    """A tab on the preview: what it asked for, what its console said, and what a person can do there."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.hosts: set[str] = set()
        self.troubles: list[str] = []
        tab.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        tab.on("console", lambda message: self._heard(message))
        tab.on("pageerror", lambda error: self.troubles.append(f"{error} {error.stack}"))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")

    def hold(self) -> None:
        """Hold it against what no tab may do: ask another machine for anything, or complain."""
        troubles, self.troubles = self.troubles, []
        assert self.hosts <= {"127.0.0.1", ""}
        assert not troubles, troubles

    def open(self, address: str, dataset: str | None = None) -> "Viewer":
        """Open the page, choose a dataset, and wait for its rows."""
        self.tab.goto(address)
        self.tab.wait_for_selector("#rows li, #rows .problem")
        if dataset:
            self.choose("dataset", dataset)
        return self

    def at(self, dataset: str, config: str, split: str) -> "Viewer":
        """Go to the first rows of a split, and undo whatever else was done to the page."""
        self.tab.bring_to_front()  # a tab behind another is not drawn
        self.tab.set_viewport_size(WINDOW)
        self.show("Rows")
        for name, choice in (("dataset", dataset), ("config", config), ("split", split), ("label", "every class")):
            if self.tab.locator(f"#{name}").is_visible() and self.chosen(name) != choice:
                self.choose(name, choice)
        if self.numbers[:1] != [0]:
            self.jump(0)
        self.tab.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
        return self

    def chosen(self, name: str) -> str:
        """Return what is chosen of a list."""
        return str(self.tab.locator(f"#{name} input").input_value())

    def choose(self, name: str, choice: str) -> None:
        """Choose from a list, and wait for what follows."""
        with self.turned():
            self.tab.locator(f"#{name} input").click()
            self.options(name, name=choice, exact=True).click()

    def options(self, list_name: str, **filters: Any) -> Any:
        """Return the choices of an open list; those of another may still be going from the page."""
        return self.tab.locator(f"#{list_name}").get_by_role("option", **filters)

    def choose_class(self, text: str) -> None:
        """Type into the list of classes and choose the only one that is left, and wait for its rows."""
        field = self.tab.locator("#label input")
        field.click()
        field.press("Control+A")
        field.press_sequentially(text)
        with self.turned():
            self.options("label").filter(has_text=text).click()

    @contextmanager
    def turned(self) -> Iterator[None]:
        """Wait until the rows that are there at the start of the block have gone and others are there."""
        self.tab.evaluate("() => document.querySelector('#rows :is(ol, .problem)').dataset.old = 1")
        yield
        self.tab.wait_for_function("() => document.querySelector('#rows :is(ol, .problem):not([data-old])')")

    def jump(self, row: int) -> None:
        """Ask for the rows from a number on."""
        with self.turned():
            self.tab.locator("#row input").fill(str(row))
            self.tab.locator("#row input").press("Enter")

    def press(self, name: str) -> None:
        """Press a button that turns the page."""
        with self.turned():
            self.tab.get_by_role("button", name=name).click()

    def show(self, name: str) -> Any:
        """Turn to a tab of the page."""
        self.tab.get_by_role("tab", name=name, exact=True).click()
        return self.tab.locator(f"#{name.lower()}")

    @property
    def rows(self) -> list[tuple[int, str, str]]:
        """The rows on the page: number, label, and the label's name."""
        script = "all => all.map(e => [e.dataset.row, e.dataset.label, e.querySelector('strong')?.textContent ?? ''])"
        return [(int(row), label, name) for row, label, name in self.tab.locator("#rows li").evaluate_all(script)]

    @property
    def numbers(self) -> list[int]:
        return [row for row, _, _ in self.rows]

    @property
    def sources(self) -> list[str]:
        """The addresses of the images."""
        found: list[str] = self.tab.locator("#rows li img").evaluate_all("all => all.map(e => e.src)")
        return found

    @property
    def said(self) -> str:
        """The text above the rows and in place of them."""
        return str(self.tab.locator("#where").inner_text() + self.tab.locator("#rows").inner_text())


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    """Return an image as uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
