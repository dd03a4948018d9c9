"""Waiting for the Hub's dataset viewer, which works through a new revision by itself, minutes to hours after it.

Its API: https://huggingface.co/docs/dataset-viewer/valid. An answer carries the commit that it is about in X-Revision.
"""

import sys
import time
from collections.abc import Mapping

from huggingface_hub import constants, get_session
from huggingface_hub.utils._headers import build_hf_headers

from publish.hub.session import SILENCE

_WANTED = ("preview", "viewer", "statistics")  # what every split of ours is to have
_PAUSE = 20.0  # seconds


def wait(name: str, commit: str, splits: Mapping[str, list[str]], minutes: float) -> dict[str, str]:
    """Wait until the viewer shows every split ({config: splits}) of a commit; return {split: what it still lacks}."""
    deadline = time.monotonic() + 60 * minutes
    left = {f"{config} {split}": (config, split) for config, found in splits.items() for split in found}
    while True:
        lacking = {key: lack for key, (config, split) in left.items() if (lack := _lack(name, commit, config, split))}
        left = {key: left[key] for key in lacking}
        if not lacking or time.monotonic() >= deadline:
            return lacking
        print(f"{name}: the viewer has {len(lacking)} splits to do", file=sys.stderr, flush=True)
        time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))


def _lack(name: str, commit: str, config: str, split: str) -> str:
    """Return what the viewer cannot do with a split, in words; empty when nothing is missing."""
    url = f"{constants.ENDPOINT.replace('https://', 'https://datasets-server.')}/is-valid"
    about = {"dataset": name, "config": config, "split": split}
    try:
        answer = get_session().get(url, params=about, headers=build_hf_headers(), timeout=SILENCE)
        found = answer.json() if answer.status_code == 200 else {}
    except Exception as error:  # of the network, or no JSON: asked again until the time is up
        return f"no answer ({type(error).__name__})"
    if answer.status_code != 200:
        return f"it answers {answer.status_code} {answer.headers.get('X-Error-Code', '')}".rstrip()
    if answer.headers.get("X-Revision", commit) != commit:
        return "it still shows an older revision"
    lacks = [what for what in _WANTED if not (isinstance(found, dict) and found.get(what))]
    return f"no {', no '.join(lacks)}" if lacks else ""
