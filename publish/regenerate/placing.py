"""The folder that regenerated files go to: in the making under `.partial`, then in place, then vouched for."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from loaders import Problem
from loaders.files.cache import load_json
from loaders.files.places import files, is_local, told
from loaders.files.typed import dumped
from loaders.formats.untrusted import leads_out
from loaders.sources.sidecar import SIDECAR, FileFacts, Regenerated, Sidecar, read_sidecar
from publish.console import room
from publish.regenerate.packing import File
from publish.results import PARTIAL, check_places, move, remove_tree, to_disk, written

ORIGIN = "regenerated"
MOVING = "moving.json"
_MOVING = f"{PARTIAL}/{MOVING}"  # the files that are on their way to their place, and not vouched for yet


def sidecar(out: Path, expected: Collection[str]) -> Sidecar:
    """Return the sidecar of earlier runs.

    Raises Problem when the folder holds a file that is neither of an earlier run nor one of those expected.
    """
    listed = read_sidecar(out / SIDECAR) or Sidecar(ORIGIN)
    known = {SIDECAR, *listed.files, *expected, *_moving(out)}
    strange = next((name for name in _names(out) if name not in known), None)
    if listed.origin != ORIGIN or strange:
        raise Problem(
            f"{out}: holds {strange or SIDECAR}, which no regeneration made. Choose another folder with --out: "
            "all that lies in it is vouched for as regenerated."
        )
    return listed


def check_links(out: Path, expected: Collection[str]) -> None:
    """Raise Problem when a file could not be moved to its place, or would replace a link that a person laid there."""
    if is_local(out):
        names = {SIDECAR, *expected}
        check_places(out, [out / name for name in sorted(names | {name.partition("/")[0] for name in names})])


def _names(out: Path) -> Iterator[str]:
    names = files(out) if out.exists() else []
    yield from (name for name in sorted(names) if not name.startswith(f"{PARTIAL}/"))


def _moving(out: Path) -> list[str]:
    names = load_json(out / _MOVING, list[str]) or []
    return [name for name in names if not leads_out(name)]


def remove_unvouched(out: Path, vouched: Collection[str]) -> None:
    """Remove what a run had moved to its place when it was killed, before a sidecar could vouch for it."""
    for name in set(_moving(out)) - set(vouched):
        (out / name).unlink(missing_ok=True)
    (out / _MOVING).unlink(missing_ok=True)


def check_room(out: Path, stage: Path, need: int) -> None:
    """Raise Problem when the disk will be full, less what is made already."""
    if is_local(out):
        there = sum(path.stat().st_blocks * 512 for path in stage.rglob("*") if path.is_file())
        room.check_room(out, need, there, ", or fewer --sizes")


def put(
    out: Path,
    whole: Path,
    made: Mapping[str, Sequence[File]],
    rows: Mapping[str, int],
    facts: Regenerated,
) -> Sidecar:
    """Move the files of each config from `whole` to their place, and return the sidecar that vouches for them.

    What an earlier run made for these configs goes first, from the sidecar and then from the folder: at no time does
    the sidecar vouch for other bytes than lie there.
    """
    names = [file.name for each in made.values() for file in each]
    old = sidecar(out, names)
    with _in_between(out):
        left = _take_away(out, old, made)
        _write(out / _MOVING, json.dumps(names, indent=1) + "\n")
        for name in names:
            move(whole / name, out / name)
        merged = _merged(left, made, rows, facts)
        _replace_sidecar(out, merged)
        (out / _MOVING).unlink()
    remove_tree(whole.parent)
    return merged


def _merged(old: Sidecar, made: Mapping[str, Sequence[File]], rows: Mapping[str, int], facts: Regenerated) -> Sidecar:
    files = {file.name: FileFacts(file.bytes, file.sha256) for each in made.values() for file in each}
    regenerated = {config: replace(facts, files=tuple(file.name for file in each)) for config, each in made.items()}
    return Sidecar(
        ORIGIN,
        {**old.files, **files},
        {**old.rows, **{f"imagenet_resized/{config}": dict(rows) for config in made}},
        {**old.regenerated, **regenerated},
    )


@contextmanager
def _in_between(out: Path) -> Iterator[None]:
    """Say of an error how things are when files of before are gone, and new ones perhaps not in their place."""
    try:
        yield
    except Exception as error:
        said = told(error, out)
        if said is None:
            raise
        raise Problem(
            f"{said}. This came while files were put in place: those of before may be gone, and no new one is vouched "
            f"for yet. What is finished is kept in {out / PARTIAL}: mend it, and run the same command again."
        ) from error


def _take_away(out: Path, listed: Sidecar, configs: Collection[str]) -> Sidecar:
    gone = [name for config in configs if config in listed.regenerated for name in listed.regenerated[config].files]
    left = replace(
        listed,
        files={name: facts for name, facts in listed.files.items() if name not in gone},
        regenerated={config: made for config, made in listed.regenerated.items() if config not in configs},
    )
    if gone:
        _replace_sidecar(out, left)
    for name in gone:
        (out / name).unlink(missing_ok=True)
    return left


def _replace_sidecar(out: Path, content: Sidecar) -> None:
    _write(out / PARTIAL / SIDECAR, dumped(content))
    move(out / PARTIAL / SIDECAR, out / SIDECAR)


def _write(place: Path, content: str) -> None:
    with written(place) as temporary, temporary.open("wb") as file:
        file.write(content.encode())
        to_disk(file)
