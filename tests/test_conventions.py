"""What is true of every dataset and of every module, said as a person would who reviews a change."""

import ast
import importlib
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

import loaders
from tests.kit.building import ROOT

DATASETS = loaders.names()
SOURCES = sorted(path for folder in ("loaders", "publish", "cards") for path in (ROOT / folder).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}
LONGEST = 300
# The rooms, from the ground up: what stands on a floor imports only what stands on floors below it, or in its own room.
LOADERS = [
    {"loaders._errors"},
    {"loaders.files", "loaders.classes"},
    {"loaders.images"},
    {"loaders.formats"},
    {"loaders.ilsvrc", "loaders.sources", "loaders.training"},
    {"loaders.base"},
    {f"loaders.{name}" for name in DATASETS},
    {"loaders"},
]
PUBLISH = [
    {"publish.results", "publish.manifest"},
    {"publish.work", "publish.sample"},
    {"publish.console"},
    {"publish.card", "publish.regenerate"},
    {"publish.build"},
    {"publish.repository"},
    {"publish.hub"},
    {f"publish.{name}" for name in ("__main__", "check", "restore", "withdraw", "show", "lists", "preview", "publish")},
]
FLOORS = {room: floor for floor, rooms in enumerate([*LOADERS, {"cards"}, *PUBLISH, {"publish"}]) for room in rooms}
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
every_dataset = pytest.mark.parametrize("dataset", DATASETS)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Return what a module imports anywhere, in full."""
    return imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{name.name}" for name in node.names}
            found |= full | (set() if full <= MODULES else {node.module})
    return found


@cache
def graph() -> dict[str, set[str]]:
    """Return {module: modules of this project that it imports when it is itself imported}."""
    found = {module_name(path): imported(ast.parse(path.read_text(encoding="utf-8")).body) for path in SOURCES}
    return {name: (reached & set(found)) - {name} for name, reached in found.items()}


def reached_from(module: str) -> set[str]:
    known, found, left = graph(), set[str](), [module]
    while left:
        for name in known[left.pop()] - found:
            found.add(name)
            left.append(name)
    return found


# A dataset


@every_dataset
def test_a_dataset_has_a_card(dataset: str) -> None:
    assert (ROOT / "cards" / f"{dataset}.md").is_file(), (
        f"loaders/{dataset}.py is a dataset without a card: write cards/{dataset}.md. What is no dataset "
        "stands in a room."
    )


@every_dataset
def test_a_dataset_has_its_own_test(dataset: str) -> None:
    assert (ROOT / "tests" / "loaders" / f"test_{dataset}.py").is_file(), (
        f"loaders/{dataset}.py is not tested: write tests/loaders/test_{dataset}.py, which lays out a tiny archive and "
        "runs the checks of tests/kit/contract.py over it."
    )


@every_dataset
def test_every_config_of_a_dataset_goes_through_the_contract(dataset: str) -> None:
    """By the tests that pytest would run: `every_config` names the configs, `every_check` the checks."""
    module = importlib.import_module(f"tests.loaders.test_{dataset}")
    tested: set[str] = set()
    for name, function in vars(module).items():
        marks = {
            mark.args[0]: mark.args[1] for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"
        }
        if name.startswith("test_") and {"config", "check"} <= set(marks):
            tested |= set(marks["config"])
    configs = {config.name for config in loaders.load(dataset).DATASET.configs}
    assert tested == configs, (
        f"tests/loaders/test_{dataset}.py runs the contract over {sorted(tested)}, not {sorted(configs)}."
    )


@every_dataset
def test_the_names_of_a_dataset_agree(dataset: str) -> None:
    module = loaders.load(dataset)
    assert module.DATASET.name == dataset, f"loaders/{dataset}.py says that it is {module.DATASET.name}."
    configs = [config.name for config in module.DATASET.configs]
    assert len(set(configs)) == len(configs)
    assert [module.config(name).name for name in configs] == configs
    card = (ROOT / "cards" / f"{dataset}.md").read_text(encoding="utf-8")
    missing = [name for name in configs if name not in card]
    assert not missing, f"cards/{dataset}.md does not mention the configs {missing}."


def test_every_card_and_every_test_has_its_dataset() -> None:
    cards = {path.stem for path in (ROOT / "cards").glob("*.md")}
    assert sorted(cards) == DATASETS, "a card in cards/ has no module of its name in loaders/, or the other way round."


@every_dataset
def test_the_readme_lists_every_dataset_and_config(dataset: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = [dataset, *(config.name for config in loaders.load(dataset).DATASET.configs)]
    assert [name for name in names if name not in text] == []


# A module


@every_source
def test_a_file_fits_in_the_head(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, (
        f"{path.relative_to(ROOT)} has {lines} lines, at most {LONGEST} fit in the head: divide it."
    )


@every_source
def test_what_is_public_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent, f"{path.relative_to(ROOT)}: without a docstring: {', '.join(silent)}."
    assert ast.get_docstring(tree), f"{path.relative_to(ROOT)} has no docstring."


@every_source
def test_no_package_imports_one_to_the_right_of_it(path: Path) -> None:
    """`loaders` knows nothing of what is made of its rows, and nothing that is installed knows of the tests."""
    right = {"loaders": {"publish", "cards", "tests"}, "cards": {"loaders", "publish", "tests"}, "publish": {"tests"}}
    reached = {name.partition(".")[0] for name in imports(path)}
    assert not reached & right[path.relative_to(ROOT).parts[0]], f"{module_name(path)} imports from the right of it."


def room(module: str) -> str:
    """Return the room that a module stands in, or itself where it has a floor of its own."""
    parts = module.split(".")
    return ".".join(parts[:2]) if ".".join(parts[:2]) in FLOORS else parts[0]


@every_source
def test_a_room_imports_only_what_stands_below_it(path: Path) -> None:
    """Also within functions. What a name leads to is the module of that name, or else the one that it is taken from."""
    here = room(module_name(path))
    reached = {name for name in imports(path) if name in MODULES and room(name) != here}
    above = sorted(name for name in reached if FLOORS[room(name)] >= FLOORS[here])
    assert not above, f"{module_name(path)} imports {', '.join(above)}, which stands above it."


@every_source
def test_every_module_stands_in_a_room(path: Path) -> None:
    where, inside = module_name(path), path.relative_to(ROOT).parts
    assert len(inside) < 3 or room(where) != inside[0], f"{where} stands in a folder that no floor lists."


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parts[len(ROOT.parts)] != "loaders"], ids=str)
def test_nothing_outside_loaders_takes_a_private_name_of_it(path: Path) -> None:
    words = [name for name in imports(path) if name.startswith("loaders.")]
    assert [name for name in words if any(part.startswith("_") for part in name.split("."))] == []


def test_no_two_modules_import_each_other() -> None:
    assert [name for name in graph() if name in reached_from(name)] == []


def test_the_packages_hold_their_data() -> None:
    assert (files("loaders.classes") / "classes.tsv").is_file()
    assert [(files("cards") / f"{name}.md").is_file() for name in DATASETS] == [True] * len(DATASETS)


# The tests


def test_every_test_is_found(pytestconfig: pytest.Config) -> None:
    """Pytest passes over folders by their names, by default over each `build`, without a word."""
    passed_over = pytestconfig.getini("norecursedirs")
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(folders) > 10
    names = {part for folder in folders for part in folder.relative_to(ROOT).parts}
    assert [name for name in sorted(names) if any(fnmatch(name, pattern) for pattern in passed_over)] == []
