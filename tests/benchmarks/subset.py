"""`imagenet2012_subset/1pct` from an ILSVRC train archive of the real size: seconds, and bytes read of 148 GB.

    python -m tests.benchmarks.subset [DIR] [--lists DIR] [--photos DIR]

Writes, if DIR has none yet, a train archive of 1000 tars and 1,281,167 members: photographs at the members that the
list names, holes at all others (150 GB long, about 7 GB on disk). Then builds `1pct` from it twice in one process, the
page cache emptied before each: with the index to be made, and with the index kept. Last, a plain `tarfile` pass over
the first classes, for comparison. Emptying the cache needs root; without it the bytes from the disk mean little.
"""

import argparse
import io
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from loaders import classes
from publish import __main__ as cli
from publish.console.progress import megabytes, table
from publish.sample import archives
from publish.sample.drawing import draw

MEMBERS = 1_281_167
MEAN_BYTES = 114_000  # of an ILSVRC photograph
LISTED = 12_811
COMPARED = 20  # classes that the plain pass reads
BLOCK = 512


@dataclass(frozen=True)
class Cost:
    """What a build took: seconds, bytes by read calls, bytes from the disk, and the process's peak memory."""

    seconds: float
    called: int
    fetched: int
    peak: int


def photographs(folder: Path | None) -> list[bytes]:
    """Return encoded photographs: of a folder of JPEGs, or 50 drawn ones of about 60 kB."""
    if folder:
        return [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    files = []
    for pixels in draw(np.arange(50), 0, 500, 375):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    return files


def listed(lists: Path | None) -> list[str]:
    """Return the names of the 1 % list: SimCLR's, from a folder of lists, or as many made-up ones."""
    if lists:
        return (lists / "1percent.txt").read_text().split()
    wnids = classes.wnids("ilsvrc")
    return [f"{wnids[i % len(wnids)]}_{i // len(wnids) + 1}.JPEG" for i in range(LISTED)]


def names_of(wnid: str, count: int, wanted: list[str]) -> list[str]:
    """Return the names of a class: those on the list, and others to make up the count."""
    return sorted([*wanted, *(f"{wnid}_{900_000 + i}.JPEG" for i in range(count - len(wanted)))])


def write_train(path: Path, names: list[str], photos: list[bytes]) -> None:
    """Write the archive, holes in place of the photographs that are not listed."""
    chosen: dict[str, list[str]] = {wnid: [] for wnid in classes.wnids("ilsvrc")}
    for name in names:
        chosen[name.partition("_")[0]].append(name)
    edges = np.linspace(0, MEMBERS, classes.COUNT + 1).astype(int)
    sizes = np.random.default_rng(0).integers(MEAN_BYTES // 2, MEAN_BYTES * 3 // 2, MEMBERS)
    with path.open("wb", buffering=0) as file:
        position = 0
        for i, wnid in enumerate(classes.wnids("ilsvrc")):
            members = names_of(wnid, edges[i + 1] - edges[i], chosen[wnid])
            start = position + BLOCK
            end = _write_class(file, start, members, set(chosen[wnid]), sizes[edges[i] : edges[i + 1]], photos)
            os.pwrite(file.fileno(), _header(f"{wnid}.tar", end - start), position)
            position = end
        file.truncate(position + 2 * BLOCK)


def _write_class(
    file: io.FileIO, at: int, members: list[str], wanted: set[str], sizes: np.ndarray, photos: list[bytes]
) -> int:
    for k, (name, size) in enumerate(zip(members, sizes.tolist(), strict=True)):
        photo = photos[k % len(photos)] if name in wanted else b""
        os.pwrite(file.fileno(), _header(name, len(photo) or size) + photo, at)
        at += BLOCK + -(-(len(photo) or size) // BLOCK) * BLOCK
    return at + 2 * BLOCK  # the end mark, a hole


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def prepare(folder: Path, lists: Path | None, photos: Path | None) -> None:
    """Write what `1pct` is built from, unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    train = folder / "ILSVRC2012_img_train.tar"
    if train.exists():
        return
    names = listed(lists)
    (folder / "1percent.txt").write_text("\n".join(names) + "\n")
    archives.write_ilsvrc_validation(folder, [(1, photographs(photos)[0])])
    started = time.perf_counter()
    write_train(train, names, photographs(photos))
    on_disk = train.stat().st_blocks * 512
    print(
        f"wrote {megabytes(train.stat().st_size)}, {megabytes(on_disk)} on disk, {time.perf_counter() - started:.0f} s"
    )


def _io() -> tuple[int, int]:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"]), int(lines["read_bytes"])


def empty_cache() -> None:
    """Ask the system to forget what it holds of files."""
    os.sync()
    with suppress(PermissionError):
        Path("/proc/sys/vm/drop_caches").write_text("3\n")


def build(folder: Path, out: Path) -> Cost:
    """Build `1pct` in this process, so that all that is read counts."""
    called, fetched = _io()
    started = time.perf_counter()
    arguments = ["--config", "imagenet2012_subset/1pct", "--source", str(folder), "--out", str(out)]
    if code := cli.main([*arguments, "--allow-partial", "--workers", "1"]):
        raise SystemExit(code)
    now = _io()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(time.perf_counter() - started, now[0] - called, now[1] - fetched, peak)


def plain_pass(path: Path) -> tuple[float, int]:
    """Read the members of the first classes as `tarfile` documents it; return seconds and bytes."""
    started, done = time.perf_counter(), 0
    with tarfile.open(path) as outer:
        for _, member in zip(range(COMPARED), outer, strict=False):
            done += member.size
            with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                for photo in inner:
                    inner.extractfile(photo).read()  # type: ignore[union-attr]
    return time.perf_counter() - started, done


def rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Measure, and yield the rows of the table."""
    train = folder / "ILSVRC2012_img_train.tar"
    total = train.stat().st_size
    for label in ("1pct, index made", "1pct, index kept"):
        empty_cache()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            cost = build(folder, Path(out))
        shares = (f"{cost.called / total:.2%}", f"{cost.fetched / total:.2%}")
        yield (label, f"{cost.seconds:.1f}", megabytes(cost.called), *shares, megabytes(cost.peak))
    empty_cache()
    seconds, done = plain_pass(train)
    estimate = f"{seconds * total / done:.0f}"
    yield (f"tarfile, whole (from {COMPARED} classes)", estimate, megabytes(total), "100%", "-", "-")


def main() -> None:
    """Prepare, measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("benchmark-ilsvrc"))
    parser.add_argument("--lists", type=Path, help="folder with SimCLR's 1percent.txt (default: made-up names)")
    parser.add_argument("--photos", type=Path, help="folder of JPEGs (default: drawn ones)")
    options = parser.parse_args()
    prepare(options.folder, options.lists, options.photos)
    with tempfile.TemporaryDirectory(dir=options.folder) as cache:  # an index of an earlier run would not be made
        os.environ["XDG_CACHE_HOME"] = cache
        measured = list(rows(options.folder))
    print(table(("what", "seconds", "read", "by calls", "from disk", "peak"), measured))


if __name__ == "__main__":
    main()
