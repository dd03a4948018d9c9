"""Damaged photographs: how many of them are taken without leave, and how they are told."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from loaders import Problem

if TYPE_CHECKING:
    from loaders.images.jpeg import Damage

LEAVE = "--allow-damaged"
_PART = 1000  # of so many photographs one may draw a warning: of the first 1000 of ILSVRC none does
_ROWS = 0.1  # the part of its rows that none may lack
_SHOWN = 20  # that are listed by name; a manifest or sidecar has them all


def is_much(damaged: "Mapping[str, Damage]", photos: int) -> bool:
    """Say whether so many of the photographs of a source, or one of them so much, are damaged that it takes leave."""
    return len(damaged) * _PART > photos or any(damage.lacking >= _ROWS for damage in damaged.values())


def check(where: object, damaged: "Mapping[str, Damage]", photos: int, allowed: bool) -> None:
    """Raise Problem for more damage than that, unless it is allowed."""
    if allowed or not is_much(damaged, photos):
        return
    name, worst = max(damaged.items(), key=lambda item: item[1].lacking)
    raise Problem(
        f"{where}: {len(damaged):,} of {photos:,} photographs damaged, such as {name} ({worst}). Expected at most "
        f"one in {_PART:,}, and none that lacks a tenth of its rows. Get them again, or pass {LEAVE} to take them as "
        "they are, counted and listed."
    )


def tell(told: Mapping[str, object], what: str, where: str) -> None:
    """List the first photographs of a kind by name and cause, and count all; `where` says what has the rest."""
    for name, why in list(told.items())[:_SHOWN]:
        print(f"{what}: {name}: {why}", file=sys.stderr)
    if told:
        print(f"{what}: {len(told):,} in all; {where} lists them", file=sys.stderr)
