"""The subset from folders: the shards of the tars, a card that says so, builds that notice what changed; and test."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

import loaders
from loaders.sources.source import Archive, Expected
from publish import manifest
from publish.build import plan
from publish.build.entry import _source
from publish.build.plan import SplitBuild
from publish.manifest import Manifest, SourceEntry
from publish.repository import verify
from publish.repository.contents import FolderContents
from tests.kit import archives, building
from tests.kit.archives import LAYOUTS
from tests.kit.building import COMMAND, Tree, build, leftovers, make, publish, tree, undecoded
from tests.kit.pushing import Desk, contents, is_whole

DATASET = "imagenet2012_subset"
WANTED = ("--config", DATASET)
SOURCE_FACTS = {"README.md", "manifest.json"}


def laid_out(folder: Path, *, test: bool = True, **layout: object) -> archives.Laid:
    laid = archives.subset(make(folder), test=test)
    archives.unpack(folder, **layout)  # type: ignore[arg-type]
    return laid


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both configs built from the tars, test among them. Not to be changed."""
    folder = tmp_path_factory.mktemp("tars")
    build(archives.subset(make(folder / "in"), test=True), folder / "out", *WANTED)
    return folder / "out" / DATASET


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same from folders. Not to be changed."""
    folder = tmp_path_factory.mktemp("flat")
    build(laid_out(folder / "in"), folder / "out", *WANTED)
    return folder / "out" / DATASET


def manifest_of(folder: Path) -> Manifest:
    read = manifest.read(folder)
    assert read is not None
    return read


def files_of(folder: Path) -> dict[str, str]:
    return {path: sha256 for path, sha256 in tree(folder).items() if path not in SOURCE_FACTS}


def measured(folder: Path) -> list[tuple[object, ...]]:
    """Return all that a manifest says of the rows, and nothing of what they were made from."""
    return [
        (e.shards, e.mean, e.deviation, e.duplicates, e.labels, e.oddities, e.pictures)
        for e in manifest_of(folder).entries()
    ]


# Equal to the tars


@pytest.mark.keeps("B9")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_give_the_shards_of_the_tars(layout: str, tars: Path, flat: Path, tmp_path: Path) -> None:
    found = flat
    if layout != "flat":
        build(laid_out(tmp_path / "in", **LAYOUTS[layout]), tmp_path / "out", *WANTED, "--workers", 2)
        found = tmp_path / "out" / DATASET
    assert {path.partition("/")[0] for path in files_of(tars)} >= {"1pct", "10pct", "validation", "test"}
    assert files_of(found) == files_of(tars)
    assert measured(found) == measured(tars)


@pytest.mark.keeps("S22", "S23")
def test_odd_photographs_in_folders_are_counted(flat: Path) -> None:
    text = (flat / "README.md").read_text(encoding="utf-8")
    for config in ("1pct", "10pct"):
        for kind in ("CMYK", "PNG under the name .JPEG", "greyscale", "rotated by its EXIF orientation"):
            assert f"| `{config}` | train | {kind} | 1 |" in text


# What is said of the source


def test_the_card_says_that_it_was_folders(tars: Path, flat: Path) -> None:
    told = [(path / "README.md").read_text(encoding="utf-8") for path in (tars, flat)]
    assert ["**From unpacked folders.**" in text for text in told] == [False, True]
    assert ["The SHA-256 of a folder is" in text for text in told] == [False, True]
    sources = {source.name: source for entry in manifest_of(flat).entries() for source in entry.sources}
    verified = {name: source.verified for name, source in sources.items() if name.endswith("/")}
    counts = {"train/": 62, "val/": 31, "test/": 30}  # of train, what both lists name
    assert verified == {name: f"names and images of {count} files" for name, count in counts.items()}
    assert {s.origin for name, s in sources.items() if name.endswith("/")} == {"folder"}
    for name in ("train/", "val/", "test/"):
        assert f"| `{name}` | {sources[name].bytes:,} | `{sources[name].sha256}` | folder |" in told[1]


@pytest.mark.keeps("S1")
def test_a_tar_of_another_size_was_not_verified(tars: Path) -> None:
    """Also the one that is too large to be hashed each time."""
    read = manifest_of(tars)
    found = {source.name: source.verified for entry in read.entries() for source in entry.sources}
    assert found.pop(archives.TEST_TAR) == "rows"  # of which nobody published a size
    assert found == dict.fromkeys(found, "nothing")
    assert "ILSVRC2012_img_train.tar" in found
    (notice,) = re.findall(r"> \*\*Not verified:\*\* (.*) differ from", (tars / "README.md").read_text())
    assert set(notice.split(", ")) == set(found)


@pytest.mark.parametrize(("size", "verified"), [(7, "size, index and images"), (8, "nothing")])
def test_what_is_said_of_a_tar_that_was_not_hashed(size: int, verified: str, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(7))
    archive = Archive.found(tmp_path / "a.tar", Expected(size, "0" * 64, "upstream", hashed=False))
    assert _source(archive, None) == SourceEntry("a.tar", 7, None, "upstream", verified)


def test_the_digest_of_a_folder_is_that_of_the_lines_of_sha256sum(flat: Path) -> None:
    folder = flat.parents[1] / "in" / "val"
    names = sorted(path.name for path in folder.iterdir())
    lines = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    (source, *_) = manifest_of(flat).configs["1pct"]["validation"].sources
    assert source.sha256 == hashlib.sha256(lines).hexdigest()
    assert source.bytes == sum((folder / name).stat().st_size for name in names)


def test_folders_of_a_sample_are_a_sample(sample: Path, tmp_path: Path) -> None:
    """A sidecar vouches for what was unpacked beside it, too: no leave is needed, and the card says what it is."""
    folder = make(tmp_path / "in")
    for path in [*sample.glob("ILSVRC*"), *sample.glob("*percent.txt"), sample / "imagenet-variants.json"]:
        shutil.copy(path, folder)
    archives.unpack(folder)
    publish("--config", f"{DATASET}/1pct", "--source", folder, "--out", tmp_path / "out")
    text = (tmp_path / "out" / DATASET / "README.md").read_text(encoding="utf-8")
    assert "**This is a sample.**" in text
    assert "From unpacked folders" not in text


# Again


def plans(folder: Path) -> dict[str, SplitBuild]:
    made = plan.make(loaders.select([DATASET]), folder, True)
    return {split.name[len(DATASET) + 1 :]: split for split in made.splits}


def words(folder: Path) -> dict[str, tuple[str, str]]:
    """Return (key of this machine, fingerprint) of each split."""
    return {
        name: (split.local_key(), split.fingerprint({a: a.sha256() for a in split.plan.archives}))
        for name, split in plans(folder).items()
    }


TRAIN, VALIDATION, TEST = {"1pct train", "10pct train"}, {"validation"}, {"test"}
CHANGES: dict[str, tuple[Callable[[Path], object], set[str], set[str]]] = {
    "nothing": (lambda folder: None, set(), set()),
    "a photograph touched": (lambda folder: os.utime(listed(folder), (1, 1)), TRAIN, set()),
    "a photograph changed": (lambda folder: changed(listed(folder)), TRAIN, TRAIN),
    "one not on the list changed": (lambda folder: changed(listed(folder, 102)), set(), set()),
    "one of the longer list changed": (lambda folder: changed(listed(folder, 101)), {"10pct train"}, {"10pct train"}),
    "validation changed": (lambda folder: changed(min((folder / "val").iterdir())), VALIDATION, VALIDATION),
    "one less of test": (lambda folder: min((folder / "test").iterdir()).unlink(), TEST, TEST),
}  # fmt: skip


def listed(folder: Path, number: int = 100) -> Path:
    return folder / "train" / "n01440764" / f"n01440764_{number}.JPEG"


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) - 10] ^= 1  # of what is in it: behind the end of a tar, anything is refused
    path.write_bytes(data)


@pytest.mark.keeps("S1")
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_with_a_file(change: str, tmp_path: Path) -> None:
    """The key with names, sizes and times, which cost no reading; the fingerprint with the content, and that alone."""
    harm, other_keys, other_fingerprints = CHANGES[change]
    folder = laid_out(tmp_path / "in").folder
    before = words(folder)
    harm(folder)
    after = words(folder)
    assert {name for name in before if before[name][0] != after[name][0]} == other_keys
    assert {name for name in before if before[name][1] != after[name][1]} == other_fingerprints


def test_a_copy_elsewhere_has_the_same_fingerprint(tmp_path: Path) -> None:
    folder = laid_out(tmp_path / "in").folder
    copy = Path(shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile))
    for path in (copy / "val").iterdir():
        os.utime(path, (1, 1))
    one, two = words(folder), words(copy)
    assert {name: fingerprint for name, (_, fingerprint) in one.items()} == {n: f for n, (_, f) in two.items()}


def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    laid, out = laid_out(tmp_path / "in"), tmp_path / "out"
    build(laid, out, *WANTED)
    before = tree(out)
    os.utime(listed(laid.folder), (1, 1))
    said = build(laid, out, *WANTED)
    assert said.count("there already") == 6
    assert tree(out) == before
    min((laid.folder / "val").iterdir()).unlink()
    said = build(laid, out, *WANTED)
    assert said.count("there already") == 4
    assert building.rows_of(out, "1pct", "validation", DATASET) == len(laid.rows["1pct"]["validation"]) - 1


# Test, which may be there or not


def test_a_plain_reader_gets_test_unlabelled(flat: Path) -> None:
    for config in ("1pct", "10pct"):
        stream = datasets.load_dataset(str(flat), config, split="test", streaming=True)
        rows = list(undecoded(stream))
        assert len(rows) == 30
        assert {row["label"] for row in rows} == {-1}
        assert {row["file_name"] for row in rows} > {"ILSVRC2012_test_00100000.JPEG"}
    assert {config: list(splits) for config, splits in manifest_of(flat).configs.items()} == {
        config: ["train", "validation", "test"] for config in ("1pct", "10pct")
    }
    assert manifest_of(flat).configs["1pct"]["test"] == manifest_of(flat).configs["10pct"]["test"]


def test_a_repository_with_test_is_checked_whole(flat: Path) -> None:
    folder, found = FolderContents(flat), manifest_of(flat)
    assert verify.files(folder, found) + verify.footers(folder, found) + list(verify.data(folder, found)) == []
    assert verify.resolves(folder, found) == []


def test_test_comes_and_goes_with_its_archive(tmp_path: Path) -> None:
    laid, out = laid_out(tmp_path / "in", test=False), tmp_path / "out"
    build(laid, out, *WANTED)
    without = tree(out)
    assert [path for path in without if "test" in path] == []
    assert "split: test" not in (out / DATASET / "README.md").read_text(encoding="utf-8")
    test = archives.subset(make(tmp_path / "other"), test=True)
    shutil.copy(test.folder / archives.TEST_TAR, laid.folder)
    said = build(laid, out, *WANTED)
    assert said.count("there already") == 4
    assert building.rows_of(out, "10pct", "test", DATASET) == 30
    assert "split: test" in (out / DATASET / "README.md").read_text(encoding="utf-8")
    (laid.folder / archives.TEST_TAR).unlink()
    said = build(laid, out, *WANTED)
    assert said.count("no archive for its test split now, so it goes") == 2  # of each config
    assert tree(out) == without


def test_test_comes_and_goes_on_the_hub(desk: Desk) -> None:
    """Pushed with its archive and then without: one commit each, nothing of it left behind, nothing sent again."""
    laid = laid_out(desk.folder / "in")
    desk.push(config=DATASET, source=laid.folder)
    repo = desk.repo(DATASET)
    assert is_whole(repo)
    assert {path.partition("/")[0] for path in contents(repo)} >= {"1pct", "10pct", "validation", "test"}
    kept = {path: sha256 for path, sha256 in contents(repo).items() if "test" not in path and path not in SOURCE_FACTS}
    shutil.rmtree(laid.folder / "test")
    said = desk.push(config=DATASET, source=laid.folder)
    assert said.text.count("commit ") == 1
    assert is_whole(repo)
    assert {path: sha256 for path, sha256 in contents(repo).items() if path not in SOURCE_FACTS} == kept


def test_a_dry_run_tells_of_test_when_it_is_there(tmp_path: Path) -> None:
    laid = laid_out(tmp_path / "in")
    said = build(laid, tmp_path / "out", *WANTED, "--dry-run")
    assert [line.split()[:3] for line in said.splitlines()[2:]] == [
        [f"{DATASET}/{config}", split, str(count)]
        for config, split, count in (
            ("1pct", "train", 31), ("1pct", "validation", 31), ("10pct", "validation", 31), ("1pct", "test", 30),
            ("10pct", "test", 30), ("10pct", "train", 62),
        )
    ]  # fmt: skip


# What cannot be built


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def refused(laid: archives.Laid, out: Path, *options: object) -> str:
    said = build(laid, out, "--config", f"{DATASET}/1pct", *options, code=1)
    assert said.startswith("error: ")
    assert tree(out) == {}
    assert leftovers(out) == []
    return said


@pytest.mark.keeps("S24")
@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("shape", ["tars", "folders"])
def test_a_corrupt_photograph_is_named(shape: str, split: str, tmp_path: Path) -> None:
    laid = laid_out(tmp_path / "in")
    path = listed(laid.folder) if split == "train" else min((laid.folder / split).iterdir())
    broken(path)
    if shape == "tars":
        pack(laid.folder)
    said = refused(laid, tmp_path / "out")
    assert path.name in said
    assert "expected an image that can be decoded whole" in said


def pack(folder: Path) -> None:
    """Put tars in the place of folders again."""
    from publish.sample import archives as sample

    def members(place: Path) -> list[tuple[str, bytes]]:
        return [(path.name, path.read_bytes()) for path in sorted(place.iterdir())]

    tars = [(f"{place.name}.tar", sample.tar(members(place))) for place in sorted((folder / "train").iterdir())]
    (folder / "ILSVRC2012_img_train.tar").write_bytes(sample.tar(tars))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(sample.tar(members(folder / "val")))
    (folder / archives.TEST_TAR).write_bytes(sample.tar(members(folder / "test")))
    for name in ("train", "val", "test"):
        shutil.rmtree(folder / name)


def test_an_unlabelled_shard_with_a_label_is_found(flat: Path, tmp_path: Path) -> None:
    """The classes of test are counted as those of any split: there are none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = Path(shutil.copytree(flat, tmp_path / "copy"))
    (shard, *_) = sorted((copy / "test").iterdir())
    table = pq.read_table(shard)
    labelled = table.set_column(1, table.schema.field("label"), pa.array([5] * table.num_rows, pa.int64()))
    pq.write_table(labelled, shard)
    found = list(verify.data(FolderContents(copy), manifest_of(copy)))
    assert found == [
        f"{config} test: the classes are not distributed as the manifest says" for config in ("1pct", "10pct")
    ]


