"""What is known of ILSVRC's photographs without reading them, by which two copies of them are told apart."""

from pathlib import Path

from loaders import classes
from loaders.files.threads import mapped
from loaders.formats import index, parquet
from loaders.ilsvrc import layout
from loaders.ilsvrc.photos import numbered_folders

_THREADS = 16  # for footers: in a store, each is a request


def known(root: Path, split: str, registered: int | None = None) -> dict[str, int]:
    """Return how many "photographs" and "classes" there are, where that takes little to say.

    `registered` is the size in bytes of the archive that upstream registers, which holds all.
    """
    if root.is_file() and root.stat().st_size == registered:
        return {"photographs": layout.COUNTS[split]} | ({"classes": classes.COUNT} if split == "train" else {})
    if root.is_file():
        count = len(index.members(root).names)
        return {"classes": count} if split == "train" and layout.has_class_tars(root) else {"photographs": count}
    if files := layout.hub_files(root, split):
        return {"photographs": sum(mapped(lambda file: parquet.rows(root / file), files, _THREADS))}
    names = {wnid for name in layout.listed(root) if (wnid := layout.wnid_in(name))}
    if split == "train":
        return {"classes": len(names)}
    folders = list(numbered_folders(root))
    return {"photographs": sum(len(members.names) for _, members in folders)}
