"""Pickles are read as data: arrays come out as NumPy would give them, and nothing that a file names is ever run."""

import os
import pickle
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import SourceProblem
from loaders.formats import pickles
from loaders.formats.pickles import PickledArray
from loaders.formats.untrusted import reading
from tests.kit.archives import pickled

# pickletools says so of names that are damaged, before anything can refuse them.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

LARGE = np.arange(9000, dtype=np.uint8).reshape(-1, 9) * 7
SMALL = np.arange(12, dtype=np.uint8).reshape(4, 3)
MODULES = ["numpy.core", "numpy._core"]


def values(path: Path, array: PickledArray) -> Any:
    """Return the numbers of an array, which lie in the file when they are many."""
    if array.values is not None:
        return array.values.reshape(array.shape)
    count = int(np.prod(array.shape))
    return np.fromfile(path, array.dtype, count, offset=array.offset).reshape(array.shape)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "train_data_batch_1"
    path.write_bytes(data)
    return path


def read(path: Path) -> dict[str, PickledArray]:
    """Read as the batches of a dataset are: what libraries raise over damaged bytes names the file."""
    with reading(path, "the pickle"):
        return pickles.arrays(path)


def refused(folder: Path, data: bytes) -> str:
    path = write(folder, data)
    with pytest.raises(SourceProblem) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_are_those_that_were_pickled(protocol: int, module: str, tmp_path: Path) -> None:
    batch: dict[str, Any] = {
        "data": LARGE,
        "labels": [1000, 1, 70000, 2**40],
        "mean": np.linspace(0, 255, 700),
        "small": SMALL,
    }
    data = pickled(batch, protocol, module)
    assert f"{module}.multiarray".encode() in data
    found = read(write(tmp_path, data))
    assert set(found) == set(batch)
    for name, wanted in batch.items():
        got = values(tmp_path / "train_data_batch_1", found[name])
        assert np.array_equal(got, wanted)
        assert got.dtype == np.asarray(wanted).dtype


@pytest.mark.parametrize("dtype", ["<i8", ">i8", "<u2", ">u2", "|u1", "<f4", "|b1"])
@pytest.mark.parametrize("count", [3, 5000])
def test_every_byte_order(dtype: str, count: int, tmp_path: Path) -> None:
    wanted = (np.arange(count) % 200).astype(dtype)
    path = write(tmp_path, pickle.dumps({"data": wanted}, 4))
    found = read(path)["data"]
    assert found.dtype == wanted.dtype
    assert np.array_equal(values(path, found), wanted)


def test_the_bytes_of_large_arrays_stay_in_the_file(tmp_path: Path) -> None:
    found = read(write(tmp_path, pickled({"data": LARGE}, 4)))["data"]
    assert found.values is None
    assert found.offset > 0


def test_names_of_python_2_are_taken(tmp_path: Path) -> None:
    """Keys that are byte strings, as Python 2 wrote them, and arrays whose bytes are too."""
    array = pickled(SMALL, 3, "numpy.core")[2:-1]
    path = write(tmp_path, b"\x80\x02}U\x04data" + array + b"s.")
    assert np.array_equal(values(path, read(path)["data"]), SMALL)


@pytest.mark.parametrize("module", MODULES)
def test_large_arrays_stored_as_text_are_refused(module: str, tmp_path: Path) -> None:
    """Protocol 2 of Python 3: the bytes are UTF-8 text, whose place in the file is no use."""
    assert "protocol 3 or 4" in refused(tmp_path, pickled({"data": LARGE}, 2, module))


@pytest.mark.parametrize("module", MODULES)
def test_arrays_of_protocol_5_are_refused(module: str, tmp_path: Path) -> None:
    """NumPy has a constructor of its own for it."""
    old, new = (b"\x8c" + bytes([len(name)]) + name for name in (b"numpy._core.numeric", f"{module}.numeric".encode()))
    text = refused(tmp_path, pickled({"data": LARGE}, 5, module).replace(old, new))
    assert "protocol 5" in text
    assert "save it with protocol 3 or 4" in text


def test_short_texts_of_protocol_2_are_arrays(tmp_path: Path) -> None:
    path = write(tmp_path, pickled({"data": SMALL}, 2))
    assert np.array_equal(values(path, read(path)["data"]), SMALL)


