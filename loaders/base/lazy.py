"""A module's `Builder`, made when it is first asked for: `datasets` takes a second or two to import."""

import sys
from collections.abc import Callable
from typing import Any


def lazy_builder(module: str) -> Callable[[str], Any]:
    """Return a module's `__getattr__`, which makes its `Builder` when first asked for: `datasets` imports slowly."""

    def attribute(name: str) -> Any:
        if name != "Builder":
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        from loaders.base.builder import make

        builder = make(module)
        setattr(sys.modules[module], name, builder)
        return builder

    return attribute
