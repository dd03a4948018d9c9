"""CIFAR-style pickles of NumPy arrays, read as data.

`pickle.load` runs whatever code a file names. Here the opcodes, split by the standard library's own `pickletools`, are
followed by a machine that can build dicts, lists, numbers, texts and NumPy arrays and nothing else: it looks
constructors up in a list of names and never imports one. The bytes of an array stay in the file; what is kept is where
they are.
"""

import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from loaders._errors import SourceProblem

Operations = Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]
_LARGE = 1 << 12  # texts and numbers of a batch are shorter, arrays longer
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
        file.seek(0)

    def read(self, size: int) -> "bytes | _Span":
        if size < _LARGE:
            return self._file.read(size)
        start = self._file.tell()
        span = _Span(start, min(size, self._end - start))
        self._file.seek(start + span.size)
        return span

    def readline(self) -> bytes:
        return self._file.readline(_LARGE)

    def tell(self) -> int:
        return self._file.tell()


def arrays(path: Path) -> dict[str, PickledArray]:
    """Return the arrays of a batch by name. Raises SourceProblem for anything but a dict of NumPy arrays and lists.

    A pickle that names any other constructor, or asks for one to be called in another way, is refused by its name.
    """
    with path.open("rb") as file:
        found = _Machine(path).run(pickletools.genops(_Skipping(file)))  # type: ignore[arg-type]
    if not isinstance(found, dict):
        raise SourceProblem(f"{path}: expected a pickled dict of arrays, found {type(found).__name__}.")
    return {_text(path, name): _as_array(path, _text(path, name), value) for name, value in found.items()}


def _text(path: Path, name: object) -> str:
    if isinstance(name, bytes):
        return name.decode("latin-1")
    if isinstance(name, str):
        return name
    raise SourceProblem(f"{path}: expected names of arrays, found the key {name!r}.")


def _as_array(path: Path, name: str, value: object) -> PickledArray:
    if isinstance(value, list) and all(type(item) is int for item in value):
        values = np.array(value, np.int64)
        return PickledArray(values.shape, values.dtype, values=values)
    match value:
        case _Array(state=(int(), tuple() as shape, (str() as code, str() as order), False, data)):
            dtype = np.dtype(code).newbyteorder(">" if order == ">" else "<")
            return _stored(path, name, shape, dtype, data)
    raise SourceProblem(f"{path}: {name} is no array of numbers in row-major order.")


def _stored(path: Path, name: str, shape: tuple[Any, ...], dtype: np.dtype[np.generic], data: object) -> PickledArray:
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or not isinstance(data, bytes | str | _Span) or len(data) != wanted:
        raise SourceProblem(f"{path}: {name} claims {dtype} {list(shape)}, which is not what it holds.")
    if isinstance(data, _Span):
        return PickledArray(shape, dtype, data.offset)
    raw = data.encode("latin-1") if isinstance(data, str) else data
    return PickledArray(shape, dtype, values=np.frombuffer(raw, dtype))


class _Machine:
    """The part of pickle's stack machine that arrays need. Opcodes: the standard library's `pickletools`."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
            "DICT": lambda _: self._stack.append(_pairs(self._marked())),
            "APPEND": lambda _: self._append([self._stack.pop()]),
            "APPENDS": lambda _: self._append(self._marked()),
            "SETITEM": lambda _: self._update(list(self._last(2))),
            "SETITEMS": lambda _: self._update(self._marked()),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda key: self._memo.update({key: self._stack[-1]})),
            "MEMOIZE": lambda _: self._memo.update({len(self._memo): self._stack[-1]}),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda key: self._stack.append(self._memo[key])),
            "GLOBAL": lambda name: self._stack.append(self._global(name)),
            "STACK_GLOBAL": lambda _: self._stack.append(self._global(" ".join(map(str, self._last(2))))),
            "REDUCE": lambda _: self._stack.append(self._reduce(*self._last(2))),
            "BUILD": lambda _: self._build(self._stack.pop()),
        }

    def run(self, operations: "Operations") -> object:
        for operation, argument, _ in self._readable(operations):
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
                raise SourceProblem(f"{self._path}: pickle opcode {name} has no place in a batch; nothing was run.")
        raise SourceProblem(f"{self._path}: the pickle has no end. Download it again.")

    def _readable(self, operations: "Operations") -> "Operations":
        try:
            yield from operations
        except TypeError as error:  # a text or number whose bytes were left in the file
            raise SourceProblem(
                f"{self._path}: stores an array as text (protocol 2); save it with protocol 3 or 4."
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
            raise SourceProblem(f"{self._path}: the pickle appends to what is no list.")
        self._stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise SourceProblem(f"{self._path}: the pickle sets items of what is no dict.")
        self._stack[-1].update(_pairs(items))

    def _global(self, name: str) -> _Global:
        if name in _PROTOCOL_5:
            raise SourceProblem(f"{self._path}: stores an array by protocol 5; save it with protocol 3 or 4.")
        if name not in _CONSTRUCTORS:
            raise SourceProblem(
                f"{self._path}: the pickle asks for {name.replace(' ', '.')}, which no batch of images needs; "
                "nothing was run. Delete the file and download it from image-net.org again."
            )
        return _Global(name, _CONSTRUCTORS[name])

    def _reduce(self, constructor: object, arguments: object) -> object:
        match constructor, arguments:
            case _Global(kind="array"), tuple():
                return _Array()
            case _Global(name="numpy dtype"), (str() as code, *_):
                return [code]
            case _Global(kind="encode"), (str() as text, "latin1"):
                return text.encode("latin-1")
            case _Global(kind="encode"), (_Span(), *_):
                raise SourceProblem(
                    f"{self._path}: stores an array as text (protocol 2); save it with protocol 3 or 4."
                )
        raise SourceProblem(
            f"{self._path}: the pickle calls {constructor!r} as no batch of images does; nothing was run."
        )

    def _build(self, state: object) -> None:
        match self._stack[-1], state:
            case _Array() as array, tuple():
                array.state = tuple(tuple(part) if isinstance(part, list) else part for part in state)
            case [str()] as dtype, (_, str() as order, *_):
                dtype.append(order)
            case _:
                raise SourceProblem(f"{self._path}: the pickle builds what no batch of images has; nothing was run.")


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))
