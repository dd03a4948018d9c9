"""What a dataset is, said without importing `datasets`: its configs, splits, sources and columns.

One module a dataset holds a `DATASET`, its `SOURCES` by name, the `FORMS` it is taken in, a lazy `Builder` and four
functions, which is all that the flow needs of it:

    config(name)                 -> Config
    find(config, folder)         -> Found           which archives are there, which are missing
    plan(config, found, partial) -> list[SplitPlan] the rows of every split, cut into jobs
    batches(job)                 -> Iterator[Batch] the rows of one job, as Arrow

A job is the rows of one shard, and all that a worker is given.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loaders import classes
from loaders._errors import SourceProblem
from loaders.files.seen import Seen
from loaders.images.jpeg import Damage
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Archive, Archives, Found, Source

# By a column `file_name` that not all of the dataset has; by the row, the i-th of which is ILSVRC's i-th of validation.
Named = Literal["", "column", "row"]
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class Split:
    """A split as upstream published it.

    `shards` is the number of Parquet files of the whole split: files of 25-150 MB, a count that 2, 4 and 8 ranks
    divide. Only what is under 50 MB as a whole is one file: there, each rank reading everything costs nothing.
    """

    name: str
    rows: int
    shards: int
    folder: str | None = None  # where the shards lie, when that is not the config's own folder
    optional: bool = False  # built when its archive is there, absent otherwise
    listed: bool = False  # of those `rows` it has the ones that a list names, in as many fewer shards


@dataclass(frozen=True)
class Config:
    """A config and its splits; `names` is the list that a person gave for one whose train split is theirs to choose."""

    name: str
    splits: tuple[Split, ...]
    names: Path | None = None

    @property
    def is_listed(self) -> bool:
        """Say whether it is one of those: what it trains on is on a list."""
        return any(split.listed for split in self.splits)


@dataclass(frozen=True)
class Dataset:
    """A dataset repository: its configs (the first is the default) and its columns."""

    name: str
    title: str
    configs: tuple[Config, ...]
    image_mode: str | None = None  # "RGB" where files come encoded and some are not RGB
    label_order: classes.Order | None = None
    has_file_name: bool = False
    gated: bool = True
    version: str = "1.0.0"
    others: str = ""  # configs that are built when they are named, in words

    @property
    def default(self) -> Config:
        """The config that `load_dataset` takes when none is named."""
        return self.configs[0]

    def config(self, name: str) -> Config:
        """Return the config of that name; raises KeyError."""
        return {config.name: config for config in self.configs}[name]

    @cached_property
    def named(self) -> "Dataset":
        """The same with a file name in each row."""
        return self if self.has_file_name else replace(self, has_file_name=True)

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of its rows, with the metadata that `datasets` reads features from.

        Written out here so that a build need not import `datasets`; a test holds it against the library's own.
        """
        fields: dict[str, pa.DataType] = {"image": IMAGE}
        if self.label_order:
            fields["label"] = pa.int64()
        if self.has_file_name:
            fields["file_name"] = pa.string()
        metadata = {"huggingface": json.dumps({"info": {"features": self.features}})}
        return pa.schema(fields, metadata=metadata)

    @property
    def features(self) -> dict[str, Any]:
        """The features as `datasets.Features.to_dict` spells them."""
        features: dict[str, Any] = {"image": {"_type": "Image"}}
        if self.image_mode:
            features["image"] = {"mode": self.image_mode, "_type": "Image"}
        if self.label_order:
            features["label"] = {"names": list(classes.names(self.label_order)), "_type": "ClassLabel"}
        if self.has_file_name:
            features["file_name"] = {"dtype": "string", "_type": "Value"}
        return features


@dataclass(frozen=True)
class Form:
    """One form in which people hold a dataset: an entry of its table.

    `name` is what the manifest and the card call it; `says` tells a person in Markdown what has to lie where.
    `find(folder, config, split)` returns the archives of a split that lie there in this form, none unless all do. It
    goes by what files hold as well as by their names, and reads no more than their heads.
    """

    name: str
    says: str
    find: Callable[[SourceFolder, Config, Split], Archives]


@dataclass(frozen=True)
class Job:
    """The rows of one shard: where they are, in words that only the dataset's own module reads.

    They are held to what was planned: files to what they were `seen` as.
    """

    dataset: str
    config: str
    rows: int
    parts: tuple[Any, ...]
    continues: bool = False  # reading goes on where the job before it stopped, in the same compressed stream
    seen: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class SplitPlan:
    """The jobs of one split, in order; job i makes shard i.

    `archives` are the files that its rows come from, `bytes` about the size of all shards, `skipped` counts known junk
    in the archives, by kind. `damaged` are photographs that libjpeg warned about when rows were made of them. `named`
    says how the photographs of rows are known where not all archives of the dataset tell.
    """

    config: str
    split: Split
    jobs: tuple[Job, ...]
    archives: tuple[Archive, ...]
    bytes: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    damaged: Mapping[str, Damage] = field(default_factory=dict)
    named: Named = ""

    @property
    def rows(self) -> int:
        """All rows of the split."""
        return sum(job.rows for job in self.jobs)


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a job.

    `pixels` is uint8 [N, 3, S, S] where the images were made from pixels, and None where they came encoded. `damaged`
    are the photographs that libjpeg warned about when pixels were made of them, by file name; `oddities` counts those
    that were odd, by kind. `places` says in words where each lies that came encoded.
    """

    rows: pa.RecordBatch
    pixels: npt.NDArray[np.uint8] | None = None
    damaged: Mapping[str, Damage] = field(default_factory=dict)
    oddities: Mapping[str, int] = field(default_factory=dict)
    places: Sequence[str] = ()


class Loader(Protocol):
    """The module of a dataset."""

    DATASET: Dataset
    SOURCES: Mapping[str, Source]
    FORMS: Sequence[Form]

    def config(self, name: str) -> Config:
        """Return a config by name, also one that is built only when asked for; raises KeyError."""

    def find(self, config: Config, folder: SourceFolder) -> Found:
        """Say which archives of the config are in the folder and which are missing."""

    def plan(self, config: Config, found: Found, partial: bool) -> list[SplitPlan]:
        """Cut every split into jobs; raises SourceProblem for rows other than expected unless `partial`."""

    def batches(self, job: Job) -> Iterator[Batch]:
        """Yield the rows of one job, in order."""


def check_rows(dataset: str, config: str, split: Split, rows: int, found: Found, partial: bool) -> None:
    """Raise SourceProblem when a split has other rows than published, or than the sidecar says, unless `partial`."""
    expected = found.rows.get(split.name, rows if split.listed else split.rows)
    if not rows or (rows != expected and not partial):
        leave = ", or pass --allow-partial (allow_partial=True) to build from what is there" if rows else ""
        archives = found.archives.get(split.name, ())
        where = ", ".join(str(archive.path) for archive in archives)
        advice = "Is a file of another size or split under this name? Download it again"
        if any(archive.path.is_dir() for archive in archives):
            advice = "Was it unpacked or copied to the end? Unpack the archive again"
        raise SourceProblem(
            f"{where}: {dataset}/{config} has {expected:,} {split.name} rows, found {rows:,}. {advice}{leave}."
        )
