"""What is measured, against NumPy and Pillow done plainly."""

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from loaders import Batch, Problem
from loaders.images import arrow, png
from publish.build import measure
from publish.build.measure import Statistics, merged, of_batch
from publish.sample import archives

U8 = npt.NDArray[np.uint8]
SIZES = [1, 2, 3, 5, 8, 12, 16, 17, 31, 32, 33, 64]  # areas that 256 divides, and that it does not


def batch(pictures: U8, labels: list[int] | None = None) -> Batch:
    """Return a batch of uint8 [N, S, S, 3] as a loader gives it."""
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    columns = {"image": arrow.images_of_one_length(png.encode(planes))}
    if labels is not None:
        columns["label"] = arrow.integers(np.array(labels, np.int64))
    return Batch(pa.record_batch(columns), planes)


def noise(count: int, size: int, seed: int = 0) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def same(found: Statistics, pictures: U8) -> None:
    """Hold the statistics of pixels against float64 arithmetic over all of them."""
    plain = pictures.reshape(-1, 3).astype(np.float64) / 255
    assert found.mean() == pytest.approx(plain.mean(axis=0), rel=1e-12)
    assert found.deviation() == pytest.approx(plain.std(axis=0), rel=1e-9, abs=1e-9)
    assert found.pixels == len(plain)
    assert np.array_equal(found.mean_image(), np.rint(pictures.astype(np.float64).mean(axis=0)).astype(np.uint8))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 7, 300])
def test_pixels(size: int, count: int) -> None:
    pictures = noise(count, size)
    same(of_batch(batch(pictures)), pictures)


@pytest.mark.parametrize("size", [3, 8, 29, 64])
@pytest.mark.parametrize("value", [0, 255])
def test_pixels_all_of_one_value(size: int, value: int) -> None:
    """The largest sums there are: nothing overflows, and there is no deviation."""
    pictures = np.full((600, size, size, 3), value, np.uint8)
    found = of_batch(batch(pictures))
    same(found, pictures)
    assert found.squares.tolist() == [600 * size * size * value**2] * 3
    assert found.deviation() == (0, 0, 0)


@given(st.integers(1, 9), st.integers(1, 40), st.integers(0, 1 << 30), st.lists(st.integers(0, 40), max_size=5))
def test_parts_merge_in_any_order(size: int, count: int, seed: int, cuts: list[int]) -> None:
    pictures, labels = noise(count, size, seed), np.random.default_rng(seed).integers(0, 1000, count).tolist()
    edges = sorted({0, count, *(cut for cut in cuts if cut < count)})
    parts = [of_batch(batch(pictures[start:stop], labels[start:stop])) for start, stop in itertools.pairwise(edges)]
    whole, there, back = of_batch(batch(pictures, labels)), merged(parts), merged(parts[::-1])
    same(there, pictures)
    for found in (there, back):
        assert (found.rows, found.pixels, found.duplicates()) == (whole.rows, whole.pixels, whole.duplicates())
        for name in ("sums", "squares", "mean_sums", "labels"):
            assert np.array_equal(getattr(found, name), getattr(whole, name))
        assert found.mean() == whole.mean()
        assert found.deviation() == whole.deviation()


def test_nothing_merges_to_nothing() -> None:
    found = merged([])
    assert (found.rows, found.pixels, found.duplicates()) == (0, 0, 0)


def test_merging_leaves_the_parts_alone() -> None:
    one, two = of_batch(batch(noise(3, 4), [1, 2, 3])), of_batch(batch(noise(3, 4, 1), [1, 1, 1]))
    before = [part.sums.copy() for part in (one, two)]
    merged([one, two])
    merged([one, two])
    assert all(np.array_equal(part.sums, old) for part, old in zip((one, two), before, strict=True))


def test_labels_are_counted() -> None:
    labels = [0, 999, 5, 5, 5, 0]
    found = of_batch(batch(noise(6, 4), labels))
    assert found.labels.shape == (1000,)
    assert {i: int(n) for i, n in enumerate(found.labels) if n} == {0: 2, 5: 3, 999: 1}
    assert not of_batch(batch(noise(6, 4))).labels.any()
    assert np.flatnonzero(of_batch(batch(noise(3, 4), [-1, 7, -1])).labels).tolist() == [7]


def test_labels_of_a_slice_are_its_own() -> None:
    whole = batch(noise(6, 4), [1, 2, 3, 4, 5, 6])
    assert whole.pixels is not None
    part = batch(whole.pixels[2:4].transpose(0, 2, 3, 1), [3, 4])
    sliced = Batch(
        pa.record_batch({"image": part.rows["image"], "label": whole.rows["label"].slice(2, 2)}), part.pixels
    )
    assert np.flatnonzero(of_batch(sliced).labels).tolist() == [3, 4]


@pytest.mark.keeps("S21")
@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 8))
def test_duplicates_are_rows_with_the_image_of_an_earlier_one(kinds: list[int], size: int) -> None:
    pictures = noise(7, size, 3)[kinds]
    distinct = len({picture.tobytes() for picture in pictures})
    assert of_batch(batch(pictures)).duplicates() == len(kinds) - distinct


def test_images_that_differ_in_one_bit_are_no_duplicates() -> None:
    pictures = np.repeat(noise(1, 8), 1 + 8 * 8 * 3, axis=0)
    for place in range(8 * 8 * 3):
        pictures[place + 1].reshape(-1)[place] ^= 1
    assert of_batch(batch(pictures)).duplicates() == 0


