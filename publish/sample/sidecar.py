"""The sidecar of a folder of archives that was made here."""

import json
from collections.abc import Mapping
from pathlib import Path

from loaders.sources.digests import sha256_of
from loaders.sources.sidecar import SIDECAR


def write_sidecar(folder: Path, origin: str, rows: Mapping[str, Mapping[str, int]]) -> None:
    """Write the sidecar of every file now in the folder, so that a build needs no leave to take them."""
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SIDECAR
    }
    content = {"origin": origin, "files": files, "rows": rows}
    (folder / SIDECAR).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
