"""What goes wrong with originals, disks and processes is said plainly and leaves no half of a file."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loaders import SourceProblem
from loaders.formats.photos import Photos
from loaders.sources.sidecar import SIDECAR
from publish.console.progress import Progress
from publish.regenerate import __main__ as regenerate
from publish.regenerate.run import run
from publish.regenerate.settings import Settings
from publish.sample import archives
from publish.work.lock import locked
from publish.work.processes import Processes
from tests.kit import contract
from tests.kit.building import tree
from tests.kit.refusals import cut, says
from tests.kit.regenerating import Originals, final_files, lay_folders, lay_tars, plain_pillow, sidecar, train_zips


def attempt(source: Path, out: Path, *options: object) -> int:
    words = ["--source", source, "--out", out, "--workers", 1, "--sizes", 8, *options]
    return regenerate.main([str(word) for word in words])


def refused(source: Path, out: Path, capsys: pytest.CaptureFixture[str], *parts: object, code: int = 1) -> None:
    """Hold that a run ends with that exit code, one line that holds all parts, and nothing under a final name.

    Where files are missing there are more: what is there, and the forms that are taken.
    """
    before = final_files(out)
    assert attempt(source, out) == code
    error = capsys.readouterr().err
    says(error, *parts)
    assert error.startswith("error: ")
    assert code == 2 or error.count("\n") == 1
    assert final_files(out) == before


def files_of(out: Path) -> dict[str, str]:
    return {name: sha for name, sha in tree(out).items() if name.endswith(".zip")}


# Originals that are replaced


class Changing(Progress):
    """Does something before the photographs are read, and before what was made of them is packed."""

    def __init__(self, reading: Callable[[], object], packing: Callable[[], object]) -> None:
        super().__init__()
        self._reading, self._packing = reading, packing

    def expect(self, rows: int) -> None:
        super().expect(rows)
        self._reading()

    def at(self, what: str) -> None:
        self._packing()


def regenerated(source: Path, out: Path, reading: Callable[[], object], packing: Callable[[], object]) -> None:
    run(Settings(source, out, (8,)), Processes(1), Changing(reading, packing))


@pytest.mark.keeps("S27")
@pytest.mark.parametrize("name", ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"])
@pytest.mark.parametrize("when", [0, 1])
def test_a_tar_that_is_replaced(when: int, name: str, originals: Originals, tmp_path: Path) -> None:
    folder = lay_tars(tmp_path / "in", originals)
    steps: list[Callable[[], object]] = [lambda: None, lambda: None]
    steps[when] = lambda: os.utime(folder / name)
    with pytest.raises(SourceProblem, match=f"{name}: was replaced or written to"):
        regenerated(folder, tmp_path / "out", *steps)
    assert final_files(tmp_path / "out") == []


@pytest.mark.keeps("S27")
def test_a_photograph_that_is_replaced_before_it_is_read(
    originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_folders(tmp_path / "in", originals)
    stamped = Photos.stamped

    def asked_after(self: Photos) -> tuple[Photos, str]:
        found = stamped(self)
        os.utime(self.root / self.places[3])
        return found

    monkeypatch.setattr(Photos, "stamped", asked_after)
    with pytest.raises(SourceProblem, match=r"/n01440764_\d+\.JPEG: was replaced or written to while it was read"):
        regenerated(folder, tmp_path / "out", lambda: None, lambda: None)
    assert final_files(tmp_path / "out") == []


# Photographs


def broken(originals: Originals, names: dict[str, bytes]) -> Originals:
    train = {
        wnid: {name: names.get(name, file) for name, file in photos.items()} for wnid, photos in originals.train.items()
    }
    return Originals(train, originals.validation)


def two_names(originals: Originals) -> list[str]:
    return [name for name, _, _ in originals.rows("train")][100:102]


def damaged(originals: Originals) -> Originals:
    """Cut one photograph short, and put a web page in the place of another."""
    one, other = two_names(originals)
    files = {name: file for name, file, _ in originals.rows("train")}
    return broken(originals, {one: files[one][: len(files[one]) // 2], other: b"<html>not found</html>"})


@pytest.mark.keeps("S24")
def test_an_unreadable_photograph_is_named(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_tars(tmp_path / "in", damaged(originals))
    refused(tmp_path / "in", tmp_path / "out", capsys, two_names(originals)[0], "truncated", "--allow-damaged")


def test_unreadable_photographs_are_left_out_counted_and_listed(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_tars(tmp_path / "in", damaged(originals))
    assert attempt(tmp_path / "in", tmp_path / "out") == 1
    capsys.readouterr()
    assert attempt(tmp_path / "in", tmp_path / "out", "--allow-damaged") == 0
    said = capsys.readouterr()
    says(said.err, *two_names(originals), "truncated", "neither a JPEG nor a PNG", "left out: 2 in all")
    kept = [row for row in originals.rows("train") if row[0] not in two_names(originals)]
    batches = [batch for _, batch in train_zips(tmp_path / "out", 8)]
    found = [(row.tobytes(), int(n)) for b in batches for row, n in zip(b["data"], b["labels"], strict=True)]
    assert sorted(found) == sorted((plain_pillow(file, 8), label) for _, file, label in kept)
    total = [sum(row[pixel] for row, _ in found) for pixel in range(192)]
    assert batches[0]["mean"].tolist() == [pixel / len(kept) for pixel in total]
    facts = sidecar(tmp_path / "out")
    assert facts["rows"]["imagenet_resized/8x8"]["train"] == len(kept)
    assert sorted(facts["regenerated"]["8x8"]["unreadable"]) == two_names(originals)
    (train, validation) = contract.plans("imagenet_resized", "8x8", tmp_path / "out")
    assert [sum(plan.skipped.values()) for plan in (train, validation)] == [2, 0]


def test_a_run_without_leave_does_not_take_what_leave_made(originals: Originals, tmp_path: Path) -> None:
    lay_tars(tmp_path / "in", damaged(originals))
    assert attempt(tmp_path / "in", tmp_path / "out", "--allow-damaged") == 0
    before = files_of(tmp_path / "out")
    assert attempt(tmp_path / "in", tmp_path / "out") == 1
    assert files_of(tmp_path / "out") == before


def half(file: bytes) -> bytes:
    """Return half of a photograph with an end mark, of which libjpeg makes a picture."""
    return file[: len(file) // 2] + b"\xff\xd9"


@pytest.mark.keeps("S28")
def test_a_damaged_photograph_is_taken_with_leave_alone(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = two_names(originals)[0]
    (file,) = [file for each, file, _ in originals.rows("train") if each == name]
    lay_tars(tmp_path / "in", broken(originals, {name: half(file)}))
    refused(tmp_path / "in", tmp_path / "out", capsys, "1 of 207 photographs damaged", name, "--allow-damaged")
    assert attempt(tmp_path / "in", tmp_path / "out", "--allow-damaged") == 0
    says(capsys.readouterr().err, f"damaged: {name}: Corrupt JPEG data", "damaged: 1 in all")
    rows = [row.tobytes() for _, batch in train_zips(tmp_path / "out", 8) for row in batch["data"]]
    assert len(rows) == len(originals.rows("train"))
    assert plain_pillow(half(file), 8) in rows
    facts = sidecar(tmp_path / "out")["regenerated"]["8x8"]
    assert (list(facts["damaged"]), facts["unreadable"]) == ([name], {})
    (train, validation) = contract.plans("imagenet_resized", "8x8", tmp_path / "out")
    assert ([*train.damaged], [*validation.damaged]) == ([name], [])
    before = files_of(tmp_path / "out")
    assert attempt(tmp_path / "in", tmp_path / "out") == 1
    assert files_of(tmp_path / "out") == before
    assert attempt(tmp_path / "in", tmp_path / "out", "--allow-damaged") == 0
    assert "there already" in capsys.readouterr().out


# Archives and folders


@pytest.mark.keeps("S8")
def test_originals_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    refused(tmp_path / "in", tmp_path / "out", capsys, "train and validation", "ILSVRC2012_img_train.tar", code=2)
    refused(tmp_path / "none", tmp_path / "out", capsys, "none", "--source", code=2)
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    refused(tmp_path / "in", tmp_path / "mine", capsys, "train and validation", code=2)
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.keeps("S3")
def test_a_tar_cut_between_two_members(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_tars(tmp_path / "in", originals)
    tar = tmp_path / "in" / "ILSVRC2012_img_train.tar"
    first = next(iter(originals.train.values()))
    cut(tar, 512 + len(archives.tar(list(first.items()))))
    refused(tmp_path / "in", tmp_path / "out", capsys, tar, "without the end mark")
    lay_tars(tmp_path / "in", originals)
    tar = tmp_path / "in" / "ILSVRC2012_img_val.tar"
    size = len(next(iter(originals.validation.values())))
    cut(tar, 512 + -(-size // 512) * 512)
    refused(tmp_path / "in", tmp_path / "out", capsys, tar, "without the end mark")


Members = list[tuple[str, bytes]]


def inner(change: Callable[[str, Members], Members]) -> Callable[[Members], Members]:
    """Return a change to the outer tar that changes what its first inner tar holds."""

    def changed(outer: Members) -> Members:
        wnid = outer[0][0].removesuffix(".tar")
        return [(outer[0][0], archives.tar(change(wnid, [(f"{wnid}_{n}.JPEG", b"x") for n in range(3)]))), *outer[1:]]

    return changed


def up_to_the_second_member(tar: bytes) -> bytes:
    return tar[: 512 + -(-int(tar[124:135], 8) // 512) * 512]


@pytest.mark.keeps("S14", "S15")
@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda outer: [*outer, outer[0]], ["n01440764.tar", "more than once"]),
        (lambda outer: [*outer, ("./" + outer[0][0], outer[0][1])], ["n01440764_1.JPEG", "more than once"]),
        (lambda outer: [*outer, ("images.tar", outer[0][1])], ["images.tar", "n01440764.tar"]),
        (lambda outer: [*outer, ("n00000001.tar", outer[0][1])], ["n00000001.tar", "one tar a class"]),
        (inner(lambda wnid, files: [*files, files[0]]), ["n01440764_0.JPEG", "more than once"]),
        (inner(lambda wnid, files: [*files, ("n01443537_1.JPEG", b"x")]), ["n01440764.tar", "n01443537_1.JPEG"]),
        (inner(lambda wnid, files: [*files, ("a.txt", b"x")]), ["n01440764.tar", "a.txt"]),
        (inner(lambda wnid, files: files), ["n01440764_0.JPEG", "cannot be decoded"]),
        (lambda outer: [(outer[0][0], up_to_the_second_member(outer[0][1])), *outer[1:]], ["end mark", "cut short"]),
        (lambda outer: [], ["holds no photographs"]),
    ],
    ids=[
        "inner tar twice", "one class twice", "no wnid", "unknown wnid", "photo twice", "other class", "no photo",
        "no JPEG", "inner cut", "empty",
    ],
)  # fmt: skip
def test_train_tars_that_are_not_ilsvrcs(
    change: Callable[[Members], Members],
    parts: list[str],
    originals: Originals,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lay_tars(tmp_path / "in", originals)
    outer = [(f"{wnid}.tar", archives.tar(list(photos.items()))) for wnid, photos in originals.train.items()]
    (tmp_path / "in" / "ILSVRC2012_img_train.tar").write_bytes(archives.tar(change(outer)))
    refused(tmp_path / "in", tmp_path / "out", capsys, *parts)


def test_validation_that_is_not_ilsvrcs(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_tars(tmp_path / "in", originals)
    for name in ("ILSVRC2012_val_00050001.JPEG", "cat.jpg"):
        (tmp_path / "in" / "ILSVRC2012_img_val.tar").write_bytes(archives.tar([(name, b"x")]))
        refused(tmp_path / "in", tmp_path / "out", capsys, "ILSVRC2012_img_val.tar", name)


def test_folders_that_are_not_ilsvrcs(originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = lay_folders(tmp_path / "in", originals, nested=True)
    (one, other) = sorted((source / "val").iterdir())[:2]
    (moved,) = one.iterdir()
    moved.rename(other / moved.name)
    refused(source, tmp_path / "out", capsys, moved.name, one.name, other.name)
    (other / moved.name).rename(moved)
    (source / "train" / "cats").mkdir()
    refused(source, tmp_path / "out", capsys, "cats", "one folder a class")


def test_a_link_to_a_photograph_that_is_nowhere(
    originals: Originals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = lay_folders(tmp_path / "in", originals)
    path = next((source / "val").iterdir())
    path.unlink()
    path.symlink_to(tmp_path / "removed")
    refused(source, tmp_path / "out", capsys, path, "a link to what is not there", "Mend or remove it")


# The folder that the files go to


def test_a_folder_with_files_of_others_is_left_alone(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Imagenet16_val_npz.zip").write_bytes(b"upstream's")
    refused(source, tmp_path, capsys, tmp_path, "Imagenet16_val_npz.zip", "--out")
    assert [path.name for path in tmp_path.iterdir()] == ["Imagenet16_val_npz.zip"]


@pytest.mark.keeps("B13")
@pytest.mark.parametrize(
    ("form", "link"),
    [
        ("npz", "Imagenet8_val_npz.zip"),
        ("npz", SIDECAR),
        ("npz", ".partial"),
        ("pickle", "Imagenet8_train"),
        ("pickle", "Imagenet8_val/val_data"),
    ],
)
def test_a_link_that_a_file_would_replace_is_refused(
    form: str, link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the work: the photographs need not even be there."""
    place = tmp_path / "out" / link
    place.parent.mkdir(parents=True)
    (tmp_path / "in").mkdir()
    place.symlink_to(tmp_path / "big")
    assert attempt(tmp_path / "in", tmp_path / "out", "--format", form) == 1
    says(capsys.readouterr().err, f"error: {place}: is a link to", tmp_path / "big", "--out")
    assert place.is_symlink()