class Calls:
    """What pickles as a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.keeps("S9")
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("function", "named"),
    [(os.system, "posix.system"), (subprocess.check_call, "check_call"), (eval, "eval"), (Path, "Path")],
)
def test_code_is_never_run(function: Callable[..., Any], named: str, protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    command = f"open({str(marker)!r}, 'w')" if function is eval else f"touch {marker}"
    batch = {"data": LARGE.tolist()[0], "labels": Calls(function, command)}
    text = refused(tmp_path, pickle.dumps(batch, protocol))
    assert named in text
    assert "nothing was run" in text
    assert not marker.exists()


@pytest.mark.keeps("S9")
@pytest.mark.parametrize(
    "constructor",
    ["cnumpy\nload\n", "cnumpy.core.multiarray\nfromfile\n", "cbuiltins\ngetattr\n", "c__main__\nBatch\n", "c\n\n"],
)
def test_other_constructors_are_refused(constructor: str, tmp_path: Path) -> None:
    assert "nothing was run" in refused(tmp_path, b"\x80\x03}X\x04\0\0\0data" + constructor.encode() + b"s.")


@pytest.mark.keeps("S9")
@pytest.mark.parametrize(
    "operations",
    [
        b"cnumpy\nndarray\n(I1\ntR",  # the type, called
        b"cnumpy.core.multiarray\n_reconstruct\n)\x81",  # NEWOBJ
        b"(I1\nicollections\nOrderedDict\n",  # INST
        b"Ppersistent\n",
        b"cnumpy\ndtype\n(X\x02\0\0\0u1tRK\x01b",  # a dtype with a number as its state
        b"K\x01K\x02b",
        b"\x97",  # NEXT_BUFFER
    ],
)
def test_other_calls_are_refused(operations: bytes, tmp_path: Path) -> None:
    refused(tmp_path, b"\x80\x04}X\x04\0\0\0data" + operations + b"s.")


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ([1, 2], "expected a pickled dict of arrays, found list"),
        (LARGE, "expected a pickled dict of arrays"),
        ({"data": "text"}, "data is no array"),
        ({"data": [1, "2"]}, "data is no array"),
        ({"data": [1.5]}, "data is no array"),
        ({"data": [True]}, "data is no array"),
        ({"data": [[1], [2]]}, "data is no array"),
        ({"data": None}, "data is no array"),
        ({1: LARGE}, "the key 1"),
        ({"data": np.asfortranarray(LARGE)}, "row-major"),
        ({"data": np.array([None, 1])}, "data"),
        ({"data": [2**80]}, "the pickle"),
    ],
)
def test_other_contents_are_refused(value: Any, cause: str, tmp_path: Path) -> None:
    assert cause in refused(tmp_path, pickled(value, 3))


@pytest.mark.keeps("S10")
def test_an_array_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    data = pickled({"data": LARGE}, 3)
    rows = b"M" + (1000).to_bytes(2, "little")
    assert data.count(rows) == 1
    assert "claims uint8 [2000, 9]" in refused(tmp_path, data.replace(rows, b"M" + (2000).to_bytes(2, "little")))


@pytest.mark.keeps("S10")
def test_a_length_of_terabytes_is_not_allocated(tmp_path: Path) -> None:
    data = b"\x80\x04}\x8c\x04data\x8e" + (2**45).to_bytes(8, "little") + bytes(9000) + b"s."
    refused(tmp_path, data)


def test_a_dtype_that_is_none(tmp_path: Path) -> None:
    data = pickled({"data": LARGE}, 3)
    assert data.count(b"u1") == 1
    refused(tmp_path, data.replace(b"u1", b"?!"))


def test_a_key_that_cannot_be_one(tmp_path: Path) -> None:
    refused(tmp_path, b"\x80\x04}]K\x01s.")


def test_a_number_of_many_digits(tmp_path: Path) -> None:
    refused(tmp_path, b"\x80\x04\x8b" + (5000).to_bytes(4, "little") + b"\1" * 5000 + b".")


VALID = pickled({"data": LARGE, "labels": list(range(1, 400))}, 3)


@pytest.mark.keeps("S2")
@pytest.mark.parametrize("size", [0, 1, 2, 10, 60, 100, 200, 5000, len(VALID) - 1])
def test_a_pickle_cut_short(size: int, tmp_path: Path) -> None:
    refused(tmp_path, VALID[:size])


fuzz = settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzz
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    read_or_refused(tmp_path, b"\x80\x04" + data + b".")


@fuzz
@given(st.integers(0, len(VALID) - 1), st.integers(0, 255))
def test_any_damage_is_read_or_refused(tmp_path: Path, place: int, value: int) -> None:
    read_or_refused(tmp_path, VALID[:place] + bytes([value]) + VALID[place + 1 :])


HEAD = VALID.index(bytes(LARGE[:2].tobytes()))


@fuzz
@given(st.integers(0, HEAD), st.integers(0, 255))
def test_damage_before_the_data_is_read_or_refused(tmp_path: Path, place: int, value: int) -> None:
    read_or_refused(tmp_path, VALID[:place] + bytes([value]) + VALID[place + 1 :])


OPERATIONS = (
    b"(.012FIJKLMNPQRSTUVX\x8c\x8d\x8e]abcd}ehglijpqrstu)\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x93\x94"
)


@fuzz
@given(st.lists(st.sampled_from(OPERATIONS), max_size=12), st.binary(max_size=8))
def test_any_operations_are_read_or_refused(tmp_path: Path, operations: list[int], tail: bytes) -> None:
    read_or_refused(tmp_path, b"\x80\x04}K\1]" + bytes(operations) + tail + b".")


def read_or_refused(folder: Path, data: bytes) -> None:
    path = write(folder, data)
    found = dict[str, PickledArray]()
    with suppress(SourceProblem):  # either is right, as long as nothing else is raised
        found = read(path)
    assert all(isinstance(array, PickledArray) for array in found.values())
