"""PNG files taken apart: the pixels are Pillow's, and a picture that is not whole is refused."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from loaders.images import png_file
from loaders.images.photographs import resized
from publish.sample import archives as writers
from tests.kit import archives
from tests.kit.refusals import refused, says

PICTURE = archives.pictures(1, 32, 0)[0]
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(stream: bytes, *, interlaced: bool = False, between: bytes = b"") -> bytes:
    """Frame a zlib stream as RGB 32x32, in two chunks."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, interlaced))
    parts = chunk(b"IDAT", stream[:100]) + chunk(b"IDAT", stream[100:])
    return b"\x89PNG\r\n\x1a\n" + head + between + parts + chunk(b"IEND", b"")


def rows(picture: Any) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in picture)


def interlaced(picture: Any) -> bytes:
    return b"".join(rows(picture[top::down, left::across]) for left, top, across, down in ADAM7)


WHOLE, WOVEN = rows(PICTURE), interlaced(PICTURE)
STREAMS = {
    "10 of 32 rows": (zlib.compress(WHOLE[: 10 * 97]), "2,134 bytes too few"),
    "a byte too few": (zlib.compress(WHOLE[:-1]), "1 bytes too few"),
    "no rows": (zlib.compress(b""), "3,104 bytes too few"),
    "a row too many": (zlib.compress(WHOLE + WHOLE[:97]), "more than those"),
    "a byte too many": (zlib.compress(WHOLE + b"\0"), "more than those"),
    "another stream behind": (zlib.compress(WHOLE) + zlib.compress(WHOLE), "more behind their end"),
    "no end": (zlib.compress(WHOLE, 0)[:-4], "no end"),
    "a wrong checksum": (zlib.compress(WHOLE)[:-1] + b"\0", "damaged"),
    "no filter": (zlib.compress(b"\7" + WHOLE[1:]), "cannot decode"),
}


@pytest.mark.keeps("S29")
@pytest.mark.parametrize("stream", STREAMS)
def test_a_picture_that_is_not_whole_is_refused(stream: str, tmp_path: Path) -> None:
    data, cause = STREAMS[stream]
    archives.downsampled(tmp_path)
    members = [("valid_32x32/00001.png", archives.png(PICTURE)), ("valid_32x32/00002.png", png(data))]
    (tmp_path / "valid_32x32.tar").write_bytes(writers.tar(members))
    text = refused("downsampled_imagenet", "32x32", tmp_path)
    says(text, tmp_path / "valid_32x32.tar", "RGB PNG of 32x32", cause)


@pytest.mark.keeps("S29")
@pytest.mark.parametrize("stream", [zlib.compress(WOVEN[:-90]), zlib.compress(WOVEN + WOVEN[:90])])
def test_an_interlaced_picture_that_is_not_whole_is_refused(stream: bytes) -> None:
    with pytest.raises(ValueError, match="rows should be 3,132 bytes"):
        png_file.opened(png(stream, interlaced=True)).pixels()


@pytest.mark.keeps("S29")
def test_a_photograph_that_is_a_png_and_not_whole_is_refused() -> None:
    """As ILSVRC has one; what stands behind its end is none of its pixels."""
    assert resized(archives.png(PICTURE) + b"more", (32,), "box") == ([PICTURE.tobytes()], None)
    with pytest.raises(ValueError, match="too few"):
        resized(png(STREAMS["10 of 32 rows"][0]), (32,), "box")


def encoded(picture: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "file",
    [
        encoded(PICTURE),
        encoded(PICTURE, compress_level=0),
        encoded(PICTURE, icc_profile=b"profile", transparency=(1, 2, 3)),
        png(zlib.compress(WHOLE), between=chunk(b"tEXt", b"Title\0a")),
        png(zlib.compress(WOVEN), interlaced=True),
    ],
    ids=["filtered", "stored", "with more chunks", "unfiltered", "interlaced"],
)
def test_the_pixels_are_those_of_pillow(file: bytes) -> None:
    assert np.array_equal(png_file.opened(file).pixels(), PICTURE)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file))), PICTURE)


def test_rows_of_more_than_a_block_of_deflate() -> None:
    picture = archives.pictures(1, 200, 0)[0]
    assert np.array_equal(png_file.opened(encoded(picture)).pixels(), picture)


@pytest.mark.parametrize(("mode", "depth"), [("L", 8), ("P", 1), ("RGBA", 8), ("LA", 8), ("1", 1), ("I;16", 16)])
def test_every_kind_of_png_is_known_to_be_whole(mode: str, depth: int) -> None:
    """With a width that no number of bits divides."""
    buffer = io.BytesIO()
    Image.new(mode, (13, 7)).save(buffer, "PNG")
    whole = png_file.opened(buffer.getvalue())
    whole.check()
    assert (whole.header.width, whole.header.height, whole.header.depth) == (13, 7, depth)


@pytest.mark.keeps("S29")
@pytest.mark.parametrize("end", [b"\0", chunk(b"IEND", b""), chunk(b"IDAT", zlib.compress(WHOLE))])
def test_what_follows_the_end_of_a_picture_is_refused(end: bytes) -> None:
    with pytest.raises(ValueError, match="after its end"):
        png_file.opened(encoded(PICTURE) + end)


@pytest.mark.keeps("S29")
def test_rows_without_end_are_not_inflated() -> None:
    with pytest.raises(ValueError, match="more than those"):
        png_file.opened(png(zlib.compress(bytes(1 << 28), 1))).check()
