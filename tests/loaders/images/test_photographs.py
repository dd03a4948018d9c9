"""Photographs: Pillow's pixels to the last, and whatever libjpeg warns about told."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from PIL import Image

from loaders.images import jpeg, photographs
from publish.sample.drawing import draw

U8 = npt.NDArray[np.uint8]


def picture(width: int = 130, height: int = 83, seed: int = 5) -> Image.Image:
    """Draw a picture with speckles, so that each row takes about as many bytes as any other."""
    (drawn,) = draw(np.array([seed]), seed, width, height)
    speckles = np.random.default_rng(seed).integers(0, 32, drawn.shape, np.uint8)
    return Image.fromarray(drawn ^ speckles)


def encoded(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **({"format": "JPEG"} | options))
    return buffer.getvalue()


def plain_pillow(file: bytes) -> U8:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


KINDS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "progressive 4:2:0": {"progressive": True, "subsampling": 2},
    "restart markers": {"restart_marker_blocks": 3},
    "a restart marker a row": {"restart_marker_rows": 1},
    "RGB without YCbCr": {"keep_rgb": True},
    "optimised": {"optimize": True},
    "worst": {"quality": 1},
    "best": {"quality": 100, "subsampling": 0},
    "EXIF": {"exif": turned()},
    "two pictures": {"format": "MPO", "save_all": True, "append_images": [picture(20, 20)]},
}
SHAPES = [(1, 1), (7, 5), (8, 8), (16, 17), (33, 15), (500, 3)]


def held_to_pillow(file: bytes) -> None:
    found = photographs.decode(pa.py_buffer(file))
    assert np.array_equal(np.asarray(found.image), plain_pillow(file))
    assert (found.damage, found.is_held) == (None, True)
    (small, large), damage = photographs.resized(file, (8, 64), "lanczos")
    pillow = Image.open(io.BytesIO(file)).convert("RGB")
    assert [small, large] == [pillow.resize((n, n), Image.Resampling.LANCZOS).tobytes() for n in (8, 64)]
    assert damage is None


@pytest.mark.keeps("S28")
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_pixels_are_those_of_pillow(kind: str) -> None:
    held_to_pillow(encoded(picture(), **KINDS[kind]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [{"subsampling": 2}, {"progressive": True, "subsampling": 1}])
def test_the_pixels_of_any_shape_are_those_of_pillow(options: dict[str, Any], shape: tuple[int, int]) -> None:
    held_to_pillow(encoded(picture(*shape), **options))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"format": "PNG"}])
def test_the_pixels_of_other_modes_are_those_of_pillow(options: dict[str, Any], mode: str) -> None:
    if (mode, options.get("format")) != ("CMYK", "PNG"):
        held_to_pillow(encoded(picture().convert(mode), **options))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photograph_is_not_turned_and_says_how_it_is_to_be(orientation: int) -> None:
    file = encoded(picture(), **(KINDS["EXIF"] if orientation == 6 else {}))
    found = photographs.decode(file)
    assert (found.orientation, found.image.size) == (orientation, (130, 83))


# Damage


def ended(file: bytes, part: float) -> bytes:
    """Return so much of a file, with an end mark."""
    return file[: int(len(file) * part)] + b"\xff\xd9"


def with_a_hole(file: bytes) -> bytes:
    half = len(file) // 2
    return file[:half] + bytes(400) + file[half + 400 :]


MODES: dict[str, dict[str, Any]] = {
    "RGB": {},
    "restarts": {"restart_marker_rows": 1},
    "grey": {},
    "CMYK": {},
    "progressive": {"progressive": True},
}


def photo(mode: str) -> bytes:
    image = picture().convert({"grey": "L", "CMYK": "CMYK"}.get(mode, "RGB"))
    return encoded(image, quality=90, **MODES[mode])


@pytest.mark.keeps("S28")
@pytest.mark.parametrize("mode", list(MODES))
def test_a_hole_is_told(mode: str) -> None:
    file = with_a_hole(photo(mode))
    found = photographs.decode(file)
    assert found.damage
    assert "Corrupt JPEG data" in found.damage.warning
    assert np.array_equal(np.asarray(found.image), plain_pillow(file))


@pytest.mark.keeps("S28")
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "progressive"])
@pytest.mark.parametrize(
    ("part", "least", "most"), [(0.95, 0, 0.1), (0.85, 0.02, 0.2), (0.5, 0.3, 0.55), (0.2, 0.7, 0.9)]
)
def test_what_was_cut_lacks_rows(mode: str, part: float, least: float, most: float) -> None:
    found = photographs.decode(ended(photo(mode), part))
    assert found.damage
    assert "premature end" in found.damage.warning
    assert least <= found.damage.lacking <= most


@pytest.mark.keeps("S28")
@pytest.mark.parametrize(("part", "lacking"), [(0.95, 0), (0.5, 1), (0.2, 1)])
def test_what_was_cut_within_a_scan_lacks_something_everywhere(part: float, lacking: float) -> None:
    """All rows of a progressive JPEG are there after the first scans, each of them coarse."""
    found = photographs.decode(ended(photo("progressive"), part))
    assert found.damage
    assert found.damage.lacking == lacking


@pytest.mark.keeps("S28")
def test_what_was_cut_without_an_end_mark_cannot_be_decoded() -> None:
    with pytest.raises(ValueError, match="truncated"):
        photographs.decode(photo("RGB")[:-200])


def test_grey_at_the_bottom_of_a_whole_photograph_is_no_damage() -> None:
    image = picture()
    image.paste((128, 128, 128), (0, 40, 130, 83))
    assert photographs.decode(encoded(image)).damage is None


def test_headers_of_two_minds_are_told() -> None:
    """No more is decoded than the size that was read before."""
    found = jpeg.decode(encoded(picture()), (10, 10), "RGB")
    assert found.pixels is None
    assert str(found.damage) == "has two headers: 10 x 10 and 130 x 83 pixels"


def test_a_subsampling_whose_warnings_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(file: bytes, **options: Any) -> None:
        raise ValueError("Could not determine subsampling level of JPEG image")

    monkeypatch.setattr("simplejpeg.decode_jpeg_header", unknown)
    file = encoded(picture())
    found = photographs.decode(file)
    assert (found.damage, found.is_held) == (None, False)
    assert np.array_equal(np.asarray(found.image), plain_pillow(file))


# Center crops


def adm(image: Image.Image, size: int) -> Image.Image:
    """Crop as `center_crop_arr` of ADM and `center-crop-dhariwal` of EDM say."""
    while min(*image.size) >= 2 * size:
        image = image.resize((image.size[0] // 2, image.size[1] // 2), resample=Image.Resampling.BOX)
    scale = size / min(*image.size)
    image = image.resize(
        (round(image.size[0] * scale), round(image.size[1] * scale)), resample=Image.Resampling.BICUBIC
    )
    pixels = np.array(image)
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return Image.fromarray(pixels[top : top + size, left : left + size])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "shape",
    [(130, 83), (83, 130), (500, 375), (301, 30), (30, 301), (20, 27), (13, 13), (128, 128), (127, 255), (3, 500)],
)
def test_center_crops_are_those_of_adm(shape: tuple[int, int], mode: str) -> None:
    """Tall, wide, smaller than the target, at twice the target and next to it; at every size from the photograph."""
    file = encoded(picture(*shape).convert(mode))
    whole, sizes = Image.open(io.BytesIO(file)).convert("RGB"), (32, 4, 64, 13, 64)
    crops, damage = photographs.resized(file, sizes, "center")
    assert crops == [adm(whole, size).tobytes() for size in sizes]
    assert damage is None
    assert photographs.resized(file, sizes[:1], "center")[0] == crops[:1]


def test_no_photograph_grows_without_bound_on_its_way_to_its_middle() -> None:
    """One of 65,000 x 1 pixels would be scaled to 9.5 million x 147."""
    with pytest.raises(ValueError, match="65000 x 1 pixels are too narrow to cut a square out"):
        photographs.resized(encoded(Image.new("RGB", (65_000, 1))), (8, 147), "center")
