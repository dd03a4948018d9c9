"""The card of a repository: the hand-written template with its measured parts filled in from the manifest alone."""

from collections.abc import Iterable
from importlib.resources import files as resources

import loaders
from loaders.ilsvrc import lists
from publish.card import file_names, gallery
from publish.card.owned import names, owned
from publish.card.prose import filled
from publish.card.segments import written
from publish.console.progress import megabytes
from publish.manifest import Manifest, SourceEntry, SplitEntry


def render(manifest: Manifest, repository: str | None = None) -> str:
    """Return the README of a repository, sealed; `repository` is its name on the Hub, where it has one."""
    return written(filled(manifest, repository), owned(manifest), _parts(manifest), names(manifest))


def _parts(manifest: Manifest) -> dict[str, str]:
    parts = {
        "measured: notice": _notice(manifest),
        "measured: pictures": gallery.markdown(manifest),
        "measured: sizes": _sizes(manifest),
        "measured: statistics": _statistics(manifest),
        "measured: quirks": _quirks(manifest),
        "measured: file names": file_names.markdown(manifest),
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
    published = {(name, s.name): s for name in manifest.configs for s in dataset.config(name).splits}
    whole = [(*each, _published(published.get(each[:2]), each[2])) for each in _each(manifest)]
    return [
        f"{name} {split} has {entry.rows:,} of {rows:,} rows"
        for name, split, entry, rows in whole
        if entry.rows != rows
    ]


def _published(split: loaders.Split | None, entry: SplitEntry) -> int:
    """Return how many rows a split should have: of one that is listed, those on the list."""
    absent = sum(count for kind, count in entry.skipped.items() if kind.startswith(lists.ABSENT))
    return split.rows if split and not split.listed else entry.rows + absent


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


_DECODED = (
    "Every photograph was decoded whole when this was built, and what libjpeg warns about is counted here. A byte that "
    "was changed, and decodes without a warning, cannot be found: a JPEG has no checksum."
)


def _quirks(manifest: Manifest) -> str:
    rows = [
        (f"`{name}`", split, kind, f"{count:,}")
        for name, split, entry in _each(manifest)
        for kind, count in _counts(entry)
    ]
    table = _table(("config", "split", "what", "files"), rows) if rows else "None were found in what was built here."
    return f"{table}\n\n{_DECODED}" if loaders.load(manifest.dataset).DATASET.image_mode else table


def _counts(entry: SplitEntry) -> list[tuple[str, int]]:
    lacking = sum(damage.lacking > 0 for damage in entry.damaged.values())
    damaged = f"damaged: libjpeg warns, `manifest.json` names them; {lacking:,} lack rows"
    skipped = [(f"skipped: {kind}", count) for kind, count in entry.skipped.items()]
    return [*entry.oddities.items(), *([(damaged, len(entry.damaged))] if entry.damaged else []), *skipped]


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
