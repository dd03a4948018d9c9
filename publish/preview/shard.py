"""A shard read whole, within bounds: what is shown of its rows, and what is to be told of the rest of it."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from publish.console.progress import megabytes
from publish.preview import image
from publish.preview.sparse import Sparse

MOST_BYTES = 512 << 20  # uncompressed, of a shard; ours have up to 160 MB
MOST_ROWS = 10_000_000  # of a shard; ours have up to 160,146
MOST_CLASSES = 10_000
MOST_TEXTS = 8  # columns beside image and label
_LONGEST = 200  # characters of a text
SECONDS = 6.0  # for the images of a page


class Refused(Exception):
    """What a shard holds is not shown: its text says why."""


class Shard:
    """A shard, read whole: the columns that are shown, what is told of the others, and its features."""

    def __init__(self, path: Path, rows: int) -> None:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            schema = _checked(file, rows)
            self._notes: list[str] = []
            self._features = _features(schema)
            images = ["image.bytes"] if self._has_image(schema) else []
            labels = ["label"] if self._has_label(schema) else []
            self._texts = self._shown_texts(schema)
            table = file.read(columns=[*images, *labels, *self._texts], use_threads=False)
        self._images = _leaf(table.column("image")) if images else None
        self._table = table.drop_columns("image") if images else table

    def _has_image(self, schema: pa.Schema) -> bool:
        at = schema.get_field_index("image")
        if at < 0:
            self._notes.append("There is no column `image`.")
            return False
        kind = schema.field(at).type
        inner = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
        if inner >= 0 and (pa.types.is_binary(kind[inner].type) or pa.types.is_large_binary(kind[inner].type)):
            return True
        self._notes.append(f"The column `image` is not of image files, but of the type {_cut(kind)}: it is not shown.")
        return False

    def _has_label(self, schema: pa.Schema) -> bool:
        at = schema.get_field_index("label")
        if at < 0:
            return False
        if pa.types.is_integer(schema.field(at).type):
            return True
        kind = _cut(schema.field(at).type)
        self._notes.append(f"The column `label` is not of whole numbers, but of the type {kind}: it is not shown.")
        return False

    def _shown_texts(self, schema: pa.Schema) -> list[str]:
        others = [field for field in schema if field.name not in ("image", "label")]
        plain = [f.name for f in others if _is_plain(f.type) and "." not in f.name]
        names = list(dict.fromkeys(plain))[:MOST_TEXTS]
        if left := len(others) - len(names):
            self._notes.append(f"{left:,} more column{'s' if left > 1 else ''} not shown.")
        return names

    def names(self) -> list[str]:
        """Return the names of the classes: none where the features have none."""
        label = self._features.get("label")
        names = label.get("names") if isinstance(label, dict) else None
        if not isinstance(names, list) or "label" not in self._table.column_names:
            return []
        return [_cut(name) for name in names[:MOST_CLASSES]]

    def page(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Return rows by their numbers in the shard, and what is to be told of them."""
        label = self._features.get("label")
        names = label.get("names", []) if isinstance(label, dict) else []
        notes = [*self._notes]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            notes.append("The names of the classes in its features are no list of texts: they are shown as they are.")
        elif len(names) > MOST_CLASSES:
            notes.append(f"Of {len(names):,} classes the first {MOST_CLASSES:,} have their names here.")
        at = pa.array(numbers, pa.int64())
        columns = {name: self._table.column(name).take(at).to_pylist() for name in self._table.column_names}
        labels = columns.pop("label", [None] * len(numbers))
        texts = [{name: _cut(columns[name][i]) for name in self._texts} for i in range(len(numbers))]
        rows = zip(labels, texts, self._shown(numbers), strict=True)
        return {"rows": [{"label": label, "texts": text, **shown} for label, text, shown in rows], "notes": notes}

    def _shown(self, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield what is shown of each image, or why none is, until the time for a page is over."""
        end = time.monotonic() + SECONDS
        for number in numbers:
            if self._images is None:
                yield {}
            elif time.monotonic() > end:
                yield {"why": f"not decoded: the images before it took {SECONDS:.0f} s"}
            else:
                yield _image_of(self._images[number])


def _image_of(file: pa.Scalar) -> dict[str, Any]:
    try:
        found = image.shown(file.as_buffer()) if file.is_valid else None
    except MemoryError:
        return {"why": "decoding this image takes more memory than the preview gives it"}
    return {"image": found.__dict__} if found else {"why": "this image cannot be decoded"}


def _leaf(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.field("bytes") for chunk in column.chunks], column.type.field("bytes").type)


def _checked(file: pq.ParquetFile, rows: int) -> pa.Schema:
    """Return the schema of a file that claims no more than is read; raises Refused."""
    metadata = file.metadata
    if metadata.num_rows != rows:
        raise Refused(f"expected {rows:,} rows, as the manifest says, found {metadata.num_rows:,}")
    if rows > MOST_ROWS:
        raise Refused(f"it claims {rows:,} rows, and the preview reads shards of up to {MOST_ROWS:,}")
    claimed = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if claimed > MOST_BYTES:
        raise Refused(
            f"it claims {megabytes(claimed)} uncompressed, and the preview reads up to {megabytes(MOST_BYTES)}"
        )
    return file.schema_arrow


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return the features that `datasets` wrote, by column; none where they are no such thing."""
    try:
        found = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    kinds = (types.is_string, types.is_large_string, types.is_integer, types.is_floating, types.is_boolean)
    return any(is_kind(kind) for is_kind in kinds)


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def labels(file: Sparse, rows: int) -> bytes:
    """Return the labels of a shard as int16, -1 for what is no label; raises Missing for bytes that were not given."""
    with pq.ParquetFile(pa.PythonFile(file, mode="r"), pre_buffer=False) as parquet:
        schema = _checked(parquet, rows)
        at = schema.get_field_index("label")
        if at < 0 or not pa.types.is_integer(schema.field(at).type):
            raise Refused("it has no column `label` of whole numbers")
        column = parquet.read(columns=["label"], use_threads=False).column(0)
    found = np.asarray(column.fill_null(-1).to_numpy())
    return np.where((found >= 0) & (found < MOST_CLASSES), found, -1).astype(np.int16).tobytes()
