"""The YAML of a README.md, read as the Hub reads it (PyYAML comes with huggingface_hub)."""

import re
from functools import lru_cache
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, and a card names thousand classes
FRONT_MATTER = re.compile(r"\A(?:\ufeff)?---[ \t]*\r?\n(.*?)^---[ \t]*\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Return the (errors, warnings) of a README."""
    found = FRONT_MATTER.match(content)
    if found is None:
        unclosed = content.startswith("---")
        return (
            (["the YAML metadata is not closed by ---"], [])
            if unclosed
            else ([], ["empty or missing yaml metadata in repo card"])
        )
    try:
        data = yaml.load(found[1], Loader=_Loader)
    except yaml.YAMLError as error:
        return [f"bad YAML metadata: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    return ([], []) if isinstance(data, dict) else (["the YAML metadata is not a mapping"], [])


@lru_cache(maxsize=8)
def card_data(readme: bytes | None) -> dict[str, Any] | None:
    found = FRONT_MATTER.match((readme or b"").decode("utf-8", "replace"))
    data = yaml.load(found[1], Loader=_Loader) if found else None
    return data if isinstance(data, dict) else None
