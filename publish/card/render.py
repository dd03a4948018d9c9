"""The card of a repository: the hand-written template with its measured parts filled in from the manifest alone."""

import io
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files as resources
from typing import Any

from ruamel.yaml import YAML

import loaders
from publish.card import gallery
from publish.console.progress import megabytes
from publish.manifest import Manifest, SourceEntry, SplitEntry

MARK = re.compile(r"(<!-- begin (?P<name>[\w: ]+) -->\r?\n)(?P<body>.*?)(<!-- end (?P=name) -->)", re.DOTALL)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
OWNED_KEYS = ("size_categories", "configs", "dataset_info")


def template(dataset: str) -> str:
    """Return the hand-written card of a dataset."""
    return (resources("cards") / f"{dataset}.md").read_text(encoding="utf-8")


def render(manifest: Manifest, repository: str, files: str) -> str:
    """Return the README of a repository.

    `repository` is what `load_dataset` takes, `files` where its files are addressed from.
    """
    _, head, body = template(manifest.dataset).split("---\n", 2)
    parts = _parts(manifest)
    body = MARK.sub(lambda mark: f"{mark[1]}{parts[mark['name']]}{mark[4]}", body)
    text = f"---\n{_yaml(head, manifest)}---\n{body}"
    return text.replace("{{repo}}", repository).replace("{{files}}", files)


def _yaml(head: str, manifest: Manifest) -> str:
    yaml = YAML()
    yaml.width = 4096  # at its default, ruamel folds long keys into what it cannot read back
    yaml.preserve_quotes = True
    data = yaml.load(head)
    if _origins(manifest) & {"sample"}:
        data["pretty_name"] += " (sample)"
    data |= owned(manifest)
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def owned(manifest: Manifest) -> dict[str, Any]:
    """Return the YAML keys that are computed."""
    rows = max(sum(entry.rows for entry in splits.values()) for splits in manifest.configs.values())
    category = next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")
    default = loaders.load(manifest.dataset).DATASET.default.name
    default = default if default in manifest.configs else next(iter(manifest.configs))
    return {
        "size_categories": [category],
        "configs": [_config(name, splits, name == default) for name, splits in manifest.configs.items()],
        "dataset_info": [_info(name, splits) for name, splits in manifest.configs.items()],
    }


def _config(name: str, splits: Mapping[str, SplitEntry], is_default: bool) -> dict[str, Any]:
    data_files = [{"split": split, "path": pattern(entry)} for split, entry in splits.items()]
    return {"config_name": name, "data_files": data_files} | ({"default": True} if is_default else {})


def pattern(entry: SplitEntry) -> str:
    """Return the one pattern of a split's shards. It pins their total: what another build left is never read."""
    return re.sub(r"-\d{5}-of-", "-*-of-", entry.shards[0].path)


def _info(name: str, splits: Mapping[str, SplitEntry]) -> dict[str, Any]:
    sizes = {split: sum(shard.nbytes for shard in entry.shards) for split, entry in splits.items()}
    return {
        "config_name": name,
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": entry.rows} for split, entry in splits.items()
        ],
        "download_size": sum(shard.bytes for entry in splits.values() for shard in entry.shards),
        "dataset_size": sum(sizes.values()),
    }


def _parts(manifest: Manifest) -> dict[str, str]:
    parts = {
        "measured: notice": _notice(manifest),
        "measured: pictures": gallery.markdown(manifest),
        "measured: sizes": _sizes(manifest),
        "measured: statistics": _statistics(manifest),
        "measured: quirks": _quirks(manifest),
        "measured: provenance": _provenance(manifest),
        "decoder": f"```python\n{decoder()}```\n",
    }
    return {name: f"\n{text.strip()}\n\n" if text.strip() else "" for name, text in parts.items()}


def decoder() -> str:
    """Return the source of the batch decoder, short enough to paste."""
    return (resources("loaders.images") / "decoder.py").read_text(encoding="utf-8")


def _origins(manifest: Manifest) -> set[str]:
    return {source.origin for entry in manifest.entries() for source in entry.sources}


