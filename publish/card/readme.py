"""The README of a repository in a folder or a store: people's as well as ours, as the one on the Hub (`merge`).

It names the place where it lies, and the manifest must not, which is the same wherever it is built. So the digests of
its segments are of the text with `{{repo}}` and `{{files}}` for places, as the template has it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from publish.card import merge, render
from publish.manifest import Manifest

Places = Mapping[bytes, bytes]  # by their words in the template
_NAMED = {
    b"{{repo}}": re.compile(rb'(load_dataset\(")([^"\n]+)(")'),
    b"{{files}}": re.compile(rb'(read_csv\(")([^"\n]+)(/classes\.tsv")'),
}
_ANYWHERE = {word: word for word in _NAMED}


def merged(
    now: Manifest, theirs: bytes, published: Mapping[str, str], place: tuple[str, str], overwrite: bool
) -> tuple[bytes, Manifest]:
    """Return the README to put at a place, where `theirs` lies (empty: none), and the manifest with its digests.

    `place` is what `load_dataset` takes, and where its files are addressed from; `published` has the digests of the
    segments as we last wrote them. A README that only names another place, where it was before, was not edited.

    Raises Problem with a diff when a person edited a segment of ours, unless `overwrite`.
    """
    ours = render.render(now, *place).encode()
    placeless = _at(ours, _ANYWHERE)
    now = replace(now, card=merge.digests(placeless.decode(), "the new card"))
    if not theirs.strip() or (overwrite and not published):
        return ours, now
    there = _at(theirs, _ANYWHERE)
    text = merge.merge(placeless.decode(), there, published, f"{place[1]}/README.md", overwrite).encode()
    return (ours if text == placeless else _at(text, _places(theirs))), now


def published(old: Manifest | None) -> Mapping[str, str]:
    """Return the digests of the README as we last wrote it; an older release kept none, and let nobody edit it."""
    if old is None or old.card:
        return old.card if old else {}
    return merge.digests(render.render(old, *(word.decode() for word in _NAMED)), "the old card")


def _places(text: bytes) -> Places:
    """Return the places that a README names first."""
    return {word: found[2] if (found := named.search(text)) else word for word, named in _NAMED.items()}


def _at(text: bytes, places: Places) -> bytes:
    """Return a README as it would be at other places; those that it does not name first are a person's."""
    for word, named in _NAMED.items():
        if found := named.search(text):
            text = text.replace(found[0], found[1] + places[word] + found[3])
    return text