@pytest.mark.keeps("B1")
@pytest.mark.parametrize("shape", ["tars", "folders"])
def test_a_disk_that_is_full_in_the_middle_of_a_shard(shape: str, tmp_path: Path) -> None:
    """As a quota would have it."""
    laid = laid_out(tmp_path / "in")
    if shape == "tars":
        pack(laid.folder)
    where = ["--source", laid.folder, "--out", tmp_path / "out", "--allow-partial", "--workers", 1]
    done = building.run(*COMMAND, *WANTED, *where, largest_file=16_000)
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(tmp_path / "out") == {}
    assert leftovers(tmp_path / "out") == []


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, tars: Path) -> None:
    """Finished shards are taken up again: a photograph mended, nothing else is built anew."""
    laid, out = laid_out(tmp_path / "in"), tmp_path / "out"
    path = max((laid.folder / "test").iterdir())
    whole = path.read_bytes()
    broken(path)
    build(laid, out, "--config", f"{DATASET}/1pct", code=1)
    kept = {p.name: p.stat().st_ino for p in (out / ".partial").rglob("*.parquet")}
    assert kept
    path.write_bytes(whole)
    build(laid, out, "--config", f"{DATASET}/1pct")
    found = {p.name: p.stat().st_ino for p in (out / DATASET).rglob("*.parquet")}
    assert {name: found[name] for name in kept} == kept
    every = manifest.read(tars)
    assert every
    entries = [*every.configs["1pct"].values()]
    ours = {p for e in entries for p in (*e.pictures, *(shard.path for shard in e.shards))} | set(every.files)
    assert files_of(out / DATASET) == {path: sha256 for path, sha256 in files_of(tars).items() if path in ours}


