"""Every reader of foreign bytes, what it is given when nothing is wrong, and what it may do when something is.

A mutated input gives rows or a `loaders.Problem`; where the format has checksums, the rows are the right ones. It takes
no more than SECONDS and, on top of what the seeds take, no more memory than the reader's MEMORY.
"""

import gzip
import io
import json
import os
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loaders import Batch, Problem, classes
from loaders import downsampled_imagenet as downsampled
from loaders import imagenet_resized as resized
from loaders.base.dataset import Split
from loaders.files.places import state
from loaders.formats import batches, index
from loaders.formats.tars import read_members, scan
from loaders.ilsvrc import layout, lists, photos
from loaders.ilsvrc.index import scan_tars
from loaders.ilsvrc.layout import DEVKIT, TRUTH
from loaders.images.arrow import images, integers, strings
from loaders.sources import checks, digests, sidecar
from loaders.sources.folder import SourceFolder
from loaders.sources.sidecar import SIDECAR
from loaders.sources.source import Archive
from publish import manifest
from publish.build import measure
from publish.card import merge, render, segments
from publish.manifest import Manifest
from publish.repository import verify
from publish.repository.contents import FolderContents
from publish.sample import archives as sample
from tests.kit import archives
from tests.publish.test_manifest import MANIFEST

SECONDS = 5.0  # of processor time: what waits for ever is stopped by whoever calls
TRAIN_TAR = "ILSVRC2012_img_train.tar"
Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Reader:
    """A reader: `read` is given a folder with `file` in it, and returns what can be compared, or raises Problem.

    `seeds` are sound inputs. With `checked` they all hold the same, and no mutation of them may come out as another.
    `memory` is in bytes, `longest` the length of an input in bytes that is still tried.
    """

    name: str
    file: str
    seeds: Callable[[], Sequence[bytes]]
    read: Read
    checked: bool = False
    memory: float = 50e6
    longest: int = 1 << 14


@dataclass(frozen=True)
class Trial:
    """What came of an input: whether it was refused, seconds of work, and bytes beyond the most that ever was held."""

    refused: bool
    seconds: float
    memory: int


class Broken(AssertionError):
    """A promise was broken."""


@cache
def right(reader: Reader) -> list[Any]:
    """Return what each seed holds; once here, a reader has what it needs of memory."""
    return [_result(reader, seed) for seed in reader.seeds()]


def attempt(reader: Reader, data: bytes) -> Trial:
    """Read an input, and raise Broken if it came out as it may not."""
    expected = right(reader)
    started, before = time.process_time(), _most_memory()
    try:
        found, refused = _result(reader, data), False
    except Problem as problem:
        found, refused = None, True
        if not str(problem).strip():
            raise Broken("refused without a word") from problem
    except Exception as error:
        raise Broken(f"foreign error {type(error).__name__}: {error}") from error
    done = Trial(refused, time.process_time() - started, _most_memory() - before)
    if reader.checked and not refused and found != expected[0]:
        raise Broken(f"other rows than were written: {str(found)[:300]}")
    if done.seconds > SECONDS or done.memory > reader.memory:
        raise Broken(f"took {done.seconds:.1f} s and {done.memory / 1e6:.0f} MB")
    return done


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _result(reader: Reader, data: bytes) -> Any:
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_disk()) as folder:
        place = Path(folder, reader.file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return reader.read(Path(folder))


@cache
def _memory_disk() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# Batches of Chrabaszcz et al.


@cache
def _batch() -> dict[str, Any]:
    pixels = sample.planar(archives.pictures(4, 8, 0))
    return {"data": pixels, "labels": archives.labels(4), "file_names": np.array([b"a.JPEG", b"b", b"c", b"d"])}


def _npz(deflated: bool) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if deflated else np.savez)(buffer, **_batch())
    return buffer.getvalue()


def _rows(file: batches.BatchFile) -> tuple[bytes, bytes]:
    """Names are read, too, and not compared: where the array's own name is damaged, there are none."""
    batch = batches.OpenBatch(file, 8)
    try:
        assert batch.file_names is None or len(batch.file_names) == batch.rows
        return batch.labels.tobytes(), batch.read(0, batch.rows).tobytes()
    finally:
        batch.close()


def _zip_seeds() -> list[bytes]:
    found = []
    for inner in (False, True):
        for outer in (False, True):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if outer else zipfile.ZIP_STORED) as archive:
                archive.writestr("__MACOSX/._val_data.npz", b"-")
                archive.writestr("val_data.npz", _npz(inner))
            found.append(buffer.getvalue())
    return found


