"""A folder of upstream's files, and the sidecar that may lie beside them."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from loaders._errors import SourceProblem
from loaders.files.cache import cache_folder
from loaders.files.places import is_local
from loaders.sources.batches import BatchSet, batch_sets
from loaders.sources.listing import Listing
from loaders.sources.packed import Tar, packed
from loaders.sources.pictures import Pictures, pictures
from loaders.sources.sidecar import SIDECAR, Regenerated, Sidecar, read_sidecar
from loaders.sources.source import Archive, Archives, Expected, Source


class SourceFolder:
    """A folder of upstream files and, where there is one, the sidecar beside them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sidecars: dict[Path, Sidecar | None] = {path: read_sidecar(path / SIDECAR)}

    @cached_property
    def listing(self) -> Listing:
        """What lies in it, and a little below."""
        return Listing(self.path)

    @cached_property
    def batch_sets(self) -> list[BatchSet]:
        """The batches of Chrabaszcz et al. in it."""
        return batch_sets(self.listing)

    @cached_property
    def tars(self) -> list[Tar]:
        """The tars in it, whatever they are packed in."""
        return packed(self.listing)

    @cached_property
    def pictures(self) -> list[Pictures]:
        """The folders of numbered pictures in it."""
        return pictures(self.listing)

    @property
    def origin(self) -> str:
        """Where its files come from: "upstream" unless a sidecar says otherwise."""
        return (self._sidecar(self.path) or Sidecar()).origin

    def rows(self, dataset: str, config: str, found: Mapping[str, Archives]) -> dict[str, int]:
        """Return the rows by split that the sidecar beside the archives found gives for a config; empty without one."""
        rows = {split: self._beside(archives).rows.get(f"{dataset}/{config}", {}) for split, archives in found.items()}
        return {split: told[split] for split, told in rows.items() if split in told}

    def regenerated(self, config: str, found: Mapping[str, Archives]) -> Regenerated | None:
        """Return what it says of how a config of `imagenet_resized` was made, None when it was not."""
        return next((told for each in found.values() if (told := self._beside(each).regenerated.get(config))), None)

    def _beside(self, archives: Archives) -> Sidecar:
        """Return the sidecar here, or else the one nearest to archives that lie below."""
        return next((sidecar for _, sidecar in self._told(archives[0].path)), Sidecar())

    def made_for(self, path: Path) -> str | None:
        """Return the config of `imagenet_resized` that a sidecar says a file was made for, None where none does."""
        told = [(name, config, made) for name, each in self._told(path) for config, made in each.regenerated.items()]
        return next((config for name, config, made in told if name in made.files), None)

    def find(self, source: Source) -> Archive | None:
        """Return the source's file, here or where it was downloaded to instead, or None when it is not there.

        It may lie up to two folders below, and have its name in another case or with " (1)". Raises SourceProblem for
        two such files of different sizes.
        """
        if not (found := self.find_here(source)) and source.url:
            downloaded = default_folder() / source.name
            return self.archive(downloaded, source) if downloaded.is_file() else None
        return found

    def find_here(self, source: Source) -> Archive | None:
        """Return the same, without what was downloaded to elsewhere."""
        paths = self._named(source.name)
        return self.archive(paths[0], source) if paths else None

    def find_unregistered(self, name: str) -> Archive | None:
        """Return a file that upstream never published a digest of, or None when it is not there."""
        paths = self._named(name)
        return self.archive(paths[0]) if paths else None

    def unpacked(self, path: Path) -> Archive:
        """Return a folder that an archive was unpacked to. Of what lies in it, nobody published a digest."""
        return Archive.found(path, None, unexpected_origin=self.origin if self._sidecars[self.path] else "folder")

    def archive(self, path: Path, source: Source | None = None) -> Archive:
        """Return a file that lies here or below as what a sidecar or `source` says that it should be."""
        for name, sidecar in self._told(path):
            if facts := sidecar.files.get(name):
                return Archive.found(path, Expected(facts.bytes, facts.sha256, sidecar.origin))
        if source is None or not source.sha256:
            return Archive.found(path, None)
        return Archive.found(path, Expected(source.bytes, source.sha256, "upstream", source.hashed))

    def _told(self, path: Path) -> Iterator[tuple[str, Sidecar]]:
        """Yield the sidecars that may tell of a file, here and in each folder down to it, with its name from there."""
        below = [folder for folder in path.parents if self.path in folder.parents]
        for folder in dict.fromkeys((self.path, path.parent, *below)):
            if sidecar := self._sidecar(folder):
                yield str(path)[len(str(folder)) :].lstrip("/"), sidecar

    def _named(self, name: str) -> list[Path]:
        """Return the files of a name, the one that lies here under just that name first."""
        exact = [self.path / name] if (self.path / name).is_file() else []
        if "/" in name or (exact and not is_local(self.path)):
            return exact  # in a store, each folder that is listed costs a request
        paths = exact + [path for path in self.listing.named(name) if path not in exact]
        sizes = {path.stat().st_size: path for path in reversed(paths)} if len(paths) > 1 else {}
        if len(sizes) > 1:
            told = " and ".join(f"{path} with {size:,} bytes" for size, path in sorted(sizes.items()))
            raise SourceProblem(f"{name} is there more than once: {told}. Only one can be right: move the others away.")
        return paths

    def _sidecar(self, folder: Path) -> Sidecar | None:
        if folder not in self._sidecars:
            self._sidecars[folder] = read_sidecar(folder / SIDECAR)
        return self._sidecars[folder]


def default_folder() -> Path:
    """Return where archives are looked for, and downloaded to, when no folder is named or it may not be written to."""
    return cache_folder() / "archives"
