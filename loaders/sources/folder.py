"""A folder of upstream's files, and the sidecar that may lie beside them."""

from pathlib import Path

from loaders.files.cache import cache_folder
from loaders.sources.sidecar import SIDECAR, Sidecar, read_sidecar
from loaders.sources.source import Archive, Expected, Source


class SourceFolder:
    """A folder of upstream files and, where there is one, the sidecar beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = read_sidecar(path / SIDECAR)
        self._sidecar, self._has_sidecar = found or Sidecar(), found is not None

    @property
    def origin(self) -> str:
        """Where its files come from: "upstream" unless a sidecar says otherwise."""
        return self._sidecar.origin

    def rows(self, dataset: str, config: str) -> dict[str, int]:
        """Return the rows by split that the sidecar gives for a config; empty without one."""
        return dict(self._sidecar.rows.get(f"{dataset}/{config}", {}))

    def find(self, source: Source) -> Archive | None:
        """Return the source's file, here or where it was downloaded to instead, or None when it is not there."""
        places = [self.path, default_folder()] if source.url else [self.path]
        path = next((place / source.name for place in places if (place / source.name).is_file()), None)
        if path is None:
            return None
        facts = self._sidecar.files.get(source.name) if path.parent == self.path else None
        if facts:
            return Archive(path, Expected(facts.bytes, facts.sha256, self.origin))
        return Archive(path, Expected(source.bytes, source.sha256, "upstream", source.hashed))

    def find_unregistered(self, name: str) -> Archive | None:
        """Return a file that upstream never published a digest of, or None when it is not there."""
        path = self.path / name
        facts = self._sidecar.files.get(name)
        expected = Expected(facts.bytes, facts.sha256, self.origin) if facts else None
        return Archive(path, expected) if path.is_file() else None

    def unpacked(self, path: Path) -> Archive:
        """Return a folder that an archive was unpacked to. Of what lies in it, nobody published a digest."""
        return Archive(path, None, unexpected_origin=self.origin if self._has_sidecar else "folder")


def default_folder() -> Path:
    """Return where archives are looked for, and downloaded to, when no folder is named or it may not be written to."""
    return cache_folder() / "archives"
