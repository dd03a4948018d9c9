"""`publish.check`: what is whole is said to be so, and each kind of fault is found, in a folder and on the Hub."""

import hashlib
import importlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.kit.hub import Fault
from tests.kit.pushing import CONFIG, Desk, Starts, flip, flipped

TRAIN, VALIDATION = "8x8/train-00000-of-00002.parquet", "8x8/validation-00000-of-00001.parquet"


@pytest.fixture
def desk(starts: Starts, tmp_path: Path) -> Iterator[Desk]:
    """At which a repository was built into a folder, and then published as v1."""

    def publish(desk: Desk) -> None:
        here = ["--config", CONFIG, "--source", desk.archives, "--allow-partial", "--out", desk.out, "--workers", 1]
        desk.run("publish", *here)
        desk.push("--tag", "v1")

    with starts.desk("checked", tmp_path / "desk", publish) as desk:
        yield desk


@pytest.fixture
def folder(desk: Desk) -> Path:
    """The folder."""
    return desk.out / "imagenet_resized"


@pytest.mark.parametrize("data", [(), ("--data",)])
def test_a_folder_that_is_right(data: tuple[str, ...], folder: Path, desk: Desk) -> None:
    said = desk.run("publish.check", folder, *data)
    checked = "files, digests, rows, columns, card, viewer" + (", every image" if data else "")
    assert said.text.strip().splitlines()[-1] == f"{folder}: 10 files, 80 rows; checked {checked}: all right"
    assert not said.requests


@pytest.mark.parametrize("data", [(), ("--data",)])
def test_a_repository_that_is_right(data: tuple[str, ...], desk: Desk) -> None:
    said = desk.run("publish.check", desk.name(), "--revision", "v1", *data)
    assert said.text.strip().endswith("all right")
    assert {request.method for request in said.requests} <= {"GET", "HEAD", "POST"}


def rewritten(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


def with_other_columns(folder: Path) -> None:
    rewritten(folder / VALIDATION, pq.read_table(folder / VALIDATION).replace_schema_metadata(None))


def with_fewer_rows(folder: Path) -> None:
    rewritten(folder / VALIDATION, pq.read_table(folder / VALIDATION).slice(1))


def with_a_picture_of_other_bytes(folder: Path) -> None:
    flip(folder / "pictures" / "mean-8x8-train.png")


def with_an_edited_count(folder: Path) -> None:
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("num_examples: 60", "num_examples: 61"))


def without_a_shard(folder: Path) -> None:
    (folder / TRAIN).unlink()


def with_a_stray_shard(folder: Path) -> None:
    (folder / "8x8" / "train-00002-of-00003.parquet").write_bytes((folder / TRAIN).read_bytes())


