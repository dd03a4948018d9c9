"""Archives in the upstream format of `imagenet_resized`, of pictures drawn by code, for benchmarks without photographs.

The pictures have the spectrum of photographs (amplitude falling with frequency, colours close to grey), so that deflate
and the PNG filters find about as much in them; what they show is nothing.
"""

import argparse
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 64  # pixels at which pictures are drawn; smaller sizes are box averages of these
CANVAS = 1024  # pixels of the fields that pictures are cut from
BLOCK = 512  # images drawn and written at a time
BATCHES = 10
STEEP = 1.5  # the exponent of the spectrum: amplitude falls as frequency ** -STEEP
TEXTURE = 3.5  # standard deviation of the finest grain, of 255
Fields = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@cache
def fields(seed: int) -> Fields:
    """Four square fields of low-frequency noise, float32 [4, CANVAS, CANVAS], of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(CANVAS)[:, None], np.fft.rfftfreq(CANVAS)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((4, CANVAS, CANVAS))) * frequency**-STEEP
    noise = np.fft.irfft2(spectrum, (CANVAS, CANVAS))
    scaled: Fields = (noise / noise.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    return scaled


def draw(rng: np.random.Generator, canvas: Fields, count: int) -> Pixels:
    """`count` pictures, uint8 [count, 3, SIDE, SIDE]: cuts of the fields, with random contrast, tint and grain."""
    pictures = np.empty((count, 3, SIDE, SIDE), np.float32)
    corners = rng.integers(0, CANVAS - SIDE, (count, 4, 2))
    mean, contrast = rng.uniform(60, 190, count), rng.gamma(3.0, 18.0, count)
    tint = rng.normal(0, 0.12, (count, 3, 4)).astype(np.float32) + np.array([1, 0, 0, 0], np.float32)
    for i in range(count):
        cut = np.stack([canvas[k, y : y + SIDE, x : x + SIDE] for k, (y, x) in enumerate(corners[i])])
        cut -= cut.mean(axis=(1, 2), keepdims=True)
        cut *= contrast[i] / max(float(cut[0].std()), 0.1)
        pictures[i] = np.tensordot(tint[i], cut, 1) + mean[i]
    grain = rng.standard_normal((count, 1, SIDE, SIDE), np.float32)
    pictures += grain * (TEXTURE * rng.gamma(1.0, 1.0, (count, 1, 1, 1)).astype(np.float32))
    return np.clip(pictures, 0, 255).astype(np.uint8)


def shrink(pictures: Pixels, size: int) -> Pixels:
    """Box averages, flattened as upstream does: uint8 [N, 3 * size * size], all red, then green, then blue."""
    step = SIDE // size
    boxes = pictures.reshape(len(pictures), 3, size, step, size, step)
    means = np.rint(boxes.mean(axis=(3, 5), dtype=np.float32)) if step > 1 else boxes
    return means.astype(np.uint8).reshape(len(pictures), -1)


def _info(name: str, compression: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)  # dated 1980, where zipfile would put the time of writing: same arguments, same bytes
    info.compress_type = compression
    return info


def _add(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], blocks: Iterator[NDArray[Any]], kind: str
) -> None:
    """Write one array of an npz block by block, as `numpy.savez_compressed` writes it whole."""
    with archive.open(_info(f"{name}.npy", zipfile.ZIP_DEFLATED), "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.astype(kind, copy=False).tobytes())


def _batch(path: Path, size: int, count: int, seed: Sequence[int]) -> NDArray[np.int64]:
    """Write data and labels of one batch to `path`; the sum of its rows, int64 [3 * size * size]."""
    rng, canvas, total = np.random.default_rng(seed), fields(seed[0]), np.zeros(3 * size * size, np.int64)

    def blocks() -> Iterator[Pixels]:
        for start in range(0, count, BLOCK):
            rows = shrink(draw(rng, canvas, min(BLOCK, count - start)), size)
            np.add(total, rows.sum(axis=0, dtype=np.int64), out=total)
            yield rows

    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "data", (count, 3 * size * size), blocks(), "u1")
        _add(archive, "labels", (count,), iter([np.random.default_rng([*seed, 1]).integers(1, 1001, count)]), "<i8")
    return total


def _store(path: Path, members: Sequence[Path]) -> None:
    with zipfile.ZipFile(path, "w") as outer:
        for member in members:
            info = _info(member.name, zipfile.ZIP_STORED)
            with member.open("rb") as npz, outer.open(info, "w", force_zip64=True) as file:
                shutil.copyfileobj(npz, file, 1 << 20)


def _write_size(out: Path, folder: Path, size: int, images: int, seed: int, pool: ProcessPoolExecutor) -> None:
    edges = [images * i // BATCHES for i in range(BATCHES + 1)]
    counts = [stop - start for start, stop in pairwise(edges)] + [max(1, images // 50)]
    names = [f"train_data_batch_{i}.npz" for i in range(1, BATCHES + 1)] + ["val_data.npz"]
    paths, seeds = [folder / name for name in names], [[seed, i] for i in range(len(names))]
    sums = list(pool.map(_batch, paths, [size] * len(names), counts, seeds))
    mean = sum(sums[:BATCHES], np.zeros(3 * size * size)) / images
    for path in paths[:BATCHES]:
        with zipfile.ZipFile(path, "a") as archive:
            _add(archive, "mean", mean.shape, iter([mean]), "<f8")
    _store(out / f"Imagenet{size}_val_npz.zip", paths[BATCHES:])
    if size == 64:
        _store(out / "Imagenet64_train_part1_npz.zip", paths[:5])
        _store(out / "Imagenet64_train_part2_npz.zip", paths[5:BATCHES])
    else:
        _store(out / f"Imagenet{size}_train_npz.zip", paths[:BATCHES])


def write(out: Path, sizes: Sequence[int] = (8, 16, 32, 64), images: int = 50_000, seed: int = 0) -> None:
    """Write the archives of `images` train pictures, and 2 % of that in validation, to the folder `out`.

    A train archive holds ten batches (64x64: two archives of five): `data` uint8 [N, 3 * size * size], `labels` int64
    [N] from 1 to 1000, `mean` float64 [3 * size * size] over all train pictures. The same arguments give the same
    bytes. Takes as much free space again as the largest archive, and a few hundred MB of memory.

    Raises:
        ValueError: fewer than ten images, or a size that upstream does not have.
    """
    if images < BATCHES or not set(sizes) <= {8, 16, 32, 64}:
        raise ValueError(f"expected at least {BATCHES} images at 8, 16, 32 or 64 px, got {images} at {list(sizes)}")
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for size in sizes:
            folder = Path(tempfile.mkdtemp(dir=out))
            try:
                _write_size(out, folder, size, images, seed, pool)
            finally:
                shutil.rmtree(folder)


def main() -> None:
    """Write archives from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the ImagenetN_*_npz.zip archives")
    parser.add_argument("--sizes", type=int, nargs="+", choices=(8, 16, 32, 64), default=[8, 16, 32, 64])
    parser.add_argument("--images", type=int, default=50_000, help="train images; validation has 2 %% of that")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.out, args.sizes, args.images, args.seed)


if __name__ == "__main__":
    main()