@pytest.mark.keeps("S1")
def test_an_archive_that_was_verified_stays_so(tmp_path: Path) -> None:
    """The digest of a tar that is hashed only when asked for: a run that does not ask has no other content."""
    laid, out = archives.subset(make(tmp_path / "in")), tmp_path / "out"
    wanted = ("--config", f"{DATASET}/1pct")
    said = [build(laid, out, *wanted, *more) for more in ((), ("--verify", "full"))]
    tar, sha256 = laid.folder / "ILSVRC2012_img_train.tar", digest_of(laid.folder / "ILSVRC2012_img_train.tar")
    assert [text.count("there already") for text in said] == [0, 1]  # who knows what the first was made from
    assert told_of(out, tar.name) == {sha256}
    before = tree(out)
    assert build(laid, out, *wanted).count("there already") == 2
    assert build(laid, out, *wanted, "--verify", "full").count("there already") == 2
    assert tree(out) == before
    changed(tar)
    assert build(laid, out, *wanted, "--verify", "full").count("there already") == 1
    assert told_of(out, tar.name) == {digest_of(tar)}


@pytest.mark.keeps("S1")
def test_an_archive_that_took_the_place_of_another_is_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same size and names inside, as one that was downloaded again is; and not hashed."""
    laid, out = archives.subset(make(tmp_path / "in")), tmp_path / "out"
    wanted = ("--config", f"{DATASET}/1pct")
    build(laid, out, *wanted)
    assert build(laid, out, *wanted).count("there already") == 2
    before = shards_of(out)
    tar = laid.folder / "ILSVRC2012_img_train.tar"
    data = bytearray(tar.read_bytes())
    data[data.index(b"\xff\xd9") - 3] ^= 1  # of the first photograph
    tar.write_bytes(data)
    assert build(laid, out, *wanted).count("there already") == 1
    build(laid, tmp_path / "straight", *wanted)
    assert shards_of(out) == shards_of(tmp_path / "straight") != before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert build(laid, out, *wanted).count("there already") == 1  # who knows what train was made from
    assert build(laid, out, *wanted).count("there already") == 2


def shards_of(out: Path) -> Tree:
    return {path: sha256 for path, sha256 in tree(out).items() if path.endswith(".parquet")}


def told_of(out: Path, name: str) -> set[str | None]:
    sources = [source for entry in manifest_of(out / DATASET).entries() for source in entry.sources]
    return {source.sha256 for source in sources if source.name == name}


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