@pytest.mark.keeps("S21")
def test_duplicates_are_found_across_parts() -> None:
    pictures = noise(4, 8)
    assert merged([of_batch(batch(pictures)), of_batch(batch(pictures[1:]))]).duplicates() == 3


# Photographs


def photo(width: int, height: int, kind: str = "JPEG", mode: str = "RGB", seed: int = 0, **options: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return archives.encoded(Image.fromarray(pixels).convert(mode), kind, **options)


def photos(files: list[bytes], names: list[str] | None = None) -> Batch:
    names = names or [f"n{i}.JPEG" for i in range(len(files))]
    return Batch(pa.record_batch({"image": arrow.images(files), "file_name": arrow.strings(names)}))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return photo(9, 7, exif=exif)


ODD = {
    "CMYK": (photo(20, 10, mode="CMYK"), "a.JPEG"),
    "greyscale": (photo(5, 6, mode="L"), "b.JPEG"),
    "PNG under the name .JPEG": (photo(7, 7, "PNG"), "c.JPEG"),
    "rotated by its EXIF orientation": (turned(), "d.jpeg"),
}


def test_photographs_of_any_size_and_mode() -> None:
    files = [
        photo(30, 20),
        photo(1, 1, seed=1),
        photo(200, 3, seed=2),
        photo(64, 64, seed=3),
        *(f for f, _ in ODD.values()),
    ]
    found = of_batch(photos(files))
    images = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    plain = np.concatenate([np.asarray(image).reshape(-1, 3) for image in images]).astype(np.float64) / 255
    assert found.mean() == pytest.approx(plain.mean(axis=0), rel=1e-12)
    assert found.deviation() == pytest.approx(plain.std(axis=0), rel=1e-9)
    small = np.stack([np.asarray(image.resize((64, 64), Image.Resampling.BOX)) for image in images])
    assert np.array_equal(found.mean_image(), np.rint(small.mean(axis=0)).astype(np.uint8))
    assert (found.rows, found.pixels) == (len(files), len(plain))


@pytest.mark.parametrize("orientation", range(9))
def test_the_first_photographs_are_kept_upright_as_squares(orientation: int) -> None:
    """As `datasets` turns them, by Pillow's own function; 0 is no orientation at all."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    files = [photo(200, 120, exif=exif), photo(90, 160, mode="CMYK", seed=1), photo(3, 3, seed=2)]
    found = of_batch(photos(files), 2).first
    assert found.shape == (2, 3, measure.SQUARE, measure.SQUARE)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(files[0]))).convert("RGB")
    square = np.asarray(ImageOps.fit(upright, (measure.SQUARE,) * 2, Image.Resampling.BOX))
    assert np.array_equal(found[0].transpose(1, 2, 0), square)
    assert of_batch(photos(files)).first.size == 0
    assert of_batch(photos(files), 9).first.shape[0] == 3


def test_the_first_images_of_parts_are_those_of_the_whole() -> None:
    pictures = noise(9, 8)
    parts = merged([of_batch(batch(pictures[:4]), 6), of_batch(batch(pictures[4:]), 2)])
    assert np.array_equal(parts.first, pictures[:6].transpose(0, 3, 1, 2))
    assert merged([of_batch(batch(pictures))]).first.size == 0


@pytest.mark.keeps("S22", "S23")
def test_oddities_are_counted_by_kind() -> None:
    files = [file for file, _ in ODD.values()] + [photo(8, 8)]
    names = [name for _, name in ODD.values()] + ["e.JPEG"]
    assert of_batch(photos(files, names)).oddities == dict.fromkeys(ODD, 1)
    twice = merged([of_batch(photos(files, names))] * 2)
    assert twice.oddities == dict.fromkeys(ODD, 2)


@pytest.mark.keeps("S21")
def test_photographs_that_are_byte_for_byte_alike() -> None:
    one, two = photo(8, 8), photo(8, 8, seed=1)
    assert of_batch(photos([one, two, one, one])).duplicates() == 2


BROKEN = {
    "cut": photo(40, 40)[:-200],
    "empty": b"",
    "text": b"<html>sign in</html>",
    "cut PNG": photo(40, 40, "PNG")[:-200],
    "only a header": photo(40, 40)[:30],
}


@pytest.mark.keeps("S24")
@pytest.mark.parametrize("kind", BROKEN)
def test_a_photograph_that_cannot_be_decoded_is_named(kind: str) -> None:
    with pytest.raises(Problem, match=r"n01_7\.JPEG: expected an image that can be decoded whole, but"):
        of_batch(photos([photo(8, 8), BROKEN[kind]], ["n01_1.JPEG", "n01_7.JPEG"]))


@pytest.mark.keeps("S11")
def test_an_image_that_claims_to_be_huge_is_refused_unread() -> None:
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    idat = struct.pack(">I", 4) + b"IDAT" + bytes(4) + struct.pack(">I", zlib.crc32(b"IDAT" + bytes(4)))
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        + idat
    )
    with pytest.raises(Problem, match=r"x\.JPEG: .*(30000 x 30000|900000000) pixels"):
        of_batch(photos([bomb], ["x.JPEG"]))


def test_the_thumbnail_is_what_its_docstring_says() -> None:
    assert of_batch(photos([photo(8, 8)])).mean_image().shape == (measure.THUMBNAIL, measure.THUMBNAIL, 3)
