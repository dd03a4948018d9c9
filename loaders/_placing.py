"""The folder that regenerated files go to: in the making under `.partial`, then in place, then vouched for."""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from loaders._errors import Problem
from loaders._source import SIDECAR, _read_sidecar, write_sidecar

PARTIAL = ".partial"
ORIGIN = "regenerated"
_PARTS = ("files", "rows", "regenerated")  # of the sidecar: by file, by dataset/config, by config


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder; raises Problem when one is there."""
    lock = out / PARTIAL / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(lock, timeout=0):
            yield
    except filelock.Timeout:
        raise Problem(f"{out}: another run is writing there. Wait for it, or choose another --out.") from None


def sidecar(out: Path, expected: Collection[str]) -> dict[str, Any]:
    """Return the sidecar of earlier runs, all parts of it there.

    Raises Problem when the folder holds a file that is neither of an earlier run nor one of those expected.
    """
    listed = {part: {} for part in _PARTS} | (_read_sidecar(out / SIDECAR) or {"origin": ORIGIN})
    known = {SIDECAR, *listed["files"], *expected}
    strange = next((name for name in _names(out) if name not in known), None)
    if listed["origin"] != ORIGIN or strange:
        raise Problem(
            f"{out}: holds {strange or SIDECAR}, which no regeneration made. Choose another folder with --out: "
            "all that lies in it is vouched for as regenerated."
        )
    return listed


def _names(out: Path) -> Iterator[str]:
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out)
        if path.is_file() and name.parts[0] != PARTIAL:
            yield name.as_posix()


def clean(stage: Path) -> None:
    """Remove what runs with other photographs or settings left, and what was half written."""
    for entry in stage.parent.iterdir():
        if entry.is_dir() and entry != stage:
            shutil.rmtree(entry)
    for leftover in list(stage.rglob("*.tmp")):
        leftover.unlink()


def check_room(out: Path, stage: Path, need: int) -> None:
    """Raise Problem when the disk will be full: at the start rather than hours later. `need` is in bytes."""
    there = sum(path.stat().st_blocks * 512 for path in stage.rglob("*") if path.is_file())
    free = shutil.disk_usage(out).free
    if need - there > free:
        raise Problem(
            f"{out}: about {need / 1e9:,.1f} GB are needed there, {(free + there) / 1e9:,.1f} GB are free. "
            "Make room, choose another --out, or fewer --sizes."
        )


def put(
    out: Path, whole: Path, files: Mapping[str, Sequence[str]], rows: Mapping[str, int], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Move the files of each config from `whole` to their place, and return the sidecar that vouches for them.

    What an earlier run made for these configs goes first, from the sidecar and then from the folder: at no time does
    the sidecar vouch for other bytes than lie there.
    """
    write_sidecar(whole, ORIGIN, {f"imagenet_resized/{config}": rows for config in files})
    new = _read_sidecar(whole / SIDECAR)
    new["regenerated"] = {config: {**facts, "files": list(names)} for config, names in files.items()}
    old = sidecar(out, new["files"])
    _take_away(out, old, files)
    for name in new["files"]:
        (out / name).parent.mkdir(exist_ok=True)
        (whole / name).replace(out / name)
    merged = {"origin": ORIGIN} | {part: old[part] | new[part] for part in _PARTS}
    _replace_sidecar(out, merged)
    shutil.rmtree(whole.parent)
    return merged


def _take_away(out: Path, listed: dict[str, Any], configs: Collection[str]) -> None:
    gone = [name for config in configs for name in listed["regenerated"].pop(config, {}).get("files", [])]
    for name in gone:
        listed["files"].pop(name, None)
    if gone:
        _replace_sidecar(out, listed)
    for name in gone:
        (out / name).unlink(missing_ok=True)


def _replace_sidecar(out: Path, content: Mapping[str, Any]) -> None:
    temporary = out / PARTIAL / "sidecar.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(out / SIDECAR)