def _read_zip(folder: Path) -> Any:
    archive = Archive.found(folder / "Imagenet8_val_npz.zip", None)
    files, _ = resized._batch_files(Split("validation", 50_000, 1), [archive])
    return [_rows(file) for file in files]


def _npy_seeds() -> list[bytes]:
    found = []
    for version in ((1, 0), (2, 0), (3, 0)):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, _batch()["data"], version, allow_pickle=False)
        found.append(buffer.getvalue())
    return found


def _read_npy(folder: Path) -> Any:
    """As the data of an npz whose checksums are right."""
    labels = io.BytesIO()
    np.save(labels, _batch()["labels"])
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("data.npy", (folder / "data.npy").read_bytes())
        archive.writestr("labels.npy", labels.getvalue())
    return _rows(batches.BatchFile(folder / "a.npz"))


def _pickle_seeds() -> list[bytes]:
    batch = _batch() | {"labels": _batch()["labels"].tolist(), "mean": np.zeros(3)}
    large = {"data": np.zeros((30, 192), np.uint8), "labels": list(range(1, 31))}
    return [archives.pickled(each, protocol) for each in (batch, large) for protocol in (3, 4)]


def _read_pickle(folder: Path) -> Any:
    return _rows(batches.BatchFile(folder / "val_data"))


# Tars


def _members(path: Path) -> Any:
    found = scan(path)
    files = list(read_members(path, found.offsets, found.sizes))
    return dict(zip(found.names, files, strict=True)), dict(found.skipped)


def _tar_seeds() -> list[bytes]:
    found = []
    for form in (0, 1, 2):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.tar")
            headers = {"pax_headers": {"comment": "none", "mtime": "1.5"}}
            long = f"val/{'long' * 9}/{'2' * 70}"
            members = [("val/1.png", b"one", headers), ("val/._1.png", b"-", {}), (long, b"two" * 300, {})]
            archives.odd_tar(path, *members, format=form)
            found.append(path.read_bytes())
    return found


def _gzip_seeds() -> list[bytes]:
    inner = sample.tar([("a/", b""), ("a/1.jpeg", b"1" * 700), ("a/2.jpeg", os.urandom(0) + bytes(range(256)))])
    return [gzip.compress(inner, level, mtime=0) for level in (0, 1, 9)]


def _tars_seeds() -> list[bytes]:
    tars = [
        (f"{wnid}.tar", sample.tar([(f"{wnid}_{n}.JPEG", bytes([n]) * 40) for n in range(2)]))
        for wnid in classes.wnids("ilsvrc")[:3]
    ]
    return [sample.tar(tars), sample.tar([(f"./{name}", data) for name, data in tars])]


def _read_tars(folder: Path) -> Any:
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(folder)):
        held = photos.train(folder / TRAIN_TAR)
    return held.photos.names.tolist(), held.photos.offsets.tolist(), held.skipped


# Texts


def _list_seeds() -> list[bytes]:
    names = [f"{wnid}_{n}.JPEG" for wnid in classes.wnids("ilsvrc")[:3] for n in (1, 23)]
    lines = [f"{top}{name}{end}" for top, end in (("", "\n"), ("train/", "\r\n")) for name in names]
    return ["".join(part).encode() for part in (lines[: len(names)], lines[len(names) :])]


@cache
def _truth_seeds() -> list[bytes]:
    return [archives.truth_text(archives.truth_ids())]


@cache
def _devkit_seeds() -> list[bytes]:
    (text,) = _truth_seeds()
    name = f"ILSVRC2012_devkit_t12/data/{TRUTH}"
    return [gzip.compress(sample.tar([(name, text)]), 9, mtime=0)]


def _sidecar_seeds() -> list[bytes]:
    facts = {"bytes": 3, "sha256": "ab" * 32}
    rows = {"imagenet_resized/8x8": {"train": 60, "validation": 20}}
    made = {"8x8": {"key": "0", "files": ["Imagenet8_val_npz.zip"], "unreadable": {"a.JPEG": "cut"}}}
    one = {"origin": "regenerated", "files": {"Imagenet8_val_npz.zip": facts}, "rows": rows, "regenerated": made}
    return [json.dumps(one).encode(), json.dumps({"origin": "sample", "files": {}, "rows": rows}, indent=1).encode()]


