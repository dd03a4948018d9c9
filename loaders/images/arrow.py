"""Arrow columns from buffers and back.

`pyarrow.array` looks whether what it is given is of pandas, and imports pandas for it: 0.2 s in every worker process.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# All that pyarrow raises over a Parquet file that is none; those of its own kinds derive from these.
PARQUET_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, TypeError, KeyError, NotImplementedError)
PARQUET_ERRORS += (OverflowError, IndexError, MemoryError, pa.ArrowException)


def integers(values: npt.NDArray[np.int64]) -> pa.Array:
    """Return an int64 column, without copying."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def numbers(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return an int64 column without nulls as an array, without copying; `to_numpy` would import pandas as well."""
    return np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column)]


def strings(values: list[str]) -> pa.Array:
    """Return a string column."""
    return _variable(pa.string(), [value.encode() for value in values])


def names(values: npt.NDArray[np.bytes_]) -> pa.Array:
    """Return a string column of bytes that are UTF-8, as names are held, without a look at each."""
    return _variable(pa.string(), values.tolist())


def images(files: list[bytes]) -> pa.StructArray:
    """Return the image column of encoded files of any length."""
    return _image(_variable(pa.binary(), files))


def images_of_one_length(files: npt.NDArray[np.uint8]) -> pa.StructArray:
    """Return the image column of files that lie in the rows of uint8 [N, length], without copying."""
    count, length = files.shape
    offsets = np.arange(0, (count + 1) * length, length, dtype=np.int32)[: count + 1]
    return _image(pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(files)]))


def _variable(kind: pa.DataType, values: list[bytes]) -> pa.Array:
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) for value in values], out=offsets[1:])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(values))])


def _image(column: pa.Array) -> pa.StructArray:
    # No path: `datasets` would look for a file of that name in the working directory before it takes the bytes.
    return pa.StructArray.from_arrays([column, pa.nulls(len(column), pa.string())], ["bytes", "path"])
