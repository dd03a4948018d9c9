"""The PNG writer: exact by Pillow's libpng, with every checksum right, whatever the size, content and batch length."""

import io
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from loaders.images import png
from tests.kit.archives import pictures

U8 = npt.NDArray[np.uint8]
PATTERNS = ("noise", "zeros", "full", "columns", "rows", "ramp", "extremes")


def images(count: int, size: int, pattern: str, seed: int = 0) -> U8:
    """Return uint8 [count, 3, size, size]."""
    shape = (count, 3, size, size)
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    made: dict[str, Any] = {
        "noise": noise,
        "zeros": np.zeros(shape),
        "full": np.full(shape, 255),
        "columns": np.broadcast_to(noise[:, :, :1], shape),
        "rows": np.broadcast_to(noise[:, :, :, :1], shape),
        "ramp": np.arange(np.prod(shape)).reshape(shape) % 256,
        "extremes": noise // 128 * 255,  # differences of 1, 128 and 255: where bytes wrap around
    }
    return np.ascontiguousarray(made[pattern]).astype(np.uint8)


def decoded(file: U8) -> U8:
    """Return uint8 [3, S, S], as a strict libpng reads a file."""
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with Image.open(io.BytesIO(file.tobytes()), formats=["PNG"]) as image:
        image.verify()  # every chunk's CRC
    with Image.open(io.BytesIO(file.tobytes()), formats=["PNG"]) as image:
        assert (image.mode, image.format) == ("RGB", "PNG")
        return np.asarray(image).transpose(2, 0, 1)


def chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """Return (type, data) of a file's chunks after holding lengths, CRCs and the end against the specification."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = [], 8
    while place < len(file):
        (length,) = struct.unpack_from(">I", file, place)
        kind, data = file[place + 4 : place + 8], file[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", file, place + 8 + length) == (zlib.crc32(kind + data),)
        found.append((kind, data))
        place += 12 + length
    assert place == len(file)
    return found


def holds(pixels: U8) -> None:
    """Hold files against the pixels that they were made of."""
    files = png.encode(pixels)
    size = pixels.shape[2]
    assert files.shape == (len(pixels), png.file_bytes(size))
    for file, planes in zip(files, pixels, strict=True):
        assert np.array_equal(decoded(file), planes)
        header, body, end = chunks(file.tobytes())
        assert header == (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        assert end == (b"IEND", b"")
        inflate = zlib.decompressobj()  # checks Adler-32
        rows = np.frombuffer(inflate.decompress(body[1]), np.uint8).reshape(size, 1 + 3 * size)
        assert inflate.eof
        assert inflate.unused_data == b""
        assert set(rows[:, 0].tolist()) <= {1, 2}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 64), st.sampled_from(PATTERNS), st.integers(0, 5), st.integers(0, 2**32))
def test_any_image(size: int, pattern: str, count: int, seed: int) -> None:
    holds(images(count, size, pattern, seed))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 146, 147])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sizes_that_are_used_and_those_at_the_edge(size: int, pattern: str) -> None:
    holds(images(2, size, pattern))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 70), st.sampled_from([1, 3, 8, 16, 64]))
def test_any_length_of_a_batch(count: int, size: int) -> None:
    """A batch is cut into blocks; 16 images are the least that a block holds."""
    holds(images(count, size, "noise", count))


def test_a_file_does_not_depend_on_its_batch() -> None:
    pixels = images(2000, 8, "noise")
    files = png.encode(pixels)
    for start, stop in ((0, 1), (1, 18), (1000, 1100), (1999, 2000)):
        assert np.array_equal(png.encode(pixels[start:stop]), files[start:stop])


def test_planes_that_are_not_contiguous() -> None:
    pixels = images(5, 9, "noise")
    assert np.array_equal(png.encode(pixels[::-2]), png.encode(pixels)[::-2])
    swapped = pixels.transpose(0, 1, 3, 2)
    assert np.array_equal(png.encode(swapped), png.encode(np.ascontiguousarray(swapped)))


def test_each_row_takes_the_filter_with_the_smaller_sum() -> None:
    """The heuristic of the PNG specification, 12.8, held against a plain reckoning of it."""
    pixels = np.concatenate([images(4, 12, pattern) for pattern in PATTERNS])
    rows = png.encode(pixels)[:, png.HEAD : -png.TAIL].reshape(-1, 12, 37)
    lines = pixels.transpose(0, 2, 3, 1).reshape(-1, 12, 36)
    above = np.concatenate([np.zeros_like(lines[:, :1]), lines[:, :-1]], axis=1)
    left = np.concatenate([np.zeros_like(lines[:, :, :3]), lines[:, :, :-3]], axis=2)
    sub, up = (abs((lines - other).view(np.int8).astype(int)).sum(axis=2) for other in (left, above))
    assert np.array_equal(rows[:, :, 0], np.where(up <= sub, 2, 1))


def test_drawn_pictures_take_both_filters() -> None:
    files = png.encode(np.ascontiguousarray(pictures(20, 32, 0).transpose(0, 3, 1, 2)))
    kinds = files[:, png.HEAD : -png.TAIL].reshape(20, 32, 97)[:, :, 0]
    assert set(kinds.ravel().tolist()) == {1, 2}


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_a_block_of_images_is_neither_tiny_nor_larger_than_a_cache(size: int) -> None:
    assert 100_000 <= png.block_rows(size) * 3 * size * size <= 1_000_000


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 3, 148, 148), np.uint8),
        ((1, 3, 1000, 1000), np.uint8),
        ((1, 3, 0, 0), np.uint8),
        ((1, 3, 8, 9), np.uint8),
        ((1, 8, 8, 3), np.uint8),
        ((1, 4, 8, 8), np.uint8),
        ((3, 8, 8), np.uint8),
        ((1, 3, 8, 8), np.int8),
        ((1, 3, 8, 8), np.float32),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 pixels|1 to 147 pixels"):
        png.encode(np.zeros(shape, dtype))


@pytest.mark.skipif(not shutil.which("pngcheck"), reason="pngcheck is not installed")
def test_pngcheck_finds_nothing(tmp_path: Path) -> None:
    for size in (1, 8, 64, 147):
        for pattern in PATTERNS:
            path = tmp_path / f"{pattern}{size}.png"
            path.write_bytes(png.encode(images(1, size, pattern)).tobytes())
    found = subprocess.run(["pngcheck", "-q", *tmp_path.iterdir()], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")