@pytest.mark.keeps("B13")
def test_out_may_be_a_link_but_to_nowhere(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "big")
    refused(source, tmp_path / "out", capsys, f"{tmp_path / 'out'}: is a link to", "Is its disk mounted?")
    (tmp_path / "big").mkdir()
    assert attempt(source, tmp_path / "out") == 0
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "big" / "Imagenet8_val_npz.zip").is_file()


@pytest.mark.keeps("S12")
def test_a_sidecar_that_lists_files_elsewhere_removes_none(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of an earlier regeneration are removed before new ones take their place."""
    out, name = tmp_path / "out", "../precious"
    out.mkdir()
    (tmp_path / "precious").write_text("of a person")
    facts = {"bytes": 11, "sha256": "0" * 64}
    made = {"8x8": {"key": "", "unreadable": {}, "files": [name]}}
    content = {"origin": "regenerated", "files": {name: facts}, "rows": {}, "regenerated": made}
    (out / SIDECAR).write_text(json.dumps(content))
    refused(source, out, capsys, out / SIDECAR, "../precious")
    assert (tmp_path / "precious").read_text() == "of a person"


@pytest.mark.keeps("B5")
def test_two_runs_do_not_share_a_folder(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(tmp_path):
        refused(source, tmp_path, capsys, "another run", "--out")


@pytest.mark.keeps("B1")
def test_a_disk_without_room_is_noticed_at_the_start(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    refused(source, tmp_path, capsys, tmp_path, " are free")


# What a terminal shows


def test_a_bar_is_shown_once_there_are_photographs_to_do(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not over an error, nor over what is there already."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "out", capsys, "no photographs", code=2)
    for bar in (True, False):
        assert attempt(source, tmp_path / "out") == 0
        assert ("images/s" in capsys.readouterr().err) is bar
