"""Standard streams that are closed, full or read by nobody: no command ends in a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.building import environment

COMMANDS = {
    "publish": "--config imagenet_resized/3x3",
    "publish.check": "nowhere",
    "publish.restore": "nowhere tag",
    "publish.withdraw": "nowhere/at-all",
    "publish.show": "nowhere",
    "publish.regenerate": "--source nowhere --out out",
    "publish.preview": "nowhere",
}


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $PYTHON is this Python."""
    env = environment(PYTHON=sys.executable, HF_HUB_OFFLINE="1", **variables)
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("command", "closed"),
    [*((name, ">&- 2>&- <&-") for name in COMMANDS), ("publish.withdraw", "2>/dev/full >/dev/full")],
)
def test_a_refusal_that_cannot_be_told(command: str, closed: str, tmp_path: Path) -> None:
    done = shell(f"$PYTHON -m {command} {COMMANDS[command]} {closed}", tmp_path)
    assert done.returncode in {1, 2}
    assert done.stdout + done.stderr == ""


@pytest.mark.keeps("B14")
@pytest.mark.parametrize(
    ("line", "code", "said", "unbuffered"),
    [
        ("--list >&-", 0, "", ""),
        ("--list 2>&-", 0, None, ""),
        ("--help >&- <&-", 0, "", ""),
        ("--list >/dev/full", 1, "error: standard output: No space left on device\n", ""),
        ("--list >/dev/full", 1, "error: standard output: No space left on device\n", "1"),
        ("--help >/dev/full", 1, "error: standard output: No space left on device\n", ""),
        ("--list | true; exit ${PIPESTATUS[0]}", 141, "", ""),
        ("--list | true; exit ${PIPESTATUS[0]}", 141, "", "1"),
        ("--help | true; exit ${PIPESTATUS[0]}", 141, "", ""),
        ("--config nothing 2>&1 | true; exit ${PIPESTATUS[0]}", 141, "", ""),
    ],
)
def test_an_answer_that_nobody_takes(line: str, code: int, said: str | None, unbuffered: str, tmp_path: Path) -> None:
    done = shell(f"$PYTHON -m publish {line}", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == code, done.stderr
    assert said is None or done.stdout + done.stderr == said


@pytest.mark.parametrize(
    ("stream", "code"), [(">&- 2>&-", 0), ("--workers 1 2>&1 | head -1; exit ${PIPESTATUS[0]}", 141)]
)
def test_a_build_without_streams(stream: str, code: int, sample: Path, tmp_path: Path) -> None:
    """What is read by nobody ends a build as a signal would; what was closed at the start was never to be read."""
    done = shell(f"$PYTHON -m publish --config imagenet_resized/8x8 --source {sample} {stream}", tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout
    assert done.stderr == ""
    shards = list((tmp_path / "hub/imagenet_resized/8x8").glob("*.parquet"))
    assert [shard.read_bytes()[-4:] for shard in shards] == [b"PAR1"] * 3


def test_what_a_terminal_cannot_spell(sample: Path, tmp_path: Path) -> None:
    line = f"$PYTHON -m publish --config imagenet_resized/8x8 --source {sample} --out ä --workers 1"
    done = shell(line, tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"in \xe4/" in done.stdout