def _read_sidecar(folder: Path) -> Any:
    (folder / "Imagenet8_val_npz.zip").write_bytes(b"PK\5")
    place = SourceFolder(folder)
    found = resized.find(resized.config("8x8"), place)
    for archive in found.all():
        checks.check_size(archive, resized.SOURCES.values(), True)
    return place.origin, dict(found.rows), sidecar.read_sidecar(folder / SIDECAR)


# What an earlier run kept: anything goes, if it is taken for none


def _note_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tar")
        path.write_bytes(_tars_seeds()[0])
        index.remember(path, "tars", [*state(path)], scan_tars(path))
        return [index.note(path, "tars").read_bytes()]


def _read_note(folder: Path) -> Any:
    """As the index of a tar and as the note of its digest."""
    path = folder / "a.tar"
    path.write_bytes(b"")
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(folder)):
        for note in (index.note(path, "tars"), digests._memory(path)):
            note.parent.mkdir(parents=True, exist_ok=True)
            (folder / "note").replace(note)
            found = index.remembered(path, "tars", [*state(path)]), digests.remembered_sha256(path)
            note.replace(folder / "note")
    return found == (None, None)


def _receipt_seeds() -> list[bytes]:
    buffer = io.BytesIO()
    facts = {"rows": 1, "bytes": 2, "nbytes": 3, "sha256": "ab" * 32, "counts": [1, 64], "oddities": {"CMYK": 1}}
    zeros = dict.fromkeys(("sums", "squares", "labels", "fingerprints", "first"), np.zeros(3, np.int64))
    np.savez(buffer, facts=np.array(json.dumps(facts)), **zeros)  # type: ignore[arg-type]
    return [buffer.getvalue()]


def _read_receipt(folder: Path) -> Any:
    from publish.build import staging
    from publish.regenerate import chunks

    shard = folder / "train-00000-of-00001.parquet"
    shard.write_bytes(b"..")
    return staging.finished(shard), chunks.load(folder / "train-00000-of-00001.receipt.npz")


# Pictures


def _read_png(folder: Path) -> Any:
    path = folder / "1.png"
    return downsampled._decode(str(path), path.read_bytes(), 32).tobytes()


def _png_seeds() -> list[bytes]:
    return [archives.png(archives.pictures(1, 32, 0)[0])]


def _photo_seeds() -> list[bytes]:
    picture = archives.pictures(1, 48, 0)[0]
    odd = [sample.odd_photo(wnid, 0, picture) for wnid in classes.wnids("ilsvrc")[:4]]
    return [*odd, sample.jpeg(picture)]


def _read_photo(folder: Path) -> Any:
    """As a build decodes it, and as it is made smaller."""
    from loaders.images.photographs import resized

    data = (folder / "a.JPEG").read_bytes()
    rows = pa.record_batch(
        [images([data]), integers(np.array([1])), strings(["a.JPEG"])], names=["image", "label", "file_name"]
    )
    list(measure.damage_of(rows))
    measure.of_batch(Batch(rows))
    try:
        return resized(data, (8, 32), "box")
    except ValueError as error:
        raise Problem(str(error)) from error


# What is read back from the Hub


def _manifest_seeds() -> list[bytes]:
    return [MANIFEST.dump().encode(), json.dumps(json.loads(MANIFEST.dump())).encode()]


def _read_manifest(folder: Path) -> Any:
    """As it is read back and a card made from it."""
    made = manifest.read(folder)
    assert made
    assert manifest.load(made.dump(), "its own dump") == made
    return len(render.render(made, "lab/x")) > 0


@cache
def _card() -> str:
    return render.render(MANIFEST, "lab/x")


@cache
def _newer() -> tuple[Manifest, str]:
    """Return what is to be published next: other counts than the card tells."""
    entry = MANIFEST.configs["8x8"]["train"]
    newer = replace(MANIFEST, configs={"8x8": {"train": replace(entry, duplicates=9)}})
    return newer, render.render(newer, "lab/x")


def _card_seeds() -> list[bytes]:
    head, body = _card().split("---\n", 2)[1:]
    short = MARKED.format(head=head)
    return [_card().encode()[: 1 << 14], short.encode(), f"---\n{head}---\n{body[:400]}".encode(), YAML_OF_PEOPLE]


