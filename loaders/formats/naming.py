"""How a list of photographs may be called, and a config and archives by it: `few.txt`, `few`, `32x32-few`."""

import re

from loaders.images.photographs import SQUARINGS

_LIST = re.compile(r"[a-z0-9]+", re.ASCII)
# Words that stand in names of configs, of archives and of folders of shards already.
TAKEN = {*SQUARINGS, "squash", "1pct", "10pct", "all", "default"}
TAKEN |= {"train", "val", "validation", "test", "part1", "part2", "npz"}


def is_list(name: str) -> bool:
    """Say whether a list of photographs may be called so."""
    return _LIST.fullmatch(name) is not None and name not in TAKEN
