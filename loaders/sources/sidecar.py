"""The sidecar that whoever made archives lays beside them (a sample, a regeneration): it tells of these very files.

Read from a folder of archives, it decides which bytes are believed and which removed."""

import json
import re
from pathlib import Path
from typing import Any

from loaders._errors import SourceProblem
from loaders.formats.untrusted import leads_out

SIDECAR = "imagenet-variants.json"


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says, nothing when there is none; raises SourceProblem when it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise SourceProblem(f"{path}: expected a JSON sidecar, but it cannot be read ({error}).") from error
    try:
        return checked(content)
    except ValueError as error:
        raise SourceProblem(
            f"{path}: expected bytes and sha256 of files, and rows of configs; found {error}. Make the folder anew, or "
            "move this file away to have the archives held against upstream's."
        ) from error


_SHA256 = re.compile(r"[0-9a-f]{64}")


def checked(content: Any) -> dict[str, Any]:
    """Return the content of a sidecar as it is; raises ValueError, saying what is wrong with it."""
    sidecar = _dict("the sidecar", content)
    _need(isinstance(sidecar.get("origin", ""), str), "origin", sidecar.get("origin"))
    files = _dict("files", sidecar.get("files", {}))
    for name, facts in files.items():
        sha256 = _dict(name, facts).get("sha256")
        _need(bool(name) and not leads_out(name), "files", name)
        _need(_is_count(facts.get("bytes")), name, facts.get("bytes"))
        _need(isinstance(sha256, str) and _SHA256.fullmatch(sha256) is not None, name, sha256)
    for config, rows in _dict("rows", sidecar.get("rows", {})).items():
        _need(all(map(_is_count, _dict(config, rows).values())), config, rows)
    for config, facts in _dict("regenerated", sidecar.get("regenerated", {})).items():
        _check_regenerated(config, _dict(config, facts), files)
    return sidecar


def _check_regenerated(config: str, facts: dict[str, Any], files: dict[str, Any]) -> None:
    made = facts.get("files")
    _need(isinstance(made, list) and all(isinstance(name, str) and name in files for name in made), config, made)
    _need(isinstance(facts.get("key"), str), config, facts.get("key"))
    for texts in (_dict(config, facts.get("unreadable")), _dict(config, facts.get("stamps", {}))):
        _need(all(isinstance(text, str) for text in texts.values()), config, texts)


def _dict(where: str, value: Any) -> dict[str, Any]:
    _need(isinstance(value, dict), where, value)
    return dict(value)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _need(holds: bool, where: str, found: object) -> None:
    if not holds:
        raise ValueError(f"{where}: {str(found)[:200]!r}")
