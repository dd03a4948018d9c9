"""From "these configs are wanted" to "their archives are here": find, fetch what may be, name what may not."""

from collections.abc import Iterable
from pathlib import Path

from loaders._errors import MissingSources
from loaders.base.dataset import Config, Loader
from loaders.sources.checks import check_size
from loaders.sources.download import fetch
from loaders.sources.folder import SourceFolder
from loaders.sources.source import Found, Source

Wanted = list[tuple[Loader, Config]]


def obtain(wanted: Wanted, folder: Path, partial: bool) -> list[Found]:
    """Return the archives of every wanted config, in order, after fetching those that a program may fetch.

    Sizes are checked here; digests are the caller's to check (`checks.check_digest`), since hashing takes minutes.

    Raises MissingSources, naming every file that a person has to fetch, before anything is downloaded; SourceProblem.
    """
    check_by_hand(wanted, folder)
    for source in dict.fromkeys(source for _, source in missing(wanted, folder)):
        fetch(source, folder)
    found = _find(wanted, folder)
    sources = _known_sources(wanted)
    for archive in dict.fromkeys(archive for each in found for archive in each.all()):
        check_size(archive, sources, partial)
    return found


def check_by_hand(wanted: Wanted, folder: Path) -> None:
    """Raise MissingSources, naming all of them, when files are missing that a person has to fetch."""
    if by_hand := [(name, source) for name, source in missing(wanted, folder) if source.url is None]:
        raise missing_message(by_hand, folder)


def missing(wanted: Wanted, folder: Path) -> list[tuple[str, Source]]:
    """Return (config, source) for every file that is not in the folder."""
    return [
        (f"{loader.DATASET.name}/{config.name}", source)
        for (loader, config), found in zip(wanted, _find(wanted, folder), strict=True)
        for source in found.missing
    ]


def _find(wanted: Wanted, folder: Path) -> list[Found]:
    place = SourceFolder(folder)
    return [loader.find(config, place) for loader, config in wanted]


def _known_sources(wanted: Wanted) -> list[Source]:
    return [source for loader in dict.fromkeys(loader for loader, _ in wanted) for source in loader.SOURCES.values()]


def missing_message(missing: Iterable[tuple[str, Source]], folder: Path) -> MissingSources:
    """Return the error that lists every (config, source) that only a person can fetch."""
    by_source: dict[Source, list[str]] = {}
    for config, source in missing:
        by_source.setdefault(source, []).append(config)
    lines = [
        f"  {source.name}{f'  ({source.bytes:,} bytes, sha256 {source.sha256})' if source.sha256 else ''}\n"
        f"      for {', '.join(configs)}\n      from {source.page}"
        for source, configs in by_source.items()
    ]
    return MissingSources(
        f"These files are missing; each has to be fetched by hand and put into {folder}/ under its own name:\n\n"
        + "\n".join(lines)
        + "\n\nThe folder is set with --source. To see the whole build without any of them, run with --sample."
    )