def with_a_cut_shard(folder: Path) -> None:
    data = (folder / TRAIN).read_bytes()
    (folder / TRAIN).write_bytes(data[: len(data) // 2])


def with_a_flipped_bit(folder: Path) -> None:
    flip(folder / TRAIN)


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (with_a_flipped_bit, f"{TRAIN}: expected SHA-256"),
    (with_a_cut_shard, f"{TRAIN}: cannot be read as Parquet"),
    (without_a_shard, f"{TRAIN}: is in the manifest, but not there"),
    (with_a_stray_shard, "8x8/train-00002-of-00003.parquet: lies among the data, but is not in the manifest"),
    (with_an_edited_count, "README.md: dataset_info is not what the manifest says"),
    (with_fewer_rows, f"{VALIDATION}: expected 20 rows, found 19"),
    (with_other_columns, f"{VALIDATION}: expected the columns"),
    (with_a_picture_of_other_bytes, "pictures/mean-8x8-train.png: expected SHA-256"),
]
every_fault = pytest.mark.parametrize(("harm", "found"), FAULTS, ids=[harm.__name__ for harm, _ in FAULTS])


@pytest.mark.keeps("B12", "P15")
@every_fault
def test_a_fault_in_a_folder(harm: Callable[[Path], None], found: str, folder: Path, desk: Desk) -> None:
    harm(folder)
    said = desk.run("publish.check", folder, code=1)
    assert f"wrong: {found}" in said.text
    assert " fault" in said.text.splitlines()[-1]


@pytest.mark.keeps("B12", "P15")
@every_fault
def test_a_fault_on_the_hub(harm: Callable[[Path], None], found: str, folder: Path, desk: Desk) -> None:
    """The same, committed by someone."""
    before = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    (folder / "README.md").write_bytes(desk.repo().read("README.md"))
    harm(folder)
    after = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    changes: dict[str, bytes | None] = {path: (folder / path).read_bytes() for path in after}
    desk.hub.commit(desk.name(), changes | dict.fromkeys(before - after - {"manifest.json"}))
    said = desk.run("publish.check", desk.name(), code=1)
    assert f"wrong: {found}" in said.text


@pytest.mark.keeps("P16")
def test_a_bit_that_the_storage_lost(desk: Desk) -> None:
    """The Hub still lists the right digest: only who reads the bytes can know."""
    file = desk.repo().files()[VALIDATION]
    assert file.sha256
    with flipped(desk.hub.store.path(file.sha256)):
        said = desk.run("publish.check", desk.name(), code=1)
    assert f"wrong: {VALIDATION}: expected SHA-256 {file.sha256}, found" in said.text


def lying(folder: Path, image: bytes) -> None:
    """Put an image into a shard, and let the manifest and the card say that this is right."""
    from publish import manifest
    from publish.card import render

    table = pq.read_table(folder / VALIDATION)
    rows = table.to_pylist()
    rows[3]["image"]["bytes"] = image
    pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / VALIDATION, write_page_index=True)
    content = json.loads((folder / "manifest.json").read_text())
    shard = content["configs"]["8x8"]["validation"]["shards"][0]
    shard |= {
        "sha256": hashlib.sha256((folder / VALIDATION).read_bytes()).hexdigest(),
        "bytes": (folder / VALIDATION).stat().st_size,
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    read = manifest.read(folder)
    assert read
    (folder / "README.md").write_text(render.render(read))


def png(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size)).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_are_decoded_when_asked(folder: Path, desk: Desk) -> None:
    lying(folder, png(8)[:45])
    assert desk.run("publish.check", folder).text.strip().endswith("all right")
    said = desk.run("publish.check", folder, "--data", code=1)
    assert f"wrong: 8x8 validation: {VALIDATION}: " in said.text


@pytest.mark.parametrize("place", ["no-such-folder", "a/b/c", "nobody/nothing"])
def test_a_place_that_is_none(place: str, desk: Desk) -> None:
    said = desk.run("publish.check", place, code=1)
    assert said.text.strip() == f"error: {place}: expected a folder, or ORG/NAME on the Hub; it is neither."


def test_what_is_missing_is_told_once(folder: Path, desk: Desk) -> None:
    without_a_shard(folder)
    said = desk.run("publish.check", folder, code=1)
    assert [line for line in said.text.splitlines() if line.startswith("wrong: ")] == [
        f"wrong: {TRAIN}: is in the manifest, but not there",
    ]


