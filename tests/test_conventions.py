"""What is true of every dataset and of every module, said as a person would who reviews a change."""

import ast
import importlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest

import loaders
from tests.building import ROOT

DATASETS = loaders.names()
SOURCES = sorted(path for folder in ("loaders", "publish", "cards") for path in (ROOT / folder).rglob("*.py"))
LONGEST = 300
# The flow, from left to right: a step imports nothing that leads to a step to the right of it.
FLOW = ("measure", "shard", "card", "repository", "destination", "build", "__main__")
every_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
every_dataset = pytest.mark.parametrize("dataset", DATASETS)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(path: Path) -> set[str]:
    """Return what a module imports anywhere, in full."""
    return imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
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
        f"loaders/{dataset}.py is a dataset without a card: write cards/{dataset}.md. A module that is no dataset "
        "is named with a leading underscore."
    )


@every_dataset
def test_a_dataset_has_its_own_test(dataset: str) -> None:
    assert (ROOT / "tests" / "loaders" / f"test_{dataset}.py").is_file(), (
        f"loaders/{dataset}.py is not tested: write tests/loaders/test_{dataset}.py, which lays out a tiny archive and "
        "runs the checks of tests/contract.py over it."
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


@pytest.mark.parametrize("step", FLOW)
def test_data_flows_one_way(step: str) -> None:
    later = {f"publish.{name}" for name in FLOW[FLOW.index(step) + 1 :]}
    assert not reached_from(f"publish.{step}") & later, f"publish/{step}.py leads to what comes after it in the flow."


def test_no_two_modules_import_each_other() -> None:
    assert [name for name in graph() if name in reached_from(name)] == []


def test_the_packages_hold_their_data() -> None:
    assert (files("loaders") / "classes.tsv").is_file()
    assert [(files("cards") / f"{name}.md").is_file() for name in DATASETS] == [True] * len(DATASETS)
