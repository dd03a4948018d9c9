"""A published repository as arrays to train on; `loaders.training.torch` makes batches of them.

data = load_array("my-lab/imagenet_resized", "32x32", "train")
data.images, data.labels, data.names
"""

from loaders.training import memmap as _memmap
from loaders.training.data import Data, in_memory
from loaders.training.repository import find
from loaders.training.shards import read

__all__ = ["Data", "load_array"]


def load_array(
    repository: str,
    config: str,
    split: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    memmap: bool = False,
) -> Data:
    """Return all rows of a split ("train", or "train+validation" of several) of a Hub repository or a folder.

    Images are uint8 [N, H, W, 3], labels int64 [N] or None, in the order of the rows. With `memmap` they lie on disk,
    in this project's cache, read-only and shared by all processes of the machine: made once, then opened in
    milliseconds.
    Every shard is held against size and SHA-256 in the repository's manifest, if it has one.

    Raises Problem for what is not there, a damaged shard, images of different sizes, no room in memory or on the disk.
    """
    rows = find(repository, config, split, revision, token)
    if memmap:
        return _memmap.shared(rows)
    rows.fetch()
    images, labels, columns = read(rows, in_memory(rows.title))
    return Data(images, labels, columns.names)
