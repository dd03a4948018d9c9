"""CIFAR-style pickles of NumPy arrays, read as data.

`pickle.load` runs whatever code a file names. Here the opcodes, split by the standard library's own `pickletools`, are
followed by a machine that can build dicts, lists, numbers, texts and NumPy arrays and nothing else: it looks
constructors up in a list of names and never imports one. The bytes of an array stay in the file; what is kept is where
they are.

A few hundred bytes can build what takes 2^60 steps to hash, compare or print: type and size are always asked first.
"""

import math
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from loaders._errors import SourceProblem, shown

Operations = Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]
_LARGE = 1 << 12  # texts and numbers of a batch are shorter, arrays longer
_MOST_OPERATIONS = 400_000  # labels may be a list, of about 128,000 in a batch, one each
_MOST_BYTES = 16 << 20  # of all short texts and numbers together
_MOST_ARRAYS, _MOST_DIMENSIONS, _MOST_LENGTH = 16, 8, 1 << 40  # upstream's have three arrays of one or two dimensions
_CODE = re.compile(r"[<>=|]?(?:[biufc]\d{1,2}|S\d{1,3})")  # of numbers, and of names in ASCII
_CONSTRUCTORS = {
    **dict.fromkeys(("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"), "array"),
    **dict.fromkeys(("numpy ndarray", "numpy dtype"), "type"),
    "_codecs encode": "encode",
}
_PROTOCOL_5 = ("numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer")
_PUSHED = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_PUSHED |= {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = {"PROTO", "FRAME"}


@dataclass(frozen=True)
class PickledArray:
    """An array of a pickle: where its bytes are in the file, or its `values` when it was a list of numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    offset: int = 0
    values: npt.NDArray[np.generic] | None = None


@dataclass(frozen=True)
class _Span:
    """Bytes left in the file; `decode` is what `pickletools` calls on the strings of Python 2."""

    offset: int
    size: int

    def __len__(self) -> int:
        return self.size

    def decode(self, *_: str) -> "_Span":
        return self


@dataclass
class _Dtype:
    code: str
    order: str = "|"


@dataclass
class _Array:
    state: tuple[Any, ...] = ()


@dataclass(frozen=True)
class _Global:
    name: str
    kind: str


class _Skipping:
    """A file whose long reads return where the bytes are, in place of the bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = file.seek(0, 2)
        self._left = _MOST_BYTES
        file.seek(0)

    def read(self, size: int) -> "bytes | _Span":
        if size < _LARGE:
            return self._spent(self._file.read(size))
        start = self._file.tell()
        span = _Span(start, min(size, self._end - start))
        self._file.seek(start + span.size)
        return span

    def readline(self) -> bytes:
        return self._spent(self._file.readline(_LARGE))

    def tell(self) -> int:
        return self._file.tell()

    def _spent(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes of texts and numbers")
        return data


def arrays(file: BinaryIO, label: str) -> dict[str, PickledArray]:
    """Return the arrays of a batch by name, read from a seekable file; `label` names it in errors.

    Raises SourceProblem for anything but a dict of NumPy arrays and lists of integers. A pickle that names any other
    constructor, or asks for one to be called in another way, is refused by its name.
    """
    found = _Machine(label).run(pickletools.genops(_Skipping(file)))  # type: ignore[arg-type]
    if file.read(1):
        raise SourceProblem(f"{label}: holds more behind the end of its pickle at byte {file.tell() - 1:,}.")
    if not isinstance(found, dict):
        raise SourceProblem(f"{label}: expected a pickled dict of arrays, found {_kind(found)}.")
    if len(found) > _MOST_ARRAYS:
        raise SourceProblem(f"{label}: expected data, labels and mean, found {len(found):,} arrays.")
    named = [(name.decode("latin-1") if isinstance(name, bytes) else name, value) for name, value in found.items()]
    if len(dict(named)) != len(named):
        raise SourceProblem(f"{label}: holds an array more than once, as text and as bytes.")
    return {name: _as_array(label, shown(name), value) for name, value in named}


def _kind(value: object) -> str:
    return type(value).__name__.lstrip("_").lower()


def _as_array(label: str, name: str, value: object) -> PickledArray:
    if isinstance(value, list) and all(type(item) is int for item in value):
        values = np.array(value, np.int64)
        return PickledArray(values.shape, values.dtype, values=values)
    match value:
        case _Array(state=(int(), tuple() as shape, _Dtype() as dtype, False, data)) if _is_shape(shape):
            return _stored(label, name, shape, _dtype(label, name, dtype), data)
    raise SourceProblem(f"{label}: {name} is no array of numbers in row-major order.")


def _is_shape(shape: tuple[Any, ...]) -> bool:
    return len(shape) <= _MOST_DIMENSIONS and all(type(n) is int and 0 <= n <= _MOST_LENGTH for n in shape)


def _dtype(label: str, name: str, dtype: _Dtype) -> np.dtype[np.generic]:
    try:
        if _CODE.fullmatch(dtype.code):
            return np.dtype(dtype.code).newbyteorder(">" if dtype.order == ">" else "<")
    except TypeError:
        pass  # of a size that no number has
    raise SourceProblem(f"{label}: {name} is an array of {shown(dtype.code)}, expected numbers.")


def _stored(label: str, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic], data: object) -> PickledArray:
    wanted = math.prod(shape) * dtype.itemsize
    if not isinstance(data, bytes | str | _Span) or len(data) != wanted:
        raise SourceProblem(f"{label}: {name} claims {dtype} {list(shape)}, which is not what it holds.")
    if isinstance(data, _Span):
        return PickledArray(shape, dtype, data.offset)
    raw = data.encode("latin-1") if isinstance(data, str) else data
    return PickledArray(shape, dtype, values=np.frombuffer(raw, dtype))


class _Machine:
    """The part of pickle's stack machine that arrays need. Opcodes: the standard library's `pickletools`."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._encoded = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._do: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "TUPLE": lambda _: self._stack.append(tuple(self._marked())),
            "TUPLE1": lambda _: self._stack.append(self._last(1)),
            "TUPLE2": lambda _: self._stack.append(self._last(2)),
            "TUPLE3": lambda _: self._stack.append(self._last(3)),
            "LIST": lambda _: self._stack.append(self._marked()),
            "DICT": lambda _: self._stack.append(self._pairs(self._marked())),
            "APPEND": lambda _: self._append([self._stack.pop()]),
            "APPENDS": lambda _: self._append(self._marked()),
            "SETITEM": lambda _: self._update(list(self._last(2))),
            "SETITEMS": lambda _: self._update(self._marked()),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda key: self._memo.update({key: self._stack[-1]})),
            "MEMOIZE": lambda _: self._memo.update({len(self._memo): self._stack[-1]}),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda key: self._stack.append(self._memo[key])),
            "GLOBAL": lambda name: self._stack.append(self._global(name)),
            "STACK_GLOBAL": lambda _: self._stack.append(self._global(self._joined(*self._last(2)))),
            "REDUCE": lambda _: self._stack.append(self._reduce(*self._last(2))),
            "BUILD": lambda _: self._build(self._stack.pop()),
        }

    def run(self, operations: "Operations") -> object:
        for count, (operation, argument, _) in enumerate(self._readable(operations)):
            if count > _MOST_OPERATIONS:
                raise SourceProblem(f"{self._label}: the pickle has more than {count:,} parts; no batch has.")
            name = operation.name
            if name == "STOP":
                return self._stack.pop()
            if name in _PUSHED:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in self._do:
                self._do[name](argument)
            elif name not in _IGNORED:
                raise SourceProblem(f"{self._label}: pickle opcode {name} has no place in a batch; nothing was run.")
        raise SourceProblem(f"{self._label}: the pickle has no end. Download it again.")

    def _readable(self, operations: "Operations") -> "Operations":
        try:
            yield from operations
        except TypeError as error:  # a text or number whose bytes were left in the file
            raise SourceProblem(
                f"{self._label}: stores an array as text (protocol 2); save it with protocol 3 or 4."
            ) from error

    def _marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _last(self, count: int) -> tuple[Any, ...]:
        if len(self._stack) < count:
            raise IndexError("the pickle takes more than it has put")
        items = tuple(self._stack[-count:])
        del self._stack[-count:]
        return items

    def _append(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise SourceProblem(f"{self._label}: the pickle appends to what is no list.")
        self._stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise SourceProblem(f"{self._label}: the pickle sets items of what is no dict.")
        self._stack[-1].update(self._pairs(items))

    def _pairs(self, items: list[Any]) -> dict[str | bytes, Any]:
        """Return a dict of keys and values; what is no text has no place as a key, and may take for ever to hash."""
        keys = items[::2]
        if (strange := next((key for key in keys if not isinstance(key, str | bytes)), None)) is not None:
            what = str(strange) if type(strange) is int and strange.bit_length() < 64 else f"of type {_kind(strange)}"
            raise SourceProblem(f"{self._label}: expected names of arrays, found the key {what}.")
        return dict(zip(keys, items[1::2], strict=True))

    def _joined(self, module: object, name: object) -> str:
        if not isinstance(module, str) or not isinstance(name, str):
            raise SourceProblem(f"{self._label}: the pickle asks for what has no name; nothing was run.")
        return f"{module} {name}"

    def _global(self, name: str) -> _Global:
        if name in _PROTOCOL_5:
            raise SourceProblem(f"{self._label}: stores an array by protocol 5; save it with protocol 3 or 4.")
        if name not in _CONSTRUCTORS:
            raise SourceProblem(
                f"{self._label}: the pickle asks for {shown(name.replace(' ', '.'))}, which no batch of images needs; "
                "nothing was run. Delete the file and download it from image-net.org again."
            )
        return _Global(name, _CONSTRUCTORS[name])

    def _reduce(self, constructor: object, arguments: object) -> object:
        match constructor, arguments:
            case _Global(kind="array"), tuple():
                return _Array()
            case _Global(name="numpy dtype"), (str() as code, *_):
                return _Dtype(code)
            case _Global(kind="encode"), (str() as text, "latin1"):
                return self._latin(text)
            case _Global(kind="encode"), (_Span(), *_):
                raise SourceProblem(
                    f"{self._label}: stores an array as text (protocol 2); save it with protocol 3 or 4."
                )
        called = constructor.name if isinstance(constructor, _Global) else f"a {_kind(constructor)}"
        raise SourceProblem(f"{self._label}: the pickle calls {called} as no batch of images does; nothing was run.")

    def _latin(self, text: str) -> bytes:
        self._encoded += len(text)
        if self._encoded > _MOST_BYTES:
            raise SourceProblem(f"{self._label}: holds more than {_MOST_BYTES:,} bytes as text; no batch does.")
        return text.encode("latin-1")

    def _build(self, state: object) -> None:
        built = self._stack[-1]
        if not isinstance(state, tuple) or not isinstance(built, _Array | _Dtype):
            raise SourceProblem(f"{self._label}: the pickle builds what no batch of images has; nothing was run.")
        if isinstance(built, _Array):
            built.state = state
        elif len(state) > 1 and isinstance(state[1], str):
            built.order = state[1]
