"""`python -m tests.lowest`: is every lower bound of pyproject.toml true?

In an environment of its own, with the lowest releases that the bounds allow, what is there is held against them; then
the sample is built, and the tests run that are quick and use each library. Arguments go to pytest.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_EXTRAS = ("dask", "preview", "test")
_TESTS = (
    "tests/loaders/base/test_builder.py",
    "tests/loaders/files",
    "tests/loaders/formats/test_pickles.py",
    "tests/loaders/images/test_photographs.py",
    "tests/loaders/images/test_png.py",
    "tests/loaders/sources",
    "tests/loaders/test_imagenet_resized.py",
    "tests/publish/build/test_staging.py",
    "tests/publish/card/test_readme.py",
)
_BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)")


def main() -> int:
    """Try the lowest releases and return an exit code: 0 when all bounds are true."""
    with tempfile.TemporaryDirectory(prefix="lowest-") as folder:
        python = Path(folder) / "bin" / "python"
        uv = (sys.executable, "-m", "uv")
        _run(*uv, "venv", "--quiet", "--python", sys.executable, folder)
        wanted = f"{_ROOT}[{','.join(_EXTRAS)}]"
        _run(*uv, "pip", "install", "--quiet", "--python", python, "--resolution", "lowest-direct", "-e", wanted)
        listed = _run(*uv, "pip", "list", "--python", python, "--format", "json")
        if lies := list(_untrue({entry["name"]: entry["version"] for entry in json.loads(listed)})):
            print(*lies, sep="\n")
            return 1
        return _try(python, Path(folder))


def _run(*command: object) -> str:
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def _untrue(installed: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each requirement whose bound is none, or not what was installed."""
    for requirement in _requirements():
        bound = _BOUND.match(requirement)
        if bound is None:
            yield f"{requirement}: expected a lower bound"
        elif _release(found := installed[bound[1].replace("_", "-").replace(".", "-")]) != _release(bound[2]):
            yield f"{requirement}: the lowest that can be installed is {found}"


def _requirements() -> list[str]:
    project: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (requirement for extra in _EXTRAS for requirement in project["optional-dependencies"][extra])
    return [each for each in (*project["dependencies"], *extras) if not each.startswith(project["name"])]


def _release(version: str) -> list[int]:
    """Return a version as numbers, so that 2.1 is 2.1.0."""
    numbers = [int(number) for number in version.split(".") if number.isdecimal()]
    while numbers[-1] == 0:
        numbers.pop()
    return numbers


def _try(python: Path, folder: Path) -> int:
    sample = ("publish", "--config", "all", "--sample", "--out", str(folder / "hub"))
    tests = ("pytest", "-n", "auto", "--dist", "loadfile", *_TESTS, *sys.argv[1:])
    for command in (sample, tests):
        print("$ python -m", *command, flush=True)
        if code := subprocess.call([str(python), "-m", *command], cwd=_ROOT):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
