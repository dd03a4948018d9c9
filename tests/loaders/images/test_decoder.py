"""The batch decoder of the card, held against Pillow: the same pixels, or an error where Pillow has one."""

import importlib.util
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from loaders.base.dataset import IMAGE
from loaders.images import arrow, png
from loaders.images.decoder import decode

U8 = npt.NDArray[np.uint8]
SIZES = [*range(1, 65), png.LARGEST]
HEAD = png.HEAD


def noise(count: int, size: int, seed: int = 0) -> U8:
    """Return pictures, uint8 [N, S, S, 3]: half of them noise, half of them smooth, so that all filters are used."""
    numbers = np.random.default_rng(seed)
    random = numbers.integers(0, 256, (count, size, size, 3), np.uint8)
    ramp = np.arange(size, dtype=np.uint8)
    random[::2] = (ramp[:, None, None] * numbers.integers(0, 9) + ramp[None, :, None] * numbers.integers(0, 9))[None]
    return random


def ours(pixels: U8) -> list[bytes]:
    return [file.tobytes() for file in png.encode(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))]


def by_pillow(picture: U8, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(file, kind, **options)
    return file.getvalue()


def undone_by_pillow(files: list[bytes]) -> U8:
    return np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])


def same(found: U8, files: list[bytes]) -> None:
    wanted = undone_by_pillow(files)
    assert (found.dtype.name, found.shape) == ("uint8", wanted.shape)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("size", SIZES)
def test_our_files_of_every_size(size: int) -> None:
    pixels = noise(5, size, size)
    assert np.array_equal(decode(ours(pixels)), pixels)
    same(decode(ours(pixels)), ours(pixels))


@given(st.integers(1, 24), st.integers(1, 12), st.randoms(use_true_random=False), st.integers(1, 5))
def test_our_files_of_any_pixels(size: int, count: int, random: Any, block: int) -> None:
    pixels = np.frombuffer(random.randbytes(count * size * size * 3), np.uint8).reshape(count, size, size, 3)
    assert np.array_equal(decode(ours(pixels), block), pixels)


KINDS: dict[str, Callable[[U8], bytes]] = {
    "ours": lambda picture: ours(picture[None])[0],
    "PNG": by_pillow,
    "grey PNG": lambda picture: by_pillow(picture, mode="L"),
    "PNG with alpha": lambda picture: by_pillow(picture, mode="RGBA"),
    "PNG with a palette": lambda picture: by_pillow(picture, mode="P"),
    "uncompressed PNG": lambda picture: by_pillow(picture, compress_level=0),
    "JPEG": lambda picture: by_pillow(picture, "JPEG"),
    "CMYK JPEG": lambda picture: by_pillow(picture, "JPEG", "CMYK"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 3, 8, 33])
def test_files_of_one_kind(kind: str, size: int) -> None:
    files = [KINDS[kind](picture) for picture in noise(4, size, size)]
    same(decode(files), files)


@given(st.integers(1, 20), st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=12), st.integers(1, 4))
def test_mixed_files(size: int, kinds: list[str], block: int) -> None:
    files = [KINDS[kind](picture) for kind, picture in zip(kinds, noise(len(kinds), size, size), strict=True)]
    same(decode(files, block), files)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_that_are_not_square(kind: str) -> None:
    files = [by_pillow(picture[:, :5], kind) for picture in noise(3, 9)]
    assert decode(files).shape == (3, 9, 5, 3)
    same(decode(files), files)


# The shapes a column comes in


FILES = ours(noise(7, 8))
COLUMNS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: FILES,
    "tuple": lambda: tuple(FILES),
    "dicts": lambda: [{"bytes": file, "path": None} for file in FILES],
    "binary": lambda: pa.array(FILES, pa.binary()),
    "large_binary": lambda: pa.array(FILES, pa.large_binary()),
    "chunked": lambda: pa.chunked_array([FILES[:2], [], FILES[2:]], pa.binary()),
    "struct": lambda: arrow.images(FILES),
    "chunked struct": lambda: pa.chunked_array([arrow.images(FILES[:3]), arrow.images(FILES[3:])]),
    "path first": lambda: pa.StructArray.from_arrays([pa.nulls(7, pa.string()), pa.array(FILES)], ["path", "bytes"]),
}
every_column = pytest.mark.parametrize("column", COLUMNS)


@every_column
def test_columns(column: str) -> None:
    same(decode(COLUMNS[column]()), FILES)


