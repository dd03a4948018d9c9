"""The YAML of a README.md, read as the Hub reads it (PyYAML comes with huggingface_hub)."""

import re
from typing import Any

import yaml

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
        data = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"bad YAML metadata: {error}"], []
    if data is None:
        return [], ["empty or missing yaml metadata in repo card"]
    return ([], []) if isinstance(data, dict) else (["the YAML metadata is not a mapping"], [])


def card_data(readme: bytes | None) -> dict[str, Any] | None:
    found = FRONT_MATTER.match((readme or b"").decode("utf-8", "replace"))
    data = yaml.safe_load(found[1]) if found else None
    return data if isinstance(data, dict) else None
