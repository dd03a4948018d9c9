"""Structs of Thrift's compact protocol, read into dictionaries and written back: Parquet's footers and page indexes.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12


class Value(NamedTuple):
    """A value and its type: bool, int, bytes, `Values`, or a struct, which is {field number: Value}."""

    kind: int
    value: Any


class Values(NamedTuple):
    """The elements of a list, of one type."""

    kind: int
    values: list[Any]


Struct = dict[int, Value]


@dataclass
class Reader:
    """Reads structs at `at`.

    All its methods raise ValueError or IndexError for bytes that are not Thrift.
    """

    data: bytes | memoryview
    at: int = 0

    def struct(self) -> Struct:
        """Read a struct."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = Value(head & 15, self._value(head & 15))
        return fields

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _bytes(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError(f"byte {self.at}: expected {count:,} bytes, found the end")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def _value(self, kind: int) -> Any:
        if kind in (TRUE, FALSE):
            return kind == TRUE
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            return self._list()
        if kind in (BYTE, DOUBLE, BINARY):
            return self._bytes({BYTE: 1, DOUBLE: 8}.get(kind) or self._varint())
        raise ValueError(f"byte {self.at}: expected a Thrift value, found one of type {kind}")

    def _list(self) -> Values:
        head = self._byte()
        kind, count = head & 15, self._varint() if head >> 4 == 15 else head >> 4
        if kind in (TRUE, FALSE):  # in a list, a byte each
            return Values(kind, [self._byte() == TRUE for _ in range(count)])
        return Values(kind, [self._value(kind) for _ in range(count)])


def dump(struct: Struct) -> bytes:
    """Return the bytes of a struct."""
    out, last = bytearray(), 0
    for number, (kind, value) in sorted(struct.items()):
        kind = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        short = 0 < number - last < 16
        out += bytes([(number - last) << 4 | kind]) if short else bytes([kind]) + _integer(number)
        out += b"" if kind in (TRUE, FALSE) else _dumped(kind, value)
        last = number
    return bytes(out + b"\0")


def _dumped(kind: int, value: Any) -> bytes:
    if kind in (I16, I32, I64):
        return _integer(value)
    if kind == STRUCT:
        return dump(value)
    if kind in (LIST, SET):
        count = len(value.values)
        head = bytes([count << 4 | value.kind]) if count < 15 else bytes([0xF0 | value.kind]) + _varint(count)
        return head + b"".join(_element(value.kind, one) for one in value.values)
    return bytes((_varint(len(value)) if kind == BINARY else b"") + value)


def _element(kind: int, value: Any) -> bytes:
    return bytes([TRUE if value else FALSE]) if kind in (TRUE, FALSE) else _dumped(kind, value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _integer(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else (-value << 1) - 1)
