"""A repository, in a folder or on the Hub, held against its manifest."""

from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from loaders import Problem, classes
from loaders.images.arrow import PARQUET_ERRORS
from publish import manifest
from publish.build import measure
from publish.card.owned import added, is_same, joined, names, owned
from publish.card.segments import MOST, decoded, read
from publish.console.exits import discreet
from publish.manifest import Manifest, ShardEntry, SplitEntry
from publish.repository.contents import Contents


def read_manifest(contents: Contents) -> Manifest:
    """Return the manifest of a repository; raises Problem when it has none."""
    if manifest.NAME not in contents.sizes():
        raise Problem(f"{contents.name}: expected a {manifest.NAME}, found none: this project did not make it.")
    with contents.open(manifest.NAME) as file:
        return manifest.load(file.read(manifest.MOST_BYTES + 1), f"{contents.name}/{manifest.NAME}")


def files(contents: Contents, expected: Manifest, every: bool = True) -> list[str]:
    """Return files that are missing, damaged, or read as data without being ours.

    With `every` unset, shards whose digest the place itself gives are believed, but for each split's first and last.
    """
    sizes, faults = contents.sizes(), []
    ends = {shard.path for entry in expected.entries() for shard in (entry.shards[0], entry.shards[-1])}
    for path, sha256 in expected.digests().items():
        if path not in sizes:
            faults.append(f"{path}: is in the manifest, but not there")
            continue
        listed = contents.listed_sha256(path)
        found = contents.sha256(path) if every or listed is None or path in ends else listed
        if found != sha256:
            faults.append(f"{path}: expected SHA-256 {sha256}, found {found}")
    return faults + [f"{path}: lies among the data, but is not in the manifest" for path in _strays(contents, expected)]


def _strays(contents: Contents, expected: Manifest) -> list[str]:
    """Return shards that lie among ours and are neither the manifest's, nor of a split that a person added."""
    folders = {shard.path.rpartition("/")[0] for entry in expected.entries() for shard in entry.shards}
    data = {p for p in contents.sizes() if p.rpartition("/")[0] in folders and p.endswith(".parquet")}
    left = sorted(data - expected.paths())
    theirs = added(_front(contents), names(expected)) if left else []
    return [path for path in left if not any(fnmatchcase(path, pattern) for pattern in theirs)]


def _front(contents: Contents) -> Mapping[str, object]:
    """Return the YAML of the card, or nothing where there is no card: others tell of that."""
    if "README.md" not in contents.sizes():
        return {}
    where = f"{contents.name}/README.md"
    with contents.open("README.md") as file:
        return read(decoded(file.read(MOST + 1), where), where).front.values


def footers(contents: Contents, expected: Manifest) -> list[str]:
    """Return shards that are there and whose footer disagrees with the manifest, and counts in the card that do."""
    faults, sizes = [], contents.sizes()
    schemas = {shard.path: expected.dataset_of(c).schema for c, shard in _by_config(expected)}
    for shard in shards(expected):
        if shard.path not in sizes:
            continue  # `files` tells of it
        faults += _read(contents, shard, partial(_footer_faults, shard, schemas[shard.path]))
    return faults + _card(contents, expected)


def _footer_faults(shard: ShardEntry, schema: pa.Schema, file: pq.ParquetFile) -> list[str]:
    if file.metadata.num_rows != shard.rows:
        return [f"{shard.path}: expected {shard.rows:,} rows, found {file.metadata.num_rows:,}"]
    if not file.schema_arrow.equals(schema, check_metadata=True):
        return [f"{shard.path}: expected the columns {schema.names} and their features, found others"]
    if (groups := file.metadata.num_row_groups) != 1:
        return [f"{shard.path}: expected one row group, found {groups}"]
    if not all(file.metadata.row_group(0).column(i).has_offset_index for i in range(file.metadata.num_columns)):
        return [f"{shard.path}: has no page index, and the Hub's viewer reads rows by it"]
    return []


def shards(expected: Manifest) -> list[ShardEntry]:
    """Return every shard, each once: configs may share some."""
    return list({shard.path: shard for _, shard in _by_config(expected)}.values())


def _by_config(expected: Manifest) -> Iterator[tuple[str, ShardEntry]]:
    for config, splits in expected.configs.items():
        yield from ((config, shard) for entry in splits.values() for shard in entry.shards)


def _read(contents: Contents, shard: ShardEntry, look: Callable[[pq.ParquetFile], list[str]]) -> list[str]:
    """Return the faults that `look` finds in a shard, or that it cannot be read."""
    if shard.path not in contents.sizes():
        return [f"{shard.path}: is not there"]
    try:
        with contents.open(shard.path) as file, pq.ParquetFile(file) as parquet:
            return look(parquet)
    except PARQUET_ERRORS as error:
        if contents.is_passing(error):
            raise
        return [f"{shard.path}: cannot be read as Parquet ({discreet(error)})"]


def _card(contents: Contents, expected: Manifest) -> list[str]:
    found, known = _front(contents), names(expected)
    return [
        f"README.md: {key} is not what the manifest says"
        for key, value in owned(expected).items()
        if not is_same(key, found.get(key), joined(key, value, found.get(key), known, value))
    ]


def resolves(contents: Contents, expected: Manifest) -> list[str]:
    """Return configs that `load_dataset` does not find, or finds with other shards than the manifest's."""
    import datasets

    faults = []
    for config, splits in expected.configs.items():
        try:
            found = (
                datasets.load_dataset_builder(contents.name, config, revision=contents.commit).config.data_files or {}
            )
        except Exception as error:  # of any kind: a card that a person broke, a file that is not there
            if contents.is_passing(error):
                raise
            faults.append(f"{config}: load_dataset fails ({type(error).__name__}: {discreet(error)})")
            continue
        counts = {str(split): len(paths) for split, paths in found.items() if str(split) in splits}
        if counts != {split: len(entry.shards) for split, entry in splits.items()}:
            faults.append(f"{config}: load_dataset finds the shards {counts}")
    return faults


def data(contents: Contents, expected: Manifest) -> Iterator[str]:
    """Decode every image of every split and yield what is wrong: images, labels, rows that are there twice."""
    for config, splits in expected.configs.items():
        for split, entry in splits.items():
            yield from (f"{config} {split}: {fault}" for fault in _split_data(contents, entry))


def _row_faults(
    shard: ShardEntry, admitted: Collection[str], labels: npt.NDArray[np.int64], file: pq.ParquetFile
) -> list[str]:
    """Return the images that cannot be decoded, or are damaged and not admitted to be, and count the labels."""
    faults = []
    for rows in file.iter_batches(256):
        for name, damage in measure.damage_of(rows):
            if isinstance(damage, str):
                faults.append(f"{shard.path}: {name}: expected an image that can be decoded whole, but {damage}")
            elif name not in admitted:
                faults.append(f"{shard.path}: {name}: is damaged, and the manifest does not say so ({damage})")
        if "label" in rows.schema.names:
            labels += measure.count_labels(rows)
    return faults


def _split_data(contents: Contents, entry: SplitEntry) -> Iterator[str]:
    labels = np.zeros(classes.COUNT, np.int64)
    for shard in entry.shards:
        yield from _read(contents, shard, partial(_row_faults, shard, entry.damaged, labels))
    if tuple(labels.tolist()) != (entry.labels or (0,) * classes.COUNT):
        yield "the classes are not distributed as the manifest says"
