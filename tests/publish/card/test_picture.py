"""The pictures of a card: the very pixels, the very counts, and the same photographs only where they are the same."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from publish.card import picture
from publish.sample import archives as sample
from tests.kit import archives

U8 = npt.NDArray[np.uint8]
GAP = 2


def planes(count: int, size: int, variation: int = 0) -> U8:
    """Return uint8 [count, 3, size, size]."""
    return archives.pictures(count, size, variation).transpose(0, 3, 1, 2)


def opened(file: bytes) -> U8:
    with Image.open(io.BytesIO(file)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGBA"))


def cells(sheet: U8, side: int) -> list[U8]:
    """Return the images of a sheet, row by row, and hold the lines between them to be clear."""
    step = side + GAP
    places = [(y, x) for y in range(0, len(sheet), step) for x in range(0, sheet.shape[1], step)]
    clear = np.ones(sheet.shape[:2], bool)
    for y, x in places:
        clear[y : y + side, x : x + side] = False
    assert (sheet[clear][:, 3] == 0).all()
    return [sheet[y : y + side, x : x + side] for y, x in places]


def enlarged(image: U8, times: int) -> U8:
    """Return uint8 [3, S, S] as [S times, S times, 3], every pixel a square."""
    return np.asarray(image.transpose(1, 2, 0).repeat(times, axis=0).repeat(times, axis=1))


# Contact sheets


@pytest.mark.parametrize(("size", "count"), [(8, 48), (16, 48), (8, 3), (16, 1), (32, 12)])
def test_few_pixels_are_shown_as_they_are(size: int, count: int) -> None:
    images = planes(count, size)
    shown = cells(opened(picture.contact_sheet(images)), 64)
    assert len(shown) == count
    for cell, image in zip(shown, images, strict=True):
        assert np.array_equal(cell[:, :, :3], enlarged(image, 64 // size))
        assert (cell[:, :, 3] == 255).all()


@pytest.mark.parametrize(("size", "shown"), [(32, 48), (64, 24), (80, 20)])
def test_many_pixels_are_shown_in_fewer_colours(size: int, shown: int) -> None:
    images = (
        np.random.default_rng(1).integers(0, 256, (48, 3, size, size), np.uint8) // 4 + planes(48, 8)[:, :, :1, :1] // 4
    )
    times = max(1, 64 // size)
    found = cells(opened(picture.contact_sheet(images)), size * times)
    assert len(found) == shown
    for cell, image in zip(found, images, strict=False):
        small = cell[::times, ::times]
        assert np.array_equal(enlarged(small.transpose(2, 0, 1), times), cell)
        assert np.abs(small[:, :, :3].astype(int) - image.transpose(1, 2, 0)).mean() < 10
        assert (small[:, :, 3] == 255).all()


@pytest.mark.parametrize(("count", "shown"), [(11, 11), (13, 12), (30, 24), (47, 36)])
def test_rows_of_a_sheet_are_full(count: int, shown: int) -> None:
    assert len(cells(opened(picture.contact_sheet(planes(count, 8))), 64)) == shown


def test_a_sheet_fits_a_page() -> None:
    assert [opened(picture.contact_sheet(planes(48, size))).shape[1] for size in (8, 16, 32, 64)] == [792] * 4
    assert opened(picture.contact_sheet(np.zeros((48, 3, 80, 80), np.uint8))).shape[:2] == (164, 820)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_the_same_images_are_the_same_bytes(size: int) -> None:
    images = planes(48, size)
    assert picture.contact_sheet(images) == picture.contact_sheet(images.copy())
    assert picture.sizes(images) == picture.sizes(np.ascontiguousarray(images[:3]))


# The same photographs in every size


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_every_size_is_shown_at_one_size(size: int) -> None:
    images = planes(4, size)
    shown = cells(opened(picture.sizes(images)), 128)
    assert [cell[:, :, :3].tobytes() for cell in shown] == [enlarged(i, 128 // size).tobytes() for i in images[:3]]


def glance(size: int, variation: int = 0) -> str:
    return picture.glance(planes(3, size, variation))


def test_the_same_photographs_are_alike_in_every_size() -> None:
    found = [glance(size) for size in (8, 16, 32, 64)]
    assert all(picture.alike(one, other) for one in found for other in found)
    assert bytes.fromhex(found[0]) == archives.pictures(3, 8, 0).tobytes()


def test_photographs_that_were_squeezed_once_each_are_alike() -> None:
    """Real ones: from another size than a multiple, with noise in every pixel, by Pillow's BOX as upstream's were."""
    photos = np.random.default_rng(0).integers(0, 256, (3, 333, 500, 3), np.uint8)
    small = [
        np.stack([np.asarray(Image.fromarray(photo).resize((s, s), Image.Resampling.BOX)) for photo in photos])
        for s in sample.SIZES
    ]
    found = [picture.glance(images.transpose(0, 3, 1, 2)) for images in small]
    assert all(picture.alike(one, other) for one in found for other in found)


def test_other_photographs_are_not() -> None:
    ours = planes(3, 64)
    assert not picture.alike(glance(64), glance(64, 1))
    assert not picture.alike(glance(64), picture.glance(ours[::-1]))
    assert not picture.alike(glance(64), picture.glance(np.stack([*ours[:2], planes(3, 64, 1)[2]])))
    assert not picture.alike(glance(64), picture.glance(np.stack([*ours[:2], ours[2, :, :, ::-1]])))


def test_what_has_no_photographs_is_like_nothing() -> None:
    assert not picture.alike("", "")
    assert not picture.alike("", glance(8))
    assert not picture.alike(picture.glance(planes(2, 8)), glance(8))


# Histograms


def bars(file: bytes) -> list[int]:
    """Return the height of each bar; the top of one is darker, and where there is none is a line of one pixel."""
    return [int(n) for n in (opened(file)[:, :, 3] > 0).sum(axis=0)]


def test_bars_are_as_tall_as_their_counts() -> None:
    counts = np.zeros(1000, np.int64)
    counts[[0, 500, 999]] = [100, 50, 25]
    found = bars(picture.class_histogram(counts))
    assert len(found) == 1000
    assert [found[label] for label in (0, 1, 500, 998, 999)] == [64, 1, 32, 1, 16]


def test_classes_that_are_all_alike_are_a_line_over_a_shade() -> None:
    shown = opened(picture.class_histogram(np.full(1000, 50)))
    opacity = shown[:, :, 3]
    assert (opacity[:2] == 255).all()
    assert ((opacity[2:] > 0) & (opacity[2:] < 255)).all()


def test_histograms_are_told_apart_by_their_names() -> None:
    """Also those of splits twice as large, whose bars are as tall."""
    every = [np.arange(1000), np.arange(1000)[::-1], np.arange(1000) * 2]
    names = {picture.classes_path(s, c, picture.class_histogram(c)) for s in ("train", "test") for c in every}
    assert len(names) == 6
    assert {picture.kind(name) for name in names} == {picture.CLASSES}