@pytest.mark.parametrize("command", ["publish.check", "publish.restore", "publish.withdraw", "publish.preview"])
def test_stopped_by_the_keyboard(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("publish.hub.client.Repository.settings", stop)
    monkeypatch.setattr("publish.hub.client.Repository.head", stop)
    monkeypatch.setattr("sys.stdin", io.StringIO("lab/set\n"))
    words = ["v1"] if command == "publish.restore" else []
    module = f"{command}.__main__" if command == "publish.preview" else command
    assert importlib.import_module(module).main(["lab/set", *words]) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_a_revision_that_is_none(desk: Desk) -> None:
    assert "has no revision v9" in desk.run("publish.check", desk.name(), "--revision", "v9", code=1).text


def test_a_folder_that_is_not_ours(tmp_path: Path, desk: Desk) -> None:
    assert "expected a manifest.json, found none" in desk.run("publish.check", tmp_path, code=1).text


@pytest.mark.keeps("S12")
@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "8x8/../../x", "8x8//x", "./x"])
def test_a_listing_that_leads_out_of_the_repository(path: str, desk: Desk) -> None:
    """As no git has it: of a Hub that is none, or whose answers somebody changes."""
    commit = desk.repo().refs.find("main")
    desk.repo().refs.move("main", replace(commit, files={**commit.files, path: commit.files["README.md"]}))
    said = desk.run("publish.check", desk.name(), code=1)
    assert said.text.strip().endswith(f"lists the file {path!r}, which leads out of the repository.")


# The viewer


@pytest.mark.keeps("P22")
def test_a_viewer_that_shows_every_split(desk: Desk) -> None:
    said = desk.run("publish.check", desk.name(), "--viewer", "0")
    assert said.text.splitlines()[-1] == f"{desk.name()}: the viewer shows every split"
    asked = [request.query for request in said.requests if request.path == "/is-valid"]
    assert [(q["config"], q["split"]) for q in asked] == [(["8x8"], ["train"]), (["8x8"], ["validation"])]


@pytest.mark.keeps("P22")
def test_a_viewer_that_comes_to_it_is_waited_for(desk: Desk) -> None:
    desk.hub.inject(Fault(path="/is-valid", nth=2, times=2, status=500, headers={"X-Error-Code": "ResponseNotReady"}))
    said = desk.run("publish.check", desk.name(), "--viewer", "60", hurry=1000.0)
    assert said.text.count("the viewer has 1 splits to do") == 2
    assert len([request for request in said.requests if request.path == "/is-valid"]) == 4


@pytest.mark.keeps("P22")
@pytest.mark.parametrize(
    ("fault", "lack"),
    [
        ({"status": 500, "headers": {"X-Error-Code": "UnexpectedError"}}, "it answers 500 UnexpectedError"),
        ({"status": 404}, "it answers 404"),
        ({"status": 200}, "no preview, no viewer, no statistics"),
        ({"cut": "before"}, "no answer (RemoteProtocolError)"),
    ],
)
def test_a_viewer_that_does_not_come_to_it_has_an_exit_code_of_its_own(
    fault: dict[str, object], lack: str, desk: Desk
) -> None:
    desk.hub.inject(Fault(path="/is-valid", times=0, **fault))  # type: ignore[arg-type]
    said = desk.run("publish.check", desk.name(), "--viewer", "0.01", code=3)
    assert f"viewer: 8x8 train: {lack}\nviewer: 8x8 validation: {lack}\n" in said.text
    assert said.text.splitlines()[-1] == f"{desk.name()}: the viewer shows not yet every split"


@pytest.mark.keeps("P22")
def test_a_viewer_of_an_older_revision_is_not_believed(desk: Desk) -> None:

    def move(_: object) -> None:
        desk.hub.commit(desk.name(), {"NOTES.md": b"By a person.\n"})

    desk.hub.inject(Fault(path="/is-valid", hook=move))
    said = desk.run("publish.check", desk.name(), "--viewer", "0", code=3)
    assert "viewer: 8x8 train: it still shows an older revision" in said.text


def test_a_folder_has_no_viewer(folder: Path, desk: Desk) -> None:
    assert "--viewer: the viewer shows the main branch" in desk.run("publish.check", folder, "--viewer", 1, code=1).text


def test_a_folder_that_is_misspelt_is_told_before_the_hub_is_asked(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    said = desk.run("publish.check", "hub/imagenet_resize", code=1, cwd=str(tmp_path))
    assert said.text.startswith("hub/imagenet_resize: there is no such folder in hub/, so the Hub is asked for it\n")
