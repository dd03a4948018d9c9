"""Cards of before they had seals of their own: the manifest had digests of what was published (`Manifest.card`)."""

import re
from typing import Any

from publish.card.marks import digest, listed
from publish.card.owned import owned
from publish.card.segments import Card
from publish.manifest import Manifest

# In a folder a card named the place where it lay, and the digests were of the text with these words for it.
_PLACES = {
    "{{repo}}": re.compile(r'load_dataset\("([^"\n]{1,4096})"'),
    "{{files}}": re.compile(r'read_csv\("([^"\n]{1,4096})/classes\.tsv"'),
}


def seals(card: Card, then: Manifest | None) -> dict[str, str]:
    """Return the seals of a card that has none of its own, from the manifest that was published with it."""
    kept = dict(then.card) if then else {}
    by_hand = f"---\n{card.head}---\n{card.prose}"
    is_ours = kept.get("prose") in (digest(by_hand), digest(_placeless(by_hand)))
    found = {"head": digest(card.head), "prose": digest(card.prose)} if is_ours else {}
    parts = {name: seal for name, seal in kept.items() if name.startswith("part ")}
    return found | parts | ({"parts": listed(name.removeprefix("part ") for name in parts)} if parts else {})


def owned_then(then: Manifest | None) -> list[dict[str, Any]]:
    """Return the computed keys of a manifest as this release writes them, and as those did that wrote no features."""
    if then is None:
        return []
    values = owned(then)
    without = [{key: kept for key, kept in info.items() if key != "features"} for info in values["dataset_info"]]
    return [values, {**values, "dataset_info": without}]


def _placeless(text: str) -> str:
    for word, named in _PLACES.items():
        if found := named.search(text):
            text = text.replace(found[0], found[0].replace(found[1], word))
    return text