@every_column
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (2, 5), (6, 7), (3, 3), (7, 7)])
@pytest.mark.parametrize("block", [1, 2, 256])
def test_slices_of_columns(column: str, start: int, stop: int, block: int) -> None:
    found = decode(COLUMNS[column]()[start:stop], block)
    if start == stop:
        assert found.shape == (0, 0, 0, 3)
    else:
        same(found, FILES[start:stop])


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), IMAGE])
def test_nothing(kind: pa.DataType) -> None:
    columns: list[Any] = [[], pa.array([], kind), pa.chunked_array([], kind)]
    for empty in columns:
        found = decode(empty)
        assert (found.dtype.name, found.shape) == ("uint8", (0, 0, 0, 3))


@pytest.mark.parametrize("place", [0, 3, 6])
@pytest.mark.parametrize("kind", ["bytes", "dicts", "arrow", "null struct", "null struct in chunks", "chunked"])
def test_a_missing_image_is_named_by_its_row(place: int, kind: str) -> None:
    holes: list[bytes | None] = [*FILES]
    holes[place] = None
    dicts = [{"bytes": file, "path": None} for file in holes]
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    columns: dict[str, Callable[[], Any]] = {
        "bytes": lambda: holes,
        "dicts": lambda: dicts,
        "arrow": lambda: pa.array(holes, pa.binary()),
        "null struct": lambda: pa.array([d if d["bytes"] else None for d in dicts], image),
        "null struct in chunks": lambda: pa.chunked_array(
            [[d if d["bytes"] else None for d in part] for part in (dicts[:2], dicts[2:])], image
        ),
        "chunked": lambda: pa.chunked_array([holes[:2], holes[2:]], pa.binary()),
    }
    with pytest.raises(ValueError, match=f"row {place} has no image"):
        decode(columns[kind]())


def test_images_of_different_sizes_are_told() -> None:
    for files in (ours(noise(1, 8)) + ours(noise(1, 9)), [by_pillow(noise(1, 8)[0]), by_pillow(noise(1, 9)[0])]):
        with pytest.raises(ValueError, match="different sizes"):
            decode(files)
        with pytest.raises(ValueError, match="different sizes"):
            decode(files, 1)


def test_what_is_no_image_is_an_error_of_pillow() -> None:
    with pytest.raises(UnidentifiedImageError):
        decode([*FILES, b"no image"])


def test_checksums_are_not_read() -> None:
    """Whoever wants to know of damage has the shards' digests: `python -m publish.check`."""
    files = ours(noise(3, 8))
    harmed = [bytearray(file) for file in files]
    for file in harmed:
        file[-png.TAIL] ^= 1  # Adler-32
        file[-png.TAIL + 4] ^= 1  # CRC-32
    assert np.array_equal(decode([bytes(file) for file in harmed]), decode(files))


def test_a_column_of_more_bytes_than_its_offsets_count() -> None:
    """Above 2 GB, as the train splits of 32 and 64 pixels are; here, in chunks that share their bytes."""
    file = by_pillow(noise(1, 4)[0]).ljust(200_000_000, b"\0")
    column = pa.chunked_array([arrow.images([file])] * 11)
    assert column.nbytes > 1 << 31
    assert np.array_equal(decode(column), np.repeat(noise(1, 4), len(column), axis=0))


@pytest.mark.parametrize(
    "images",
    [
        [Image.new("RGB", (4, 4))] * 2,
        [{"bytes": Image.new("RGB", (4, 4)), "path": None}],
        [*noise(2, 4)],
        noise(2, 4),
        [noise(1, 4).tolist()],
    ],
)
def test_images_that_are_decoded_already_are_told(images: Any) -> None:
    with pytest.raises(TypeError, match="these images are decoded already"):
        decode(images)


def test_into_an_array_that_is_given() -> None:
    out = np.zeros((9, 8, 8, 3), np.uint8)
    decode(pa.array(FILES), out=out[1:8])
    same(out[1:8], FILES)
    assert not out[[0, 8]].any()
    with pytest.raises(ValueError, match="different sizes"):
        decode(FILES, out=np.zeros((7, 9, 9, 3), np.uint8))


# As `datasets` hands them out


def dataset() -> Any:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [{"bytes": file, "path": None} for file in FILES], "label": list(range(7))}
    return datasets.Dataset.from_dict(rows, features=features)


def undecoded() -> Any:
    return dataset().cast_column("image", datasets.Image(decode=False))


def test_an_arrow_batch_of_a_dataset() -> None:
    same(decode(dataset().with_format("arrow")[1:6]["image"]), FILES[1:6])
    same(decode(dataset().data.table["image"]), FILES)


@pytest.mark.parametrize("format", [None, "numpy", "torch"])
def test_batches_of_undecoded_images(format: str | None) -> None:
    if format == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    rows = undecoded().with_format(format)
    same(decode(rows[:5]["image"]), FILES[:5])
    same(decode(rows["image"]), FILES)


