"""Where a person may point --out and --source: followed, or refused before any work."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from datasets import load_dataset

from loaders import Problem
from loaders.files import places
from loaders.ilsvrc import photos
from loaders.sources.sidecar import SIDECAR
from publish import __main__ as publish
from publish import check, lists, show
from publish.preview import place as preview
from publish.regenerate import __main__ as regenerate
from publish.repository.compose import check_loadable
from publish.repository.folder import Folder
from tests.kit import building
from tests.kit.building import environment, run

CONFIG = "imagenet_resized/8x8"
WANTED = {"imagenet_resized": ["8x8"]}
Command = Callable[[Sequence[str]], int]


def built(sample: Path, out: Path) -> str:
    return building.publish("--config", CONFIG, "--source", sample, "--out", out, "--workers", 1)


def archives(sample: Path, folder: Path, *names: str) -> Path:
    """Lay out a part of the sample, as its sidecar knows it."""
    folder.mkdir(parents=True)
    for path in (each for name in (*names, SIDECAR) for each in sample.glob(name)):
        (folder / path.name).symlink_to(path)
    return folder


# Links


@pytest.mark.keeps("B13")
def test_out_may_be_a_link_to_a_bigger_disk(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "hub").symlink_to("big")
    assert "3,000 built now" in built(sample, tmp_path / "hub")
    assert "nothing left to build" in built(sample, tmp_path / "hub")
    assert (tmp_path / "hub").is_symlink()
    assert len(list((tmp_path / "big/imagenet_resized/8x8").iterdir())) == 3


@pytest.mark.keeps("B13")
@pytest.mark.parametrize("link", ["imagenet_resized", "imagenet_resized/8x8", "imagenet_resized/pictures", ".partial"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_that_a_folder_would_replace_is_refused(link: str, there: bool, tmp_path: Path) -> None:
    big = tmp_path / "big"
    if there:
        big.mkdir()
    (tmp_path / "hub" / link).parent.mkdir(parents=True)
    (tmp_path / "hub" / link).symlink_to(big)
    with pytest.raises(Problem, match=rf"hub/{link}: is a link to .*/big, in whose place what is made would be put"):
        Folder(tmp_path / "hub").prepare(WANTED)
    (tmp_path / "hub" / link).rename(tmp_path / "hub" / "notes")  # a link of a person's own
    Folder(tmp_path / "hub").prepare(WANTED)


@pytest.mark.parametrize("out", ["hub", "hub/a/b"])
def test_a_link_to_nowhere_is_refused(out: str, tmp_path: Path) -> None:
    (tmp_path / "hub").symlink_to("unmounted")
    with pytest.raises(Problem, match=r"hub: is a link to unmounted, and nothing is there. Is its disk mounted\?"):
        Folder(tmp_path / out).prepare(WANTED)


@pytest.mark.parametrize("out", ["file", "file/a"])
@pytest.mark.parametrize("name", ["publish", "regenerate"])
def test_a_file_in_the_place_of_the_folder_is_refused(
    out: str, name: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    command, words = {"publish": (publish.main, ["--config", CONFIG]), "regenerate": (regenerate.main, [])}[name]
    assert command([*words, "--source", str(sample), "--out", str(tmp_path / out)]) == 1
    assert f"error: {tmp_path}/file: is no folder, expected one to write to" in capsys.readouterr().err


def test_a_disk_mounted_within_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final, stat = tmp_path / "hub" / "imagenet_resized", Path.stat
    final.mkdir(parents=True)

    def mounted(path: Path, **how: bool) -> os.stat_result:
        found = stat(path, **how)
        return os.stat_result((*found[:2], found.st_dev + (path == final), *found[3:10]))

    monkeypatch.setattr(Path, "stat", mounted)
    with pytest.raises(Problem, match=r"imagenet_resized: lies on another disk than .*hub"):
        Folder(tmp_path / "hub").prepare(WANTED)


def test_the_refusal_comes_before_the_work(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "imagenet_resized").symlink_to(tmp_path / "big")
    assert publish.main(["--config", CONFIG, "--source", str(sample), "--out", str(tmp_path / "hub")]) == 1
    assert "is a link to" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["big", "hub", "imagenet_resized"]


FILES: dict[str, tuple[Command, Callable[[Path], list[object]]]] = {
    "x.png": (show.main, lambda source: [source / "Imagenet8_val_npz.zip", "--images", 1]),
    "few.txt": (lists.main, lambda source: ["--source", source, "--per-class", 1]),
}


@pytest.mark.keeps("B13")
@pytest.mark.parametrize("name", FILES)
def test_a_file_to_write_may_be_a_link(
    name: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A link is followed, and one to nowhere, a folder, a device or a file for a folder refused before the work."""
    command, words = FILES[name]
    (tmp_path / "big").mkdir()
    (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    out, there = tmp_path / name, tmp_path / "big" / name

    def made(place: Path) -> int:
        return command([*map(str, words(sample)), "--out", str(place)])

    out.symlink_to(there.relative_to(tmp_path))
    there.touch() if command is show.main else there.write_bytes(drawn(sample, tmp_path / "other.txt"))
    assert made(out) == 0
    assert out.is_symlink()
    assert there.stat().st_size
    there.unlink()
    monkeypatch.setattr(show, "_read", None)
    monkeypatch.setattr(photos, "train", None)
    capsys.readouterr()
    (tmp_path / "gone").symlink_to("unmounted")
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / name)
    for place, said in {
        out: f"{out}: is a link to big/{name}, and nothing is there. Is its disk mounted?",
        tmp_path / "gone" / name: f"{tmp_path}/gone: is a link to unmounted, and nothing is there",
        tmp_path / "folder" / name: f"{tmp_path}/folder/{name}: is a folder, expected the name of a file",
        tmp_path / "pipes" / name: f"{tmp_path}/pipes/{name}: is no file, expected the name of a file",
        tmp_path / "file" / name: f"{tmp_path}/file: is no folder, expected one to write to",
    }.items():
        assert made(place) == 1
        assert f"error: {said}" in capsys.readouterr().err
    assert not there.exists()


