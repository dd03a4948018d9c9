"""Of each form that is refused, nothing is left: no file under a final name, none half written, none in the source."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from publish.__main__ import main
from tests.kit import archives, building, forms, ilsvrc

Lay = Callable[[Path], object]


def _subset(form: str, folder: Path) -> None:
    archives.subset(folder, test=True)
    ilsvrc.FORMS[form](folder)


FORMS: dict[str, tuple[str, Lay]] = {
    "zips of npz": ("imagenet_resized/8x8", lambda folder: archives.resized(folder, [8])),
    "zips of pickles": ("imagenet_resized/8x8", forms.RESIZED["zips of pickles"][1]),
    "loose batches": ("imagenet_resized/8x8", forms.RESIZED["npz in one folder"][1]),
    "tars of pictures": ("downsampled_imagenet/32x32", archives.downsampled),
    "packed tars": ("downsampled_imagenet/32x32", forms.DOWNSAMPLED["gzip"]),
    "pictures": ("downsampled_imagenet/32x32", forms.DOWNSAMPLED["folders"]),
    "ILSVRC's tars": ("imagenet2012_subset/1pct", lambda folder: archives.subset(folder, test=True)),
    **{
        form: ("imagenet2012_subset/1pct", partial(_subset, form)) for form in ("packed again", "class tars", "folders")
    },
    **{form: ("imagenet2012_subset/1pct", partial(_subset, form)) for form in ("face-blurred", "Parquet")},
    "V2's tars": ("imagenet_v2/topimages", archives.v2),
    "V2's folders": ("imagenet_v2/topimages", forms.V2["folders by number"]),
}
HARMS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "a page in its place": lambda data: b"<!DOCTYPE html><p>sign in",
    "a byte": lambda data: data[: len(data) // 3] + bytes([data[len(data) // 3] ^ 255]) + data[len(data) // 3 + 1 :],
}
# Where a checksum stands beside what is read: a changed byte of a JPEG may show nowhere.
CHECKED = ("zips of npz", "packed tars")
CASES = [(form, harm) for form in FORMS for harm in HARMS if harm != "a byte" or form in CHECKED]


@pytest.mark.keeps("S1", "S34")
@pytest.mark.parametrize(("form", "harm"), CASES)
def test_nothing_is_left_of_a_form_that_is_refused(
    form: str, harm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, lay = FORMS[form]
    source, out = building.make(tmp_path / "source"), tmp_path / "out"
    lay(source)
    for path in source.rglob("*"):
        if path.is_file() and path.suffix != ".txt":
            path.write_bytes(HARMS[harm](path.read_bytes()))
    before = building.tree(source)
    code = main(["--config", config, "--source", str(source), "--out", str(out), "--allow-partial", "--workers", "1"])
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert str(source) in said
    assert "Traceback" not in said
    assert building.tree(out) == {}
    assert building.leftovers(out) == []
    assert building.tree(source) == before
