"""The tars in a folder, packed or not, and the folder that the first file of each lies in: by content, not by name."""

from dataclasses import dataclass
from pathlib import Path

from loaders._errors import SourceProblem
from loaders.files.places import is_local, is_remote_error
from loaders.formats import tars
from loaders.sources.listing import Listing, plain_name

ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
_MOST, _REQUESTS = 200, 10  # tars that are looked into, here and in a store


@dataclass(frozen=True)
class Tar:
    """A tar, and the name of its first file, "" where that cannot be read."""

    path: Path
    first: str

    @property
    def stem(self) -> str:
        """Its name as names are compared, without its ending."""
        return stem(self.path.name)


def stem(name: str) -> str:
    """Return a name as names are compared, without the ending of a tar."""
    plain = plain_name(name)
    return next(
        (plain.removesuffix(end) for end in (".tar.zip", ".tar.gz.zip", *ENDINGS) if plain.endswith(end)), plain
    )


def packed(listing: Listing) -> list[Tar]:
    """Return the tars in a folder and up to two below it; the nearest first."""
    files = [entry.path for entry in listing.files if plain_name(entry.name).endswith(ENDINGS)]
    most = _MOST if is_local(listing.root) else _REQUESTS
    return [Tar(path, _first(path)) for path in files[:most]]


def _first(path: Path) -> str:
    try:
        return next(iter(tars.first_names(path, 1)), "")
    except (SourceProblem, OSError):
        return ""
    except Exception as error:  # a store's errors have no common base
        if not is_remote_error(error):
            raise
        return ""