def _notice(manifest: Manifest) -> str:
    said = {
        "sample": "**This is a sample.** Its images were drawn by a program, to try out the build; none is "
        "a photograph of ImageNet, and nothing learnt from it means anything.",
        "regenerated": "**Regenerated.** The archives were made from the ILSVRC 2012 originals by this project, not "
        "downloaded.",
        "folder": "**From unpacked folders.** Photographs were read from folders that archives had been unpacked to. "
        "Nobody published digests of those: names, count and the decoding of each photograph were checked.",
    }
    lines = [f"> {text}" for origin, text in said.items() if origin in _origins(manifest)]
    if forms := {source.form: None for source in _sources(manifest) if source.origin == "unregistered" and source.form}:
        is_pixels = loaders.load(manifest.dataset).DATASET.image_mode is None
        checked = "rows, labels and shapes" if is_pixels else "names, count and the decoding of each photograph"
        lines.append(
            f"> **Without a published digest:** {', '.join(forms)}. Nobody published any; {checked} were checked."
        )
    if short := _short(manifest) if "sample" not in _origins(manifest) else []:
        lines.append(f"> **This is not the whole dataset:** {'; '.join(short)}.")
    if loose := [source.name for source in _sources(manifest) if source.verified == "nothing"]:
        lines.append(f"> **Not verified:** {', '.join(loose)} differ from the files that upstream published.")
    return "\n>\n".join(lines)


def _short(manifest: Manifest) -> list[str]:
    dataset = loaders.load(manifest.dataset)
    published = {(name, s.name): s.rows for name in manifest.configs for s in dataset.config(name).splits}
    return [
        f"{name} {split} has {entry.rows:,} of {published[name, split]:,} rows"
        for name, split, entry in _each(manifest)
        if entry.rows != published.get((name, split), entry.rows)
    ]


def _each(manifest: Manifest) -> list[tuple[str, str, SplitEntry]]:
    return [(name, split, entry) for name, splits in manifest.configs.items() for split, entry in splits.items()]


def _sources(manifest: Manifest) -> list[SourceEntry]:
    return list(dict.fromkeys(source for entry in manifest.entries() for source in entry.sources))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *[list(row) for row in rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sizes(manifest: Manifest) -> str:
    rows = [
        (f"`{name}`", split, f"{e.rows:,}", str(len(e.shards)), megabytes(sum(s.bytes for s in e.shards)))
        for name, split, e in _each(manifest)
    ]
    return _table(("config", "split", "rows", "shards", "Parquet"), rows)


def _statistics(manifest: Manifest) -> str:
    rows = [
        (f"`{name}`", split, _triple(entry.mean), _triple(entry.deviation), f"{entry.duplicates:,}")
        for name, split, entry in _each(manifest)
    ]
    return _table(("config", "split", "mean (R, G, B)", "standard deviation", "rows with an earlier row's image"), rows)


def _triple(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _quirks(manifest: Manifest) -> str:
    rows = [
        (f"`{name}`", split, kind, f"{count:,}")
        for name, split, entry in _each(manifest)
        for kind, count in [*entry.oddities.items(), *((f"skipped: {k}", n) for k, n in entry.skipped.items())]
    ]
    return _table(("config", "split", "what", "files"), rows) if rows else "None were found in what was built here."


def _provenance(manifest: Manifest) -> str:
    rows = [
        (f"`{s.name}`", f"{s.bytes:,}", f"`{s.sha256}`" if s.sha256 else "not computed", s.origin, s.verified, s.form)
        for s in _sources(manifest)
    ]
    libraries = ", ".join(f"{name} {version}" for name, version in manifest.written_with.items())
    table = _table(("source file", "bytes", "SHA-256", "published by", "verified", "form"), rows)
    if any(source.name.endswith("/") for source in _sources(manifest)):
        table += (
            "\n\nThe SHA-256 of a folder is that of the lines which `sha256sum` prints for its files, by file name."
        )
    return f"{table}\n\nBuilt with {libraries}. `manifest.json` lists every shard with its rows, bytes and SHA-256."
