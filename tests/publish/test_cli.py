"""The command as a person meets it: what it says, its exit codes, and that it never shows a traceback."""

import os
import pty
import re
import select
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import loaders
from loaders.sources.sidecar import SIDECAR
from publish import __main__ as cli
from publish.sample import archives as writers
from publish.sample.sidecar import write_sidecar
from tests.kit import archives, building
from tests.kit.building import publish
from tests.kit.forks import Forked, Job

CONFIGS = [f"{name}/{config.name}" for name in loaders.names() for config in loaders.load(name).DATASET.configs]
TOKEN = "hf_" + "Q" * 34


class TestInThisProcess:
    """Answers that need no build."""

    def said(self, capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
        try:
            found = cli.main([str(argument) for argument in arguments])
        except SystemExit as left:
            found = int(left.code or 0)
        output = capsys.readouterr()
        assert found == code, output
        return output.out + output.err

    def test_list_names_every_config(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.said(capsys, 0, "--list")
        assert re.findall(r"^(\w+/[\w.-]+) ", said, re.MULTILINE) == CONFIGS
        assert "train 1,281,167, validation 50,000" in said
        assert "validation 50,000, test 100,000 (if its archive is there)" in said

    def test_help_tells_every_option(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.said(capsys, 0, "--help")
        assert [o for a in cli._parser()._actions for o in a.option_strings if o not in said] == []
        assert "examples:" in said

    @pytest.mark.parametrize(
        ("word", "near"),
        [
            ("imagenet_resize", "imagenet_resized"),
            ("imagenet_resized/16x61", "imagenet_resized/16x16"),
            ("imagenet_v2/top-images", "imagenet_v2/topimages"),
            ("imagenet_subset/1pct", "imagenet2012_subset/1pct"),
            ("al", "all"),
            ("64x64", "64x64"),
        ],
    )
    def test_an_unknown_config_is_answered_with_the_near_ones(
        self, word: str, near: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        said = self.said(capsys, 2, "--config", word)
        assert word.partition("/")[0] in said
        assert "Did you mean" in said
        assert near in said.partition("Did you mean")[2]

    @pytest.mark.parametrize(
        "word", ["", "/", "zzzzzzzzzz", "all/8x8", "imagenet_resized/8x8/8x8", "../x", "classes", "é"]
    )
    def test_nothing_like_it(self, word: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert "There is no dataset or config" in self.said(capsys, 2, "--config", word)

    @pytest.mark.parametrize(("name", "why"), [("Few", "has other letters"), ("all", "is taken")])
    def test_a_list_that_no_config_can_be_called_like(
        self, name: str, why: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        path = tmp_path / f"{name}.txt"
        said = self.said(capsys, 1, "--config", f"imagenet2012_subset/{name}", "--names", path)
        assert f"{path}: " in said
        assert why in said
        assert "Name the file by small letters and digits" in said

    def test_no_config_at_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "--list" in self.said(capsys, 2)

    @pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", ""])
    def test_workers_that_are_no_number(self, number: str, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.said(capsys, 2, "--config", "all", f"--workers={number}")
        assert "argument --workers" in said
        assert "_positive" not in said  # the name of a function of ours tells nobody anything

    @pytest.mark.keeps("S8")
    def test_all_missing_files_are_told_at_once(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Before the lists and ImageNetV2, which a program may fetch, are downloaded."""
        said = self.said(capsys, 2, "--config", "all", "--source", tmp_path, "--out", tmp_path / "out")
        by_hand = [s for name in loaders.names() for s in loaders.load(name).SOURCES.values() if s.url is None]
        assert len(by_hand) >= 14
        for source in by_hand:
            assert source.name in said
            assert f"{source.bytes:,} bytes, sha256 {source.sha256}" in said
            assert source.page in said
        assert f"{tmp_path}/" in said
        assert "--sample" in said
        assert list(tmp_path.iterdir()) == []

    def test_missing_files_name_the_configs_that_want_them(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        said = self.said(capsys, 2, "--config", "imagenet2012_subset", "--source", tmp_path)
        assert "for imagenet2012_subset/1pct, imagenet2012_subset/10pct" in said
        assert said.count("ILSVRC2012_img_train.tar  (147,897,477,120 bytes") == 1
        assert "imagenet_resized" not in said

    def test_sample_and_source_exclude_each_other(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        said = self.said(capsys, 1, "--config", "all", "--sample", "--source", tmp_path)
        assert "leave --source out" in said

    @pytest.mark.parametrize(
        "more",
        [
            ["--public"],
            ["--tag", "v1", "--remove-local"],
            ["--revision", "next"],
            ["--create-pr"],
            ["--sample", "--allow-sample"],
        ],
    )
    def test_options_about_the_hub_without_it(
        self, more: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        said = self.said(capsys, 1, "--config", "imagenet_resized/8x8", "--out", tmp_path / "out", *more)
        named = ", ".join(word for word in more if word.startswith("--") and word != "--sample")
        assert said == f"error: {named}: nothing is published without --push-to ORG. Add it, or leave the rest out.\n"
        assert list(tmp_path.iterdir()) == []

    def test_a_proposal_opens_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        said = self.said(capsys, 1, "--config", "imagenet_resized/8x8", "--push-to", "lab", "--create-pr", "--public")
        assert "--create-pr only proposes: leave --public out" in said

    def test_a_branch_opens_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        wanted = ("--config", "imagenet_resized/8x8", "--push-to", "lab")
        said = self.said(capsys, 1, *wanted, "--revision", "next", "--public")
        assert "--public opens every branch, and reads back but one" in said

    @pytest.mark.parametrize("kind", ["missing", "file"])
    def test_a_source_that_is_no_folder(self, kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        place = tmp_path / "archives"
        if kind == "file":
            place.write_text("")
        said = self.said(capsys, 1, "--config", "all", "--source", place)
        assert str(place) in said
        assert "expected a folder" in said

    def test_a_dry_run_tells_what_is_missing(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        said = self.said(capsys, 2, "--config", "all", "--source", tmp_path, "--dry-run", "--out", tmp_path / "out")
        for source in (s for name in loaders.names() for s in loaders.load(name).SOURCES.values()):
            (line,) = (line for line in said.splitlines() if line.startswith(f"{source.name} "))
            assert ("downloaded" if source.url else "by hand") in line
        assert {config: 1 for config in CONFIGS if re.search(rf"^{config} .*1,281,1|^{config} ", said, re.MULTILINE)}
        assert list(tmp_path.iterdir()) == []

    def test_a_dry_run_gives_no_size_that_nobody_knows(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        said = self.said(capsys, 2, "--config", "imagenet_resized/8x8-lanczos", "--source", tmp_path, "--dry-run")
        assert "Imagenet8_lanczos_train_npz.zip" in said
        assert "bytes" not in said

    def test_what_can_be_downloaded_is_no_failure_of_a_dry_run(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        said = self.said(capsys, 0, "--config", "imagenet_v2", "--source", tmp_path, "--dry-run")
        assert len(re.findall(r" downloaded +imagenet_v2/", said)) == 3
        assert list(tmp_path.iterdir()) == []

    def test_a_dry_run_tells_what_would_be_built(
        self, capsys: pytest.CaptureFixture[str], sample: Path, tmp_path: Path
    ) -> None:
        before = building.tree(sample)
        said = self.said(capsys, 0, "--config", "all", "--source", sample, "--dry-run", "--out", tmp_path / "out")
        lines = [line.split() for line in said.splitlines()]
        assert [line[:4] for line in lines if line[0] == "imagenet_resized/16x16"] == [
            ["imagenet_resized/16x16", "train", "2,000", "2"],
            ["imagenet_resized/16x16", "validation", "1,000", "1"],
        ]
        assert sorted({line[0] for line in lines if "/" in line[0]}) == sorted(CONFIGS)
        assert not (tmp_path / "out").exists()
        assert building.tree(sample) == before

    @pytest.mark.parametrize(
        "content",
        ["", "[]", "{", "\0", '{"files": 3}', '{"files": {"Imagenet8_train_npz.zip": {}}}', '{"rows": []}'],
    )
    def test_a_sidecar_that_is_none(self, content: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        archives.resized(tmp_path, [8])
        (tmp_path / SIDECAR).write_text(content)
        said = self.said(capsys, 1, "--config", "imagenet_resized/8x8", "--source", tmp_path, "--out", tmp_path / "out")
        assert SIDECAR in said


BROKEN: dict[str, Callable[[Path], object]] = {
    "an empty zip": lambda folder: (folder / "Imagenet8_train_npz.zip").write_bytes(b""),
    "a page": lambda folder: (folder / "Imagenet8_train_npz.zip").write_bytes(b"<!doctype html><html>" + bytes(500)),
    "half a zip": lambda folder: cut(folder / "Imagenet8_train_npz.zip"),
    "labels out of range": lambda folder: writers.write_validation_zip(
        folder, 8, archives.resized_batches(8)[1] | {"labels": archives.labels(20) + 1000}
    ),
}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.keeps("S2", "S4")
@pytest.mark.parametrize(("fault", "workers"), [*((fault, 1) for fault in BROKEN), ("labels out of range", 2)])
def test_bad_archives_are_told_without_a_traceback(fault: str, workers: int, tmp_path: Path) -> None:
    folder, out = tmp_path / "archives", tmp_path / "out"
    folder.mkdir()
    archives.resized(folder, [8])
    BROKEN[fault](folder)
    said = publish("--config", "imagenet_resized/8x8", "--source", folder, "--out", out, "--allow-partial",
                   "--workers", workers, code=1)  # fmt: skip
    assert said.startswith(f"error: {folder}/Imagenet8_")
    assert building.tree(out) == {}
    assert building.leftovers(out) == []


@pytest.mark.keeps("S11", "S24")
@pytest.mark.parametrize("fault", ["cut", "PostScript", "huge"])
def test_a_damaged_photograph_in_a_sound_tar_is_named(fault: str, tmp_path: Path) -> None:
    """PostScript is what Pillow would hand to Ghostscript."""
    folder, out = tmp_path / "archives", tmp_path / "out"
    folder.mkdir()
    archives.subset(folder)
    photo = writers.jpeg(archives.pictures(1, 64, 0)[0])
    place = photo.index(b"\xff\xc0") + 5  # height and width
    harmed = {
        "cut": photo[: len(photo) // 2],
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
        "huge": photo[:place] + b"\x23\x28\x23\x28" + photo[place + 4 :],
    }
    writers.write_ilsvrc_validation(folder, [(7, photo), (9, harmed[fault])])
    said = publish("--config", "imagenet2012_subset/1pct", "--source", folder, "--out", out, "--allow-partial",
                   "--workers", 1, code=1)  # fmt: skip
    why = {"cut": "truncated", "PostScript": "neither a JPEG nor a PNG", "huge": "it claims 9000 x 9000 pixels"}
    assert "ILSVRC2012_val_00000009.JPEG: expected an image that can be decoded whole, but" in said
    assert why[fault] in said
    assert building.tree(out) == {}


@pytest.mark.keeps("S1")
def test_a_wrong_digest_is_told_and_nothing_is_put_in_place(tmp_path: Path) -> None:
    """The archive has the right size and opens: only its digest tells."""
    folder, out = tmp_path / "archives", tmp_path / "out"
    folder.mkdir()
    archives.resized(folder, [8])
    write_sidecar(folder, "sample", {"imagenet_resized/8x8": archives.SPLITS})
    path = folder / "Imagenet8_val_npz.zip"
    data = bytearray(path.read_bytes())
    data[data.index(b"val_data.npz") + 10] ^= 0  # the same bytes: the build passes
    path.write_bytes(data)
    wanted = ("--config", "imagenet_resized/8x8", "--source", folder, "--workers", 1)
    publish(*wanted, "--out", tmp_path / "good")
    stamp = data.rindex(b"PK\x01\x02") + 12
    data[stamp] ^= 1  # the time of day in the zip's directory, which no reader looks at
    path.write_bytes(data)
    said = publish(*wanted, "--out", out, code=1)
    assert f"error: {path}: expected SHA-256" in said
    assert building.tree(out) == {}


# Without `datasets`


DOES = {
    "a worker": "import publish.build.staging, publish.work.processes",
    "--help": "from publish.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    "--list": "main(['--list'])",
    "an unknown config": "main(['--config', 'nothing'])",
    "a build": "import publish.build.run, publish.build.plan, publish.sample.archives",
}


def test_datasets_is_not_imported(tmp_path: Path) -> None:
    slow = "{'datasets', 'pandas', 'torch', 'fsspec', 'httpx'}"
    told = [f"{code}\nprint('slow:', {what!r}, {slow} & set(sys.modules))" for what, code in DOES.items()]
    done = building.run(sys.executable, "-c", "\n".join(["import sys", *told]), cwd=tmp_path)
    found = [line for line in done.stdout.splitlines() if line.startswith("slow: ")]
    assert found == [f"slow: {what} set()" for what in DOES], done.stdout + done.stderr


# What is seen of long work


SMALL = ("--config", "imagenet_resized/8x8", "--config", "imagenet_resized/16x16")


def test_output_is_plain_when_it_is_no_terminal(sample: Path, tmp_path: Path) -> None:
    said = publish(*SMALL, "--source", sample, "--out", tmp_path / "out", "--workers", 2)
    assert "\x1b" not in said
    assert "\r" not in said
    assert "images/s" in said.splitlines()[-1] or "images/s" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("imagenet_resized  ")]
    assert [row[:5] for row in rows] == [
        ["imagenet_resized", f"{size}x{size}", split, *counts]
        for size in (8, 16)
        for split, counts in (("train", ("2,000", "2")), ("validation", ("1,000", "1")))
    ]
    assert f"6,000 images, {sum_of_shards(tmp_path / 'out')} in {tmp_path}/out/" in said


def sum_of_shards(out: Path) -> str:
    from publish.console.progress import megabytes

    return megabytes(sum(path.stat().st_size for path in out.rglob("*.parquet")))


def test_a_terminal_shows_images_a_second(sample: Path, tmp_path: Path) -> None:
    words = [*SMALL, "--source", str(sample), "--out", str(tmp_path / "out"), "--workers", "1"]
    driver, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, 120))
    process = Forked(building.forks(), Job("publish", words, os.ttyname(terminal), {"TERM": "xterm"}))
    shown = read_terminal(driver, process)
    os.close(terminal)
    assert process.wait(10) == 0, shown
    assert re.search(r"\d images/s", shown)
    assert re.search(r"6\.00k/6\.00k.*written", shown)
    assert "\r" in shown


def read_terminal(driver: int, process: Forked) -> str:
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([driver], [], [], 0.1)[0]:
            shown += os.read(driver, 1 << 16)
        elif process.poll() is not None:
            break
    os.close(driver)
    return shown.decode()


@pytest.mark.keeps("P2")
def test_a_token_is_never_printed(sample: Path, tmp_path: Path) -> None:
    commands = [
        (("--help",), 0),
        (("--list",), 0),
        (("--config", "imagenet_resized/8x8", "--source", sample, "--out", tmp_path / "out", "--workers", 1), 0),
        (("--config", "imagenet_resized/8x8", "--source", tmp_path, "--out", tmp_path / "out"), 2),
        (("--config", "imagenet_resized/8x8", "--source", sample, "--out", "/proc/nowhere"), 1),
    ]
    for arguments, code in commands:
        assert TOKEN not in publish(*arguments, code=code, HF_TOKEN=TOKEN, HUGGING_FACE_HUB_TOKEN=TOKEN)
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
