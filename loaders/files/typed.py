"""JSON read back as the types that say what it may hold: frozen dataclasses, whose fields carry their bounds."""

import json
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


def parsed(content: bytes | str, kind: type[T]) -> T:
    """Return JSON as a value of that type, unknown fields left out; raises ValueError, saying what is wrong."""
    try:
        return msgspec.json.decode(content, type=kind)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except msgspec.MsgspecError as error:  # a ValueError of its own in later releases alone
        raise ValueError(str(error)) from error


def dumped(value: Any, without: str = "") -> str:
    """Return a dataclass as JSON, its fields in their order, but for one that is only read."""
    content = msgspec.to_builtins(value)
    content.pop(without, None)
    return json.dumps(content, indent=1) + "\n"
