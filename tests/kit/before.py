"""A card and its manifest as releases wrote them whose cards had no seals: the manifest had digests of the card."""

import hashlib
import json
import re

import yaml

from publish.card.owned import KEYS

_PART = re.compile(r"(?s)<!-- begin (?P<name>[\w: ]+) -->\n(?P<body>.*?)<!-- end (?P=name) -->")


def as_before(card: str, manifest: str, prose: tuple[str, str], folder: str = "") -> tuple[str, str]:
    """Return an older card, and its manifest; `prose` is replaced, as templates change.

    In a folder the card named that, and the digests were of a text that did not.
    """
    if folder:
        card = re.sub(r'read_csv\("hf://datasets/my-lab/\w+', f'read_csv("{folder}', card)
        card = re.sub(r'load_dataset\("my-lab/\w+', f'load_dataset("{folder}', card)
    card = re.sub(r"\n<!-- seals [^>]*-->\n$", "", re.sub(r" seal=\w{16} -->", " -->", card)).replace(*prose)
    values = yaml.safe_load(card.split("---\n")[1])
    older = [{key: kept for key, kept in info.items() if key != "features"} for info in values["dataset_info"]]
    begin, end = card.index("\nsize_categories:"), card.index("\n---\n", 4)
    lines = yaml.safe_dump({**{key: values[key] for key in KEYS}, "dataset_info": older}, sort_keys=False)
    body = card[end:]
    digests = {
        f"yaml {key}": json.dumps(older if key == "dataset_info" else values[key], sort_keys=True) for key in KEYS
    }
    digests |= {f"part {part['name']}": part["body"] for part in _PART.finditer(body)}
    blank = _PART.sub(
        lambda part: f"<!-- begin {part['name']} -->\n(part {part['name']})<!-- end {part['name']} -->", body
    )
    named = "".join(f"(yaml {key})\n" for key in KEYS).rstrip()
    digests["prose"] = f"{card[:begin]}\n{named}{blank}"
    if folder:
        placeless = digests["prose"].replace(f'read_csv("{folder}', 'read_csv("{{files}}')
        digests["prose"] = placeless.replace(folder, "{{repo}}")
    content = json.loads(manifest)
    content["card"] = {name: hashlib.sha256(text.strip().encode()).hexdigest()[:16] for name, text in digests.items()}
    return f"{card[:begin]}\n{lines.rstrip()}{body}", json.dumps(content, indent=1) + "\n"
