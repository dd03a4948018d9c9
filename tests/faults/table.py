"""Which test keeps which promise: read from the `keeps` marks in the sources of the tests, which are not run for it."""

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROMISES = Path(__file__).with_name("promises.toml")


@dataclass(frozen=True)
class Promise:
    """A row of the catalogue."""

    row: str
    fault: str
    promise: str
    reason: str = ""


def promises() -> list[Promise]:
    """Return every row, in the order of the file."""
    sections = tomllib.loads(PROMISES.read_text(encoding="utf-8")).values()
    return [Promise(row, **words) for section in sections for row, words in section.items()]


def keepers() -> dict[str, list[str]]:
    """Return the tests that say of themselves that they keep a row, by row: `FILE::TEST`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, row in _marks(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(row, []).append(f"{path.relative_to(TESTS.parent).as_posix()}::{name}")
    return found


def _marks(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _marks(node, f"{prefix}{node.name}::")
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from ((f"{prefix}{node.name}", row) for mark in node.decorator_list for row in _rows(mark))


def _rows(mark: ast.expr) -> list[str]:
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.keeps":
        return [ast.literal_eval(argument) for argument in mark.args]
    return []