def drawn(source: Path, out: Path) -> bytes:
    assert lists.main(["--source", str(source), "--per-class", "1", "--out", str(out)]) == 0
    return out.read_bytes()


# Names


@pytest.mark.keeps("B13")
@pytest.mark.parametrize("command", [publish.main, regenerate.main, show.main], ids=["publish", "regenerate", "show"])
@pytest.mark.parametrize("option", ["--out", "--source"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "expected a name, got an empty one"),
        ("a\udcff", "b'a\\xff': expected a name in UTF-8"),
        ("~nobody-here/x", "~nobody-here/x: no home folder is known for that"),
    ],
)
def test_a_name_that_is_none(
    name: str, said: str, option: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [name] if (command, option) == (show.main, "--source") else [f"{option}={name}"]
    with pytest.raises(SystemExit) as left:
        command(words)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("find", [lambda name: check.main([name]), lambda name: preview.find(name, "main")])
def test_a_repository_without_a_name(find: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert find("") == 1
        said = capsys.readouterr().err
    except Problem as problem:
        said = str(problem)
    assert "expected a name, got an empty one" in said


@pytest.mark.keeps("B13")
def test_the_home_folder_is_meant_by_a_tilde(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert places.place("~/hub") == places.local("~/hub") == tmp_path / "home" / "hub"
    assert places.place("./~/hub") == Path("~/hub")
    monkeypatch.chdir(tmp_path)
    archives(sample, tmp_path / "home" / "archives", "Imagenet8_*")
    assert publish.main(["--config", CONFIG, "--source=~/archives", "--out=~/hub", "--workers=1"]) == 0
    assert check.main(["~/hub/imagenet_resized"]) == 0
    assert show.main(["~/hub/imagenet_resized/8x8", "--out=~/x.png"]) == 0
    assert (tmp_path / "home" / "x.png").is_file()
    assert not (tmp_path / "~").exists()


LOADED = ["a b", "%20", "a:b", "#", "-a", "a.py", "json", "parquet", "{a}", "a,b", "ä", ".a", "a\\b", "train"]
NOT_LOADED = ["a[b]", "[", "a*", "a?", "a::b", "a\udcff"]


@pytest.mark.keeps("B13")
def test_a_folder_that_would_not_be_loaded_is_refused(sample: Path, tmp_path: Path) -> None:
    """What `load_dataset` does, is asked of it: what is refused fails, or finds others' files; the rest loads."""
    built(sample, tmp_path / "hub")
    for name in LOADED:
        check_loadable(tmp_path / name)
        shutil.copytree(tmp_path / "hub", tmp_path / name)
        found = load_dataset(str(tmp_path / name / "imagenet_resized"), "8x8", streaming=True)
        assert {split: len(list(rows.take(2))) for split, rows in found.items()} == {"train": 2, "validation": 2}
    for name in NOT_LOADED:
        with pytest.raises(Problem, match="`load_dataset` does not find what lies there"):
            check_loadable(tmp_path / name)
    for name in ("a[b]", "a::b"):
        shutil.copytree(tmp_path / "hub", tmp_path / name)
        with pytest.raises(FileNotFoundError):
            load_dataset(str(tmp_path / name / "imagenet_resized"), "8x8", streaming=True)


# From a checkout that is not installed


@pytest.mark.keeps("B14")
def test_a_build_from_a_checkout_that_is_not_installed(sample: Path, tmp_path: Path) -> None:
    hidden = (
        "import sys; from importlib import metadata; find = metadata.version\n"
        "def version(name):\n"
        "    if name == 'imagenet-variants': raise metadata.PackageNotFoundError(name)\n"
        "    return find(name)\n"
        "metadata.version = version\n"
        "from publish.__main__ import main; sys.exit(main())"
    )
    words = ["--config", CONFIG, "--source", sample, "--out", tmp_path / "hub", "--workers", 1]
    done = run(sys.executable, "-c", hidden, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# A download that fails


@pytest.mark.keeps("B16")
def test_what_needs_no_download_is_built(sample: Path, tmp_path: Path) -> None:
    """Offline, without the lists of the subset, and with the rest: one list is there, and V2 is."""
    source = archives(sample, tmp_path / "archives", "Imagenet8_*", "ILSVRC*", "1percent.txt")
    there = building.tree(source)
    env = environment(HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9", XDG_CACHE_HOME=str(tmp_path / "cache"))
    words = ["--source", source, "--out", tmp_path / "hub", "--workers", 1]
    wanted = ["--config", "imagenet2012_subset", "--config", CONFIG]
    done = run(sys.executable, "-m", "publish", *wanted, *words, env=env)
    assert done.returncode == 2, done.stderr
    assert "imagenet2012_subset/10pct is left out: 10percent.txt: expected to download it from" in done.stderr
    assert done.stderr.endswith("not built, for want of a download: imagenet2012_subset/10pct\n")
    assert {path.name for path in (tmp_path / "hub/imagenet2012_subset").glob("*pct")} == {"1pct"}
    assert (tmp_path / "hub/imagenet_resized/8x8").is_dir()
    assert building.tree(source) == there
    alone = run(sys.executable, "-m", "publish", "--config", "imagenet2012_subset/10pct", *words, env=env)
    assert alone.returncode == 2
    assert alone.stderr.startswith("error: 10percent.txt: expected to download it from")
