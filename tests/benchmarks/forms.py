"""Time and bytes read of each form that a dataset is taken in, beside the registered one.

Drawn archives are laid out in each form and built by the command, in this process and by one worker. The bytes are all
that it asks the system for: headers, digests, rows, what was put aside, and its own files again. The files are in the
system's cache; shards are held against the registered form's.
"""

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from publish import manifest
from publish.__main__ import main as publish
from publish.console.progress import megabytes, table
from tests.kit import archives, forms, ilsvrc

Lay = Callable[[Path], object]


def _cases() -> list[tuple[str, str, str, Lay]]:
    """Return (dataset, config, form, what lays it out); the registered form of each config first."""
    found: list[tuple[str, str, str, Lay]] = []
    for size in (8, 16, 64):
        config = f"{size}x{size}"
        found.append(("imagenet_resized", config, "registered", partial(archives.resized, sizes=[size])))
        found += [("imagenet_resized", config, name, lay) for name, (s, lay) in forms.RESIZED.items() if s == size]
    found.append(("downsampled_imagenet", "32x32", "registered", archives.downsampled))
    found += [("downsampled_imagenet", "32x32", name, lay) for name, lay in forms.DOWNSAMPLED.items()]
    found.append(("imagenet2012_subset", "10pct", "registered", _subset))
    found += [("imagenet2012_subset", "10pct", name, partial(_subset, lay)) for name, lay in ilsvrc.FORMS.items()]
    found.append(("imagenet_v2", "topimages", "registered", archives.v2))
    return found + [("imagenet_v2", "topimages", name, lay) for name, lay in forms.V2.items()]


def _subset(*args: object) -> None:
    *lay, folder = args
    archives.subset(folder, test=True)  # type: ignore[arg-type]
    for form in lay:
        form(folder)  # type: ignore[operator]


def _read() -> int:
    """Return the bytes that this process has asked the system for."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])


def _built(dataset: str, config: str, place: Path) -> tuple[dict[str, str], float, int]:
    """Return the SHA-256 of each shard, seconds, and bytes read; nothing is known from an earlier build."""
    os.environ["XDG_CACHE_HOME"] = str(place / "cache")
    out = place / "out"
    options = ["--source", str(place / "source"), "--out", str(out), "--allow-partial", "--workers", "1"]
    started, before = time.perf_counter(), _read()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = publish(["--config", f"{dataset}/{config}", *options])
    seconds, read = time.perf_counter() - started, _read() - before
    made = manifest.read(out / dataset)
    if code or not made:
        raise SystemExit(said.getvalue())
    return {shard.path: shard.sha256 for entry in made.entries() for shard in entry.shards}, seconds, read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000, help="of train, at most 1000")
    rows = parser.parse_args().rows
    archives.SPLITS.update(train=rows, validation=rows // 10)
    lines, wanted = [], dict[str, str]()
    for number, (dataset, config, form, lay) in enumerate([("imagenet_v2", "topimages", "", archives.v2), *_cases()]):
        with tempfile.TemporaryDirectory() as name:
            Path(name, "source").mkdir()
            lay(Path(name, "source"))
            shards, seconds, read = _built(dataset, config, Path(name))
        if not number:
            continue  # the first is for the imports
        wanted = shards if form == "registered" else wanted
        same = "" if form == "registered" else "yes" if shards == wanted else "NO"
        lines.append((f"{dataset}/{config}", form, f"{seconds:.2f} s", megabytes(read), same))
    print(table(("config", "form", "time", "read", "same shards"), lines))


if __name__ == "__main__":
    main()