@pytest.mark.parametrize("format", [None, "arrow", "numpy"])
def test_batches_of_a_stream(format: str | None) -> None:
    rows = undecoded().to_iterable_dataset().with_format(format)
    batches = [decode(batch["image"]) for batch in rows.iter(batch_size=3)]
    assert [len(batch) for batch in batches] == [3, 3, 1]
    same(np.concatenate(batches), FILES)


# Files that look like ours and are not


def outcome(files: list[bytes], read: Callable[[list[bytes]], U8]) -> bytes | None:
    """Return the pixels, or None for an error."""
    try:
        return read(files).tobytes()
    except (OSError, SyntaxError, ValueError):
        return None


def agrees_with_pillow(file: bytes) -> None:
    wanted = outcome([file], undone_by_pillow)
    assert outcome([file], decode) == wanted
    honest = ours(noise(2, 5))
    assert outcome([*honest, file], decode) == (wanted and outcome([*honest, file], undone_by_pillow))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def framed(rows: bytes, stream: bytes | None = None, header: bytes | None = None, *, extra: bytes = b"") -> bytes:
    """Return a PNG of 5 x 5 pixels as we frame them, with other parts in places."""
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows
    data = stored + struct.pack(">I", zlib.adler32(rows)) if stream is None else stream
    head = header if header is not None else struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def filtered(kind: int, seed: int = 1) -> bytes:
    """Return five rows of 5 pixels with a filter each."""
    lines = np.random.default_rng(seed).integers(0, 256, (5, 16), np.uint8)
    lines[:, 0] = kind
    return lines.tobytes()


def adler(rows: bytes) -> bytes:
    return struct.pack(">I", zlib.adler32(rows))


def test_the_frame_of_these_tests_is_ours() -> None:
    (file,) = ours(noise(1, 5, 3)[:1])
    assert framed(file[HEAD : -png.TAIL]) == file


ROWS = filtered(2)
LOOKALIKES: dict[str, bytes] = {
    **{f"filter {kind}": framed(filtered(kind)) for kind in range(6)},
    "one row of another filter": framed(ROWS[:32] + b"\x04" + ROWS[33:]),
    "two stored blocks": framed(
        ROWS,
        b"\x78\x01\x00"
        + struct.pack("<HH", 30, 30 ^ 0xFFFF)
        + ROWS[:30]
        + b"\x01"
        + struct.pack("<HH", 50, 50 ^ 0xFFFF)
        + ROWS[30:]
        + adler(ROWS),
    ),
    "deflated": framed(ROWS, zlib.compress(ROWS, 9)),
    "stored length too short": framed(ROWS, b"\x78\x01\x01" + struct.pack("<HH", 60, 60 ^ 0xFFFF) + ROWS + adler(ROWS)),
    "stored length of zero": framed(ROWS, b"\x78\x01\x01\0\0\xff\xff" + ROWS + adler(ROWS)),
    "stored length and its complement disagree": framed(ROWS, b"\x78\x01\x01\x50\0\0\0" + ROWS + adler(ROWS)),
    "a grey header": framed(ROWS, header=struct.pack(">IIBBBBB", 15, 5, 8, 0, 0, 0, 0)),
    "interlaced": framed(ROWS, header=struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 1)),
    "16 bits": framed(ROWS, header=struct.pack(">IIBBBBB", 5, 5, 16, 2, 0, 0, 0)),
    "another size": framed(ROWS, header=struct.pack(">IIBBBBB", 5, 4, 8, 2, 0, 0, 0)),
    "a chunk between": framed(ROWS, extra=chunk(b"tEXt", b"key\0value")),
    "cut short": framed(ROWS)[:-13],
    "header of wrong CRC": framed(ROWS)[:29] + b"\0\0\0\0" + framed(ROWS)[33:],
    "IDAT length too short": framed(ROWS)[:33] + struct.pack(">I", 40) + framed(ROWS)[37:],
    "IDAT length too long": framed(ROWS)[:33] + struct.pack(">I", 4000) + framed(ROWS)[37:],
    "nothing but our length": bytes(len(framed(ROWS))),
    "empty": b"",
}


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_lookalikes_go_pillow_s_way(kind: str) -> None:
    agrees_with_pillow(LOOKALIKES[kind])


@given(st.integers(0, HEAD - 1), st.integers(1, 255))
def test_any_other_byte_before_the_rows(place: int, change: int) -> None:
    file = bytearray(framed(ROWS))
    file[place] ^= change
    agrees_with_pillow(bytes(file))


@given(st.integers(1, 40))
def test_files_that_were_cut(length: int) -> None:
    (file,) = ours(noise(1, 5))
    agrees_with_pillow(file[: -length % len(file)])
