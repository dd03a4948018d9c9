"""Lists drawn from the train photographs of ILSVRC: balanced, and the same whatever these lie in."""

from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from loaders import SourceProblem
from loaders.ilsvrc import lists
from publish import lists as command
from tests.kit import archives, building
from tests.kit.refusals import says

NAMES = [f"{wnid}_{n}.JPEG" for wnid, count in {"n01440764": 30, "n01443537": 20, "n01484850": 50}.items()
         for n in range(count)]  # fmt: skip


@pytest.mark.parametrize(
    ("percent", "counts"), [("3", [1, 1, 1]), ("5.9", [1, 2, 2]), ("10", [3, 3, 4]), ("60", [20, 20, 20])]
)
def test_a_share_is_rounded_down_and_balanced(percent: str, counts: list[int]) -> None:
    drawn = lists.share(NAMES, Fraction(percent), 0)
    assert sorted(Counter(name.partition("_")[0] for name in drawn).values()) == counts
    assert drawn == sorted(drawn)
    assert set(drawn) <= set(NAMES)


def test_a_draw_is_the_same_everywhere() -> None:
    drawn = lists.per_class(NAMES, 2, 0)
    assert drawn == lists.per_class(reversed(NAMES), 2, 0)
    assert drawn == DRAWN
    assert lists.per_class(NAMES, 2, 1) != drawn
    assert set(drawn) < set(lists.per_class(NAMES, 3, 0))  # more have all of fewer
    assert set(lists.share(NAMES, Fraction(10), 0)) < set(lists.share(NAMES, Fraction(20), 0))


DRAWN = [
    "n01440764_10.JPEG", "n01440764_28.JPEG", "n01443537_15.JPEG",
    "n01443537_3.JPEG", "n01484850_20.JPEG", "n01484850_34.JPEG",
]  # fmt: skip


@pytest.mark.parametrize(("drawn", "count"), [(lambda: lists.per_class(NAMES, 21, 0), 21),
                                              (lambda: lists.share(NAMES, Fraction(63), 0), 21)])  # fmt: skip
def test_a_class_that_has_not_as_many_is_named(drawn: object, count: int) -> None:
    with pytest.raises(SourceProblem, match=f"n01443537 has 20 photographs, .* takes {count}.* Draw fewer"):
        drawn()  # type: ignore[operator]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same photographs in ILSVRC's tar, and in folders."""
    folders = [tmp_path_factory.mktemp(name) for name in ("tar", "folders")]
    for folder in folders:
        archives.subset(folder)
    archives.unpack(folders[1])
    return folders


def draw(source: Path, out: Path, capsys: pytest.CaptureFixture[str], *options: object, code: int = 0) -> str:
    found = command.main([str(each) for each in ("--source", source, "--out", out, *options)])
    said = "".join(capsys.readouterr())
    assert found == code, said
    return said


def test_every_form_gives_the_same_list(
    sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = [building.make(tmp_path / folder.name) / "few.txt" for folder in sources]
    said = [draw(source, out, capsys, "--per-class", 1) for source, out in zip(sources, outs, strict=True)]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    says(
        said[0],
        f"{outs[0]}: ",
        "1 a class",
        "sha256 ",
        f"--config imagenet2012_subset/few --names {outs[0]}",
        "warning",
    )
    assert len(lists.read(outs[0])) == len({name.partition("_")[0] for name in lists.read(outs[0])})
    assert "sha256" in draw(sources[0], outs[0], capsys, "--per-class", 1)  # the same again
    said_of_another = draw(sources[0], outs[0], capsys, "--per-class", 1, "--seed", 1, code=1)
    says(said_of_another, str(outs[0]), "is another list")


def test_what_cannot_be_drawn(sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says(draw(sources[0], tmp_path / "my-list.txt", capsys, "--per-class", 1, code=1), "such as few.txt")
    says(draw(sources[0], tmp_path / "few.txt", capsys, "--per-class", 900, code=1), "takes 900 of each class")
    says(draw(sources[0], tmp_path / "few.txt", capsys, "--percent", "0.001", code=1), "less than one")
    said = draw(tmp_path, tmp_path / "few.txt", capsys, "--per-class", 1, code=2)
    says(said, "no photographs of train there")
    assert "--sample" not in said  # this command has none
    assert list(tmp_path.iterdir()) == []
    for percent in ("0", "101", "1e1", "-5"):
        with pytest.raises(SystemExit):
            command.main(["--source", str(sources[0]), "--out", "few.txt", "--percent", percent])
