"""The wheel: built, looked into, installed alone, and used from an empty folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

import loaders
from tests.kit.building import ROOT, tree

_SECONDS = 120


def call(*words: object, cwd: Path, **variables: str) -> str:
    """Run a program without the variables that lead to this checkout; return what it printed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=env | variables,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it from a copy of what the project tracks, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, copy)
    for name in ("loaders", "publish", "cards", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    setuptools = distribution("setuptools")
    if int(setuptools.version.partition(".")[0]) < 77:
        pytest.skip(f"pyproject.toml asks for setuptools 77, here is {setuptools.version}, and tests download nothing")
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    place = str(setuptools.locate_file(""))
    return folder / call(sys.executable, "-c", code, folder, cwd=copy, PYTHONPATH=place).splitlines()[-1]


def test_the_wheel_holds_the_packages_and_their_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    wanted = [
        path.relative_to(ROOT).as_posix()
        for package, suffixes in (
            ("loaders", (".py", ".tsv", ".txt")),
            ("publish", (".py", ".css")),
            ("cards", (".py", ".md")),
        )
        for path in (ROOT / package).rglob("*.*")
        if path.suffix in suffixes
    ]
    assert sorted(names) == sorted(wanted)
    assert {f"cards/{name}.md" for name in loaders.names()} <= set(names)


def test_the_wheel_alone_publishes_a_sample(wheel: Path, tmp_path: Path) -> None:
    """In an environment that has the dependencies of this one, but not this checkout."""
    python = environment_of(tmp_path / "environment")
    install = ("-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", python)
    call(sys.executable, *install, wheel, cwd=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    where = call(python, "-c", "import loaders, publish, cards; print(loaders.__file__, publish.__file__)", cwd=empty)
    assert str(ROOT) not in where
    script = python.with_name("imagenet-variants")
    said = call(script, "--config", "imagenet_resized/8x8", "--sample", cwd=empty)
    assert "3,000 images" in said
    assert {path.partition("/")[2].partition("/")[0] for path in tree(empty / "hub")} == {
        "8x8", "README.md", "classes.tsv", "manifest.json", "pictures",
    }  # fmt: skip
    assert str(ROOT) not in call(script, "--list", cwd=empty)


def environment_of(folder: Path) -> Path:
    """Return the Python of a new environment that sees this one's packages, the checkout itself left out."""
    venv.create(folder)
    python = folder / "bin" / "python"
    place = Path(call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    dependencies = folder / "dependencies"
    dependencies.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(("__editable__", "imagenet_variants")):
            (dependencies / path.name).symlink_to(path)
    (place / "dependencies.pth").write_text(f"{dependencies}\n")
    return python
