"""The sidecar of a folder of archives that was made here."""

from collections.abc import Mapping
from pathlib import Path

from loaders.files.typed import dumped
from loaders.sources.digests import sha256_of
from loaders.sources.sidecar import SIDECAR, FileFacts, Sidecar


def write_sidecar(folder: Path, origin: str, rows: Mapping[str, Mapping[str, int]]) -> None:
    """Write the sidecar of every file now in the folder, so that a build needs no leave to take them."""
    files = {
        str(path.relative_to(folder)): FileFacts(path.stat().st_size, sha256_of(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SIDECAR
    }
    (folder / SIDECAR).write_text(dumped(Sidecar(origin, files, rows)), encoding="utf-8")