MARKED = "---\n{head}---\n# Theirs\n<!-- begin measured: sizes -->\nA table.\n<!-- end measured: sizes -->\nProse.\n"
YAML_OF_PEOPLE = (
    b"---\nlicense: other\ntags: &a [x, 'y', 1.5, 2012-05-03, ~]\nmore: *a\n? [1, 2]\n: !odd {b: c}\n---\nProse.\n"
)


def _read_card(folder: Path) -> Any:
    """As publishing merges it, and as `publish.check` holds it against the manifest and the viewer's rules."""
    from publish.repository import shown

    text = (folder / "README.md").read_bytes()
    made, ours = _newer()
    outcome = list[bytes | str]()
    for overwrite in (True, False):
        try:
            new = merge.merged(ours, made, text, MANIFEST, "lab/x/README.md", overwrite)
            segments.read(new.decode(), "what was merged")
            outcome.append(new)
        except Problem as problem:
            outcome.append(str(problem))
    contents = FolderContents(folder)
    for look in (partial(verify._card, contents, made), partial(shown.faults, contents)):
        try:
            look()
        except Problem as problem:
            outcome.append(str(problem))
    return bool(outcome)


def _parquet_seeds() -> list[bytes]:
    from loaders.images import png
    from loaders.images.arrow import images_of_one_length

    pixels = _batch()["data"].reshape(-1, 3, 8, 8)
    columns = [images_of_one_length(png.encode(pixels)), integers(np.arange(4))]
    buffer = io.BytesIO()
    schema = resized.DATASET.schema.with_metadata(None)
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), buffer, write_page_index=True, compression="zstd")
    return [buffer.getvalue()]


def _read_parquet(folder: Path) -> Any:
    """As `publish.check --data` does, and the preview in its other process."""
    from publish.preview import child

    shard = MANIFEST.configs["8x8"]["train"].shards[0]
    contents = FolderContents(folder)
    (folder / "README.md").write_text(_card())
    faults = verify.footers(contents, MANIFEST) or list(verify.data(contents, MANIFEST))
    request = {"path": str(folder / shard.path), "rows": shard.rows, "numbers": [0, 1]}
    answers = child.Answers()
    found = [answers.of(request | {"what": what}, b"")[0] for what in ("names", "rows")]
    data = (folder / shard.path).read_bytes()
    spans = {"size": len(data), "rows": shard.rows, "spans": [(0, len(data))]}
    found.append(answers.of(spans | {"what": "labels"}, data)[0])
    return bool(faults or found)


READERS = {
    reader.name: reader
    for reader in (
        Reader("zip", "Imagenet8_val_npz.zip", _zip_seeds, _read_zip, checked=True),
        Reader(
            "npz", "a.npz", lambda: [_npz(True), _npz(False)], lambda f: _rows(batches.BatchFile(f / "a.npz")), True
        ),
        Reader("npy", "data.npy", _npy_seeds, _read_npy),
        Reader("pickle", "val_data", _pickle_seeds, _read_pickle),
        Reader("tar", "a.tar", _tar_seeds, lambda folder: _members(folder / "a.tar")),
        Reader("tars", TRAIN_TAR, _tars_seeds, _read_tars, longest=1 << 16),
        Reader("gzip", "a.tar.gz", _gzip_seeds, lambda folder: _members(folder / "a.tar.gz"), checked=True),
        Reader("list", "1percent.txt", _list_seeds, lambda folder: lists.read(folder / "1percent.txt")),
        Reader("devkit", DEVKIT, _devkit_seeds, lambda f: layout.truth_labels(f / DEVKIT), True, longest=1 << 18),
        Reader("truth", TRUTH, _truth_seeds, lambda f: layout.truth_labels(f / TRUTH), True, longest=1 << 18),
        Reader("sidecar", SIDECAR, _sidecar_seeds, _read_sidecar),
        Reader("note", "note", _note_seeds, _read_note),
        Reader("receipt", "train-00000-of-00001.receipt.npz", _receipt_seeds, _read_receipt),
        Reader("png", "1.png", _png_seeds, _read_png, checked=True),
        Reader("photo", "a.JPEG", _photo_seeds, _read_photo, memory=700e6),
        Reader("manifest", manifest.NAME, _manifest_seeds, _read_manifest),
        Reader("card", "README.md", _card_seeds, _read_card),
        Reader("parquet", MANIFEST.configs["8x8"]["train"].shards[0].path, _parquet_seeds, _read_parquet),
    )
}
