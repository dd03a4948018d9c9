"""Pickles are read as data: arrays come out as NumPy would give them, and nothing that a file names is ever run."""

import os
import pickle
import subprocess
import sys
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
    with reading(path, "the pickle"), path.open("rb") as file:
        return pickles.arrays(file, str(path))


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
        ({"data": "text"}, "'data' is no array"),
        ({"data": [1, "2"]}, "'data' is no array"),
        ({"data": [1.5]}, "'data' is no array"),
        ({"data": [True]}, "'data' is no array"),
        ({"data": [[1], [2]]}, "'data' is no array"),
        ({"data": None}, "'data' is no array"),
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


DEEP = b"K\1" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(60))  # x = (x, x), by memo: 2^60 leaves
ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n)R"
DTYPE = b"cnumpy\ndtype\nX\2\0\0\0u1\x85R"
BOMBS = {
    "a key": DEEP + b"K\1s",
    "a key of another kind": b"]" + DEEP + b"a" + b"K\1s",
    "an array's value": b"U\4data" + DEEP + b"s",
    "labels": b"U\4data]" + DEEP + b"as",
    "a module": DEEP + b"X\1\0\0\0x\x93",
    "a name": b"X\5\0\0\0numpy" + DEEP + b"\x93",
    "a constructor": DEEP + b")R",
    "its arguments": b"cnumpy\ndtype\n" + DEEP + b"R",
    "the code of a dtype": b"cnumpy\ndtype\n" + DEEP + b"\x85R",
    "an encoding": b"c_codecs\nencode\nX\1\0\0\0x" + DEEP + b"\x86R",
    "a state": b"U\4data" + ARRAY + DEEP + b"bs",
    "a shape": b"U\4data" + ARRAY + b"(K\1" + DEEP + DTYPE + b"\x89U\1xtbs",
    "a length": b"U\4data" + ARRAY + b"(K\1" + DEEP + b"\x85" + DTYPE + b"\x89U\1xtbs",
    "the bytes": b"U\4data" + ARRAY + b"(K\1K\1\x85" + DTYPE + b"\x89" + DEEP + b"tbs",
    "an order": b"U\4data" + ARRAY + b"(K\1K\1\x85" + DTYPE + b"K\1" + DEEP + b"\x86b\x89U\1xtbs",
}


READ = """
import sys
from pathlib import Path
from loaders import SourceProblem
from loaders.formats.batches import BatchFile, OpenBatch
try:
    OpenBatch(BatchFile(Path(sys.argv[1])), 8).labels
except SourceProblem as error:
    print(error)
"""


@pytest.mark.keeps("S30")
@pytest.mark.parametrize("place", BOMBS)
def test_a_value_whose_parts_are_shared_sixty_deep(place: str, tmp_path: Path) -> None:
    """By a process of its own: what hashes, compares or prints such a value is stopped by no handler of signals."""
    path = write(tmp_path, b"\x80\4}" + BOMBS[place] + b".")
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, timeout=20, check=True)
    assert str(path) in done.stdout
    assert len(done.stdout) < 1000


@pytest.mark.keeps("S30")
def test_a_list_that_is_shared_is_copied_by_nobody(tmp_path: Path) -> None:
    """30,000 references to a list of 30,000, as a state, as arguments, and as arrays."""
    count = 30_000
    shared = b"](" + b"K\1" * count + b"eq\0"
    many = b"(" + b"h\0" * count + b"t"
    names = b"".join(b"X\2\0\0\0" + bytes([97 + n % 26, 97 + n // 26]) + b"h\0" for n in range(600))
    for hostile in (ARRAY + shared + many + b"b", b"cnumpy\ndtype\n" + shared + many + b"R"):
        refused(tmp_path, b"\x80\4}U\4data" + hostile + b"s.")
    assert "found 601 arrays" in refused(tmp_path, b"\x80\4}U\1x" + shared + b"s(" + names + b"u.")


@pytest.mark.keeps("S30")
@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"N" * 500_000, "more than 400,001 parts"),
        (b"X\xf0\x0f\0\0" + b"x" * 4080 + b"q\0" + b"c_codecs\nencode\nh\0X\6\0\0\0latin1\x86R" * 5000, "as text"),
        ((b"X\xf0\x0f\0\0" + b"x" * 4080) * 5000, "texts and numbers"),
    ],
    ids=["operations", "encoded", "texts"],
)
def test_a_pickle_of_more_than_a_batch_has(content: bytes, cause: str, tmp_path: Path) -> None:
    assert cause in refused(tmp_path, b"\x80\4" + content + b".")


@pytest.mark.keeps("S30")
@pytest.mark.parametrize(
    "code",
    ["(1 2,)u1", "u1,u1", "(9999999,)u1", "O8", "O", "u3", "u1" * 1000, "U9", "V9", "M8[s]", "", "datetime64"],
)
def test_a_dtype_that_is_no_number(code: str, tmp_path: Path) -> None:
    data = pickled({"data": LARGE}, 3)
    wanted = len(code).to_bytes(4, "little") + code.encode()
    text = refused(tmp_path, data.replace(b"\2\0\0\0u1", wanted))
    assert "expected numbers" in text
    assert len(text) < 500


def test_an_array_by_two_keys_of_one_name(tmp_path: Path) -> None:
    array = pickled(SMALL, 3, "numpy.core")[2:-1]
    data = b"\x80\3}X\4\0\0\0data" + array + b"sC\4data" + array + b"s."
    assert "more than once" in refused(tmp_path, data)


def test_what_follows_the_end_of_a_pickle_is_refused(tmp_path: Path) -> None:
    data = pickled({"data": SMALL, "labels": [1, 2, 3, 4]}, 3)
    assert f"at byte {len(data)}" in refused(tmp_path, data + data)


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
