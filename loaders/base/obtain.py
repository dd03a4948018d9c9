"""From "these configs are wanted" to "their archives are here": find, fetch what may be, name what may not."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from loaders._errors import MissingSources, SourceProblem
from loaders.base.dataset import Config, Loader
from loaders.sources import nearby
from loaders.sources.checks import check_size
from loaders.sources.download import fetch
from loaders.sources.folder import SourceFolder
from loaders.sources.listing import Listing
from loaders.sources.source import Found, Source

Wanted = Sequence[tuple[Loader, Config]]


def obtain(wanted: Wanted, folder: Path, partial: bool) -> list[Found]:
    """Return the archives of every wanted config, in order, after fetching those that a program may fetch.

    Sizes are checked here; digests are the caller's to check (`checks.check_digest`), since hashing takes minutes.

    Raises MissingSources, naming every file that a person has to fetch, before anything is downloaded; SourceProblem.
    """
    for problem in fetch_missing(wanted, folder).values():
        raise problem
    found = find(wanted, folder)
    sources = _known_sources(wanted)
    for archive in dict.fromkeys(archive for each in found for archive in each.all()):
        check_size(archive, sources, partial)
    return found


def fetch_missing(wanted: Wanted, folder: Path) -> dict[str, SourceProblem]:
    """Fetch every file that a program may fetch, and return the configs that still lack one, with the reason.

    Raises MissingSources as above.
    """
    check_by_hand(wanted, folder)
    lacking = missing(wanted, folder)
    failed: dict[Source, SourceProblem] = {}
    for source in dict.fromkeys(source for _, source in lacking):
        try:
            fetch(source, folder)
        except SourceProblem as problem:
            failed[source] = problem
    return {config: failed[source] for config, source in lacking if source in failed}


def check_by_hand(wanted: Wanted, folder: Path) -> None:
    """Raise MissingSources, naming all of them, when files are missing that a person has to fetch."""
    if by_hand := [(name, source) for name, source in missing(wanted, folder) if source.url is None]:
        raise missing_message(by_hand, folder, wanted)


def find(wanted: Wanted, folder: Path) -> list[Found]:
    """Return what is there of every wanted config, in order; nothing is fetched."""
    place = SourceFolder(folder)
    return [loader.find(config, place) for loader, config in wanted]


def missing(wanted: Wanted, folder: Path) -> list[tuple[str, Source]]:
    """Return (config, source) for every file that is not in the folder."""
    return [
        (f"{loader.DATASET.name}/{config.name}", source)
        for (loader, config), found in zip(wanted, find(wanted, folder), strict=True)
        for source in found.missing
    ]


def _known_sources(wanted: Wanted) -> list[Source]:
    return [source for loader in dict.fromkeys(loader for loader, _ in wanted) for source in loader.SOURCES.values()]


def missing_message(
    missing: Iterable[tuple[str, Source]], folder: Path, wanted: Wanted = (), sample: bool = True
) -> MissingSources:
    """Return the error that says what is there, which forms are taken, and lists every (config, source) that is not.

    `sample` says whether the command that is run can do with a drawn one instead.
    """
    by_source: dict[Source, list[str]] = {}
    for config, source in missing:
        by_source.setdefault(source, []).append(config)
    lines = [
        f"  {source.name}{f'  ({source.bytes:,} bytes, sha256 {source.sha256})' if source.sha256 else ''}\n"
        f"      for {', '.join(configs)}\n      from {source.page}"
        for source, configs in by_source.items()
    ]
    lacking = {config.partition("/")[0] for config in chain.from_iterable(by_source.values())}
    forms = [
        f"  {loader.DATASET.name}, {form.name}: {form.says}"
        for loader in dict.fromkeys(loader for loader, _ in wanted)
        for form in loader.FORMS
        if loader.DATASET.name in lacking
    ]
    there = nearby.lines(Listing(folder), [source.name for source in by_source])
    return MissingSources(
        _block(f"{folder}/ holds:", [f"  {line}" for line in there] or ["  nothing"])
        + _block("These forms are taken:", forms)
        + _block(
            f"These files are missing; each has to be fetched by hand and put into {folder}/ under its own name"
            f"{', unless it is there in another of those forms' if forms else ''}:\n",
            lines,
        )
        + "The folder is set with --source."
        + (" To see the whole build without any of them, run with --sample." if sample else "")
    )


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([title, *lines]) + "\n\n" if lines else ""
