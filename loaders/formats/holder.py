"""What photographs lie in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loaders.files.places import state
from loaders.files.seen import State

Kind = Literal["tar", "folder", "parquet", "aside"]


@dataclass(frozen=True)
class Holder:
    """A tar, a folder, Parquet, or a file in which photographs were put aside: by its place in a root, which has none.

    `state` is that of an archive before its headers or names were read: what is read of it is held to that.
    """

    kind: Kind
    place: str = ""
    state: State = ()

    @classmethod
    def tar(cls, root: Path, place: str = "") -> "Holder":
        """Return a tar as it is now; raises OSError."""
        return cls("tar", place, state(root / place if place else root))

    @classmethod
    def parquet(cls, root: Path, place: str) -> "Holder":
        """Return a Parquet file as it is now; raises OSError."""
        return cls("parquet", place, state(root / place))

    def within(self, root: Path) -> Path:
        """Return where it is."""
        return root / self.place if self.place else root
