"""Photographs that libjpeg warns about: refused where they are many or much, admitted by name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from loaders import Problem
from loaders.images.jpeg import Damage
from publish import manifest
from publish.build import plan
from publish.build.run import Options, run
from publish.console import damage
from publish.repository import verify
from publish.repository.contents import FolderContents
from publish.repository.folder import Folder
from publish.work.processes import Processes
from tests.kit import archives
from tests.kit.building import make, tree

DATASET = "imagenet2012_subset"
PHOTO = "val/ILSVRC2012_val_"


def lay(folder: Path, lacking: Sequence[float]) -> list[str]:
    """Lay out folders, cut the last of so many photographs of validation by these parts, and return their names."""
    archives.subset(make(folder))
    archives.unpack(folder)
    paths = sorted((folder / "val").iterdir())[: len(lacking)]
    for path, part in zip(paths, lacking, strict=True):
        file = path.read_bytes()
        path.write_bytes(file[: int(len(file) * (1 - part)) - 2] + b"\xff\xd9")
    return [path.name for path in paths]


def built(folder: Path, out: Path, *, allowed: bool) -> manifest.Manifest:
    made = plan.make({DATASET: ["1pct"]}, folder, True)
    out.mkdir(exist_ok=True)
    run(made, Options(out, Processes(1), partial=True, allow_damaged=allowed), Folder(out))
    found = manifest.read(out / DATASET)
    assert found
    return found


@pytest.mark.keeps("S28")
def test_damaged_photographs_are_refused_without_leave_and_named_with_it(tmp_path: Path) -> None:
    (name,) = lay(tmp_path / "in", [0.2])
    with pytest.raises(Problem, match=rf"validation: 1 of 31 .* damaged, such as {name} .*--allow-damaged"):
        built(tmp_path / "in", tmp_path / "out", allowed=False)
    assert tree(tmp_path / "out") == {}
    found = built(tmp_path / "in", tmp_path / "out", allowed=True)
    entry = found.configs["1pct"]["validation"]
    assert list(entry.damaged) == [name]
    assert entry.damaged[name].lacking > 0.1
    assert found.configs["1pct"]["train"].damaged == {}
    text = (tmp_path / "out" / DATASET / "README.md").read_text(encoding="utf-8")
    assert "| `1pct` | validation | damaged: libjpeg warns, `manifest.json` names them; 1 lack rows | 1 |" in text
    assert "Every photograph was decoded whole when this was built" in text


@pytest.mark.keeps("S28")
def test_what_leave_built_is_not_taken_without_it(tmp_path: Path) -> None:
    lay(tmp_path / "in", [0.2])
    built(tmp_path / "in", tmp_path / "out", allowed=True)
    with pytest.raises(Problem, match="photographs damaged"):
        built(tmp_path / "in", tmp_path / "out", allowed=False)
    built(tmp_path / "in", tmp_path / "out", allowed=True)


@pytest.mark.keeps("S28")
def test_a_check_of_the_data_finds_damage_that_nobody_admitted(tmp_path: Path) -> None:
    (name,) = lay(tmp_path / "in", [0.2])
    found = built(tmp_path / "in", tmp_path / "out", allowed=True)
    contents = FolderContents(tmp_path / "out" / DATASET)
    assert list(verify.data(contents, found)) == []
    silent = replace(found.configs["1pct"]["validation"], damaged={})
    (fault,) = verify.data(contents, replace(found, configs={"1pct": {"validation": silent}}))
    assert f"{name}: is damaged, and the manifest does not say so (Corrupt JPEG data" in fault


# How much takes leave


def of(count: int, lacking: float = 0.0) -> dict[str, Damage]:
    return {f"{n}.JPEG": Damage("Corrupt JPEG data", lacking) for n in range(count)}


@pytest.mark.keeps("S28")
@pytest.mark.parametrize(
    ("damaged", "photos", "much"),
    [
        (of(0), 1, False),
        (of(1), 1000, False),
        (of(1), 999, True),
        (of(1281), 1_281_167, False),
        (of(1282), 1_281_167, True),
        (of(1, 0.09), 1000, False),
        (of(1, 0.1), 1_281_167, True),
    ],
)
def test_one_in_a_thousand_or_a_tenth_of_one(damaged: dict[str, Damage], photos: int, much: bool) -> None:
    assert damage.is_much(damaged, photos) == much


def test_the_first_twenty_are_told_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    damage.tell(of(21, 0.25), "damaged", "manifest.json")
    lines = capsys.readouterr().err.splitlines()
    assert lines[19] == "damaged: 19.JPEG: Corrupt JPEG data; lacks 25% of its rows"
    assert lines[20:] == ["damaged: 21 in all; manifest.json lists them"]
    damage.tell({}, "damaged", "manifest.json")
    assert capsys.readouterr().err == ""
