"""Lists of train photographs: read in the shapes that people have them in, and told what is wrong with one."""

from pathlib import Path

import pytest

from loaders import SourceProblem
from loaders.ilsvrc import lists
from tests.kit.refusals import says

NAMES = ["n01443537_3.JPEG", "n01440764_18.JPEG", "n01440764_2.JPEG"]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "few.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "n01443537_3.JPEG\nn01440764_18.JPEG\nn01440764_2.JPEG\n",
        "\ufeffn01443537_3.JPEG\r\nn01440764_18.JPEG\r\n\r\nn01440764_2.JPEG",
        " n01443537_3.jpg \nn01440764_18.jpeg\nn01440764_2_n01440764.JPEG\n",
        "train/n01443537/n01443537_3.JPEG\n./n01440764/n01440764_18.JPEG\nn01440764\\n01440764_2.JPEG\n",
    ],
    ids=["plain", "of Windows", "as copies call them", "in folders"],
)
def test_names_come_in_their_order(text: str, tmp_path: Path) -> None:
    assert lists.read(written(tmp_path, text)) == NAMES


@pytest.mark.keeps("S25", "S34")
@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("\n".join([*NAMES, *NAMES[:2]]), ["of 5 lines, 2 names are there more than once: n01443537_3.JPEG, n"]),
        ("n01440764_18.JPEG\n./n01440764/n01440764_18.jpg", ["of 2 lines, 1 name is there more than once: n01440764"]),
        ("\n".join(["n01440764_18.JPEG", "tench", "n00000001_1.JPEG"]), ["2 are no names", "'tench', 'n00000001"]),
        ("tench\n" + "n01440764_18.JPEG\n" * 2, ["1 is no name", "'tench'; and 1 name is there more than once"]),
        ("".join(f"x{n}\n" for n in range(1000)), ["of 1,000 lines, 1,000 are no names", "'x4' and 995 more"]),
        ("n01440764_18.JPEG 0\n", ["'n01440764_18.JPEG 0'", "one a line"]),
        ("n01443537/n01440764_18.JPEG\n", ["'n01443537/n01440764_18.JPEG'"]),
        ("ILSVRC2012_val_00000001.JPEG\n", ["of a photograph of train: 'ILSVRC2012_val_00000001.JPEG'"]),
        (" \n\n", ["found nothing"]),
        ("n01440764_18.JPEG\n".encode("utf-16"), ["found text that is not UTF-8", "plain text"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_list_is_counted_and_named(text: str | bytes, parts: list[str], tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SourceProblem) as caught:
        lists.read(path)
    says(str(caught.value), f"{path}: ", "names like n01440764_10026.JPEG, one a line", *parts)


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "few.txt", tmp_path):
        with pytest.raises(SourceProblem, match="found no file"):
            lists.read(path)


@pytest.mark.parametrize(
    ("name", "why"),
    [("1pct.txt", "is taken"), ("center", "is taken"), ("box.txt", "is taken"), ("validation.txt", "is taken"),
     ("Few.txt", "has other letters"), ("my-list.txt", "has other letters"), ("fünf.txt", "has other letters")],
)  # fmt: skip
def test_a_name_that_no_list_may_have(name: str, why: str) -> None:
    with pytest.raises(SourceProblem, match=f"{Path(name).stem}' {why}.*such as few.txt"):
        lists.name_of(Path("somewhere", name))


def test_a_list_is_called_like_its_file() -> None:
    assert [lists.name_of(Path(name)) for name in ("a/few.txt", "20pct.lst", "v2")] == ["few", "20pct", "v2"]


def test_the_spread_over_classes_is_told() -> None:
    assert lists.balance(NAMES) == "3 photographs of 2 classes, 1 to 2 a class; 998 of the 1,000 classes have none"
    assert lists.spread([5] * 1000) == "5,000 photographs of 1,000 classes, 5 a class"
