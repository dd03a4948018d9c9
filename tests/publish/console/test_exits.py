"""What the commands say of places that cannot be reached, or not written to."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from publish import __main__ as publish
from publish.regenerate import __main__ as regenerate
from tests.kit.building import environment, run
from tests.kit.refusals import says

Main = Callable[[Sequence[str]], int]
NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize("command", [publish.main, regenerate.main], ids=["publish", "regenerate"])
@pytest.mark.parametrize("out", ["hf://datasets/lab/set", "http://127.0.0.1:9/hub", "https://127.0.0.1:9/hub"])
def test_results_do_not_go_where_files_are_only_read(
    out: str, command: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command(["--source", str(tmp_path), "--out", out])
    assert left.value.code == 2
    says(capsys.readouterr().err, out, "cannot be written to", "--push-to")


@pytest.mark.parametrize("source", [f"{NOWHERE}/archives", "hf://datasets/lab/archives"])
def test_a_source_that_cannot_be_reached_is_told_in_a_line(source: str, tmp_path: Path) -> None:
    """And by its own address, not by that of the results."""
    pytest.importorskip("aiohttp" if source.startswith("http") else "upath")
    words = ["--config", "imagenet_v2/topimages", "--source", source, "--out", tmp_path / "hub"]
    done = run(sys.executable, "-m", "publish", *words, env=environment(HF_ENDPOINT=NOWHERE))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) not in done.stderr
