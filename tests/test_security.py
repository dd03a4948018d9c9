"""Nothing that a file of others says is run: by the calls that are in the sources at all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.building import ROOT

SOURCES = sorted(path for folder in ("loaders", "publish", "cards") for path in (ROOT / folder).rglob("*.py"))
# By the last part of what is called: whatever object it is called on.
NEVER = {
    *("eval", "exec", "compile", "__import__"),
    *("system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"),
    *("Unpickler", "unsafe_load", "full_load", "unsafe_load_all", "read_pickle"),
    *("extract", "extractall", "unpack_archive"),
}
# Modules whose `load` and `loads` build whatever their bytes name.
BUILDERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "torch", "jsonpickle"}
PICTURES = {"images.pillow", "images.decoder"}  # the latter, on the cards, stands alone


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def name(call: ast.Call) -> str:
    return ast.unparse(call.func)


def keywords(call: ast.Call) -> dict[str, str]:
    return {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}


def imported(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {name.asname or name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}


def wrong(path: Path, call: ast.Call, modules: set[str]) -> str | None:
    """Say why a call has no place in a source that imports these modules, or nothing."""
    called, given = name(call), keywords(call)
    owner, _, last = called.rpartition(".")
    if last in NEVER and not (owner == "re" and last == "compile"):
        return "runs or unpacks what a file says"
    if owner in BUILDERS & modules and last in ("load", "loads", "open"):
        return "builds what a file names"
    if given.get("shell", "False") != "False":
        return "goes through a shell"
    if last in ("load", "read_array", "open_memmap") and owner in ("np", "numpy", "npy"):
        return None if given.get("allow_pickle") == "False" else "may unpickle"
    if called == "YAML" and (call.args or "typ" in given):
        return "another YAML than the one that keeps comments, which builds no objects"
    if called == "Image.open" and f"{path.parent.name}.{path.stem}" not in PICTURES:
        return "opens a picture of any format: see loaders/images/pillow.py"
    return None


@pytest.mark.keeps("S9", "S11", "S12")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_that_a_file_says_is_run(path: Path) -> None:
    modules = imported(path)
    found = [(f"line {call.lineno}", ast.unparse(call)[:80], wrong(path, call, modules)) for call in calls(path)]
    assert [line for line in found if line[2]] == []


@pytest.mark.parametrize(
    "text",
    [
        "pickle.load(file)", "eval(text)", "os.system(text)", "subprocess.run(text, shell=True)", "yaml.load(text)",
        "YAML(typ='unsafe')", "tar.extractall(place)", "archive.extract(name)", "np.load(path)", "torch.load(path)",
        "np.load(path, allow_pickle=True)", "Image.open(path)", "builtins.exec(text)", "shutil.unpack_archive(path)",
    ],
)  # fmt: skip
def test_it_would_be_found(text: str) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert wrong(ROOT / "loaders" / "any.py", call, BUILDERS)


@pytest.mark.keeps("P2")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_command_takes_a_token(path: Path) -> None:
    """What stands on a command line stands in the list of processes and in a shell's history."""
    options = [ast.literal_eval(word) for call in calls(path) for word in call.args if isinstance(word, ast.Constant)]
    assert not [word for word in options if isinstance(word, str) and word.startswith("--") and "token" in word]
