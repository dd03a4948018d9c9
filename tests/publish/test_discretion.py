"""No command lets the token out, whatever the server says: not in what it prints, not in a file.

`Desk.run` looks through all that a command says, and the `desk` fixture through every file of the machine afterwards.
"""

import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from publish.console.exits import discreet
from tests.kit import archives
from tests.kit.building import run
from tests.kit.hub import Fault
from tests.kit.pushing import Desk, Starts
from tests.kit.regenerating import drawn, lay_tars


@pytest.fixture
def twice(starts: Starts, tmp_path: Path) -> Iterator[Desk]:
    """From which two revisions were published, the first as v1."""

    def publish(desk: Desk) -> None:
        desk.push("--tag", "v1")
        desk.push(source=desk.lay("newer", 40, variation=1))

    with starts.desk("twice", tmp_path / "desk", publish) as desk:
        yield desk


@pytest.mark.keeps("P2")
@pytest.mark.parametrize(
    ("module", "typed", "paths"),
    [
        ("publish", "", ("whoami", "api/datasets", "preupload", "lfs/objects", "/commit/", "/tree/", "/resolve/")),
        ("publish.check", "", ("api/datasets", "/tree/", "/resolve/", "/is-valid")),
        ("publish.restore", "", ("api/datasets", "/tree/", "/commit/")),
        ("publish.withdraw", "{}\n", ("/settings", "/commit/", "/super-squash/", "/lfs-files")),
    ],
)
def test_a_server_that_repeats_the_token(module: str, typed: str, paths: tuple[str, ...], twice: Desk) -> None:
    """In the server's own words anywhere, and in two other ways by turns."""
    desk = twice
    words: list[str] = {"publish.check": ["--viewer", "0"], "publish.restore": ["v1"]}.get(module, [])
    for path, status in [*((path, 418) for path in paths), *zip(paths, cycle((401, 500)), strict=False)]:
        desk.hub.clear_faults()
        desk.hub.inject(Fault(path=path, times=0, status=status, message=f"the token {desk.token} is no good"))
        if module == "publish":
            desk.push(code=None, hurry=1000.0)
        else:
            desk.run(module, desk.name(), *words, code=None, hurry=1000.0, typed=typed.format(desk.name()))
        desk.hub.clear_faults()


@pytest.mark.keeps("P2")
def test_a_shard_whose_answer_repeats_the_token(desk: Desk) -> None:
    desk.push()
    desk.hub.inject(
        Fault(
            path="/resolve/.*parquet", method="GET", times=0, status=416, message=f"the token {desk.token} is no good"
        )
    )
    said = desk.run("publish.check", desk.name(), code=1, hurry=1000.0)
    assert "cannot be read as Parquet" in said.text


@pytest.mark.keeps("P2")
def test_commands_that_have_no_use_for_it(desk: Desk, tmp_path: Path) -> None:
    lay_tars(tmp_path / "originals", drawn())
    laid = archives.resized(desk.lay("laid", 20), [8])
    made = ["--source", tmp_path / "originals", "--out", desk.out, "--sizes", 8, "--workers", 1]
    partly = ["--allow-partial", "--workers", 1]
    commands: dict[str, list[object]] = {
        "publish.regenerate": made,
        "publish.show": [laid.folder / "Imagenet8_val_npz.zip", "--out", desk.folder / "sheet.png"],
        "publish": ["--config", "imagenet_resized/8x8", "--source", laid.folder, *partly, "--out", desk.out],
        "publish.check": [desk.out / "imagenet_resized"],
    }
    for module, words in commands.items():
        desk.run(module, *words)
        desk.run(module, desk.folder / "nowhere", "--no-such-option", code=2)


@pytest.mark.keeps("P2")
@pytest.mark.parametrize("module", ["publish.check", "publish.preview", "publish.restore"])
def test_a_whole_process_that_fails(module: str, desk: Desk) -> None:
    """From its start to its exit, with the client's own debugging on, which prints the requests it makes."""
    env = desk.environment(HF_DEBUG="1", HF_HUB_VERBOSITY="debug")
    words = ["v1"] if module == "publish.restore" else []
    done = run(sys.executable, "-m", module, f"{desk.organisation}/nothing", *words, env=env)
    assert done.returncode == 1
    assert f"{desk.organisation}/nothing" in done.stderr.splitlines()[-1], done.stderr
    assert "/api/" in done.stderr
    assert desk.token not in done.stdout + done.stderr


def test_what_looks_like_a_token_is_left_out() -> None:
    assert discreet(ValueError("no hf_abcDEF012345 here")) == "no hf_... here"
    assert discreet("lab/hf_x") == "lab/hf_x"
