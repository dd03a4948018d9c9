"""Small originals of ILSVRC in each layout that labs have, and what regenerating them has to give."""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from loaders import classes
from loaders.ilsvrc import layout
from loaders.sources.sidecar import SIDECAR
from publish.sample import archives
from publish.sample.drawing import U8, draw

SIZES = (8, 16, 32, 64)
LABELS = [*range(4), *range(50, 1000, 190)]  # of ILSVRC; the first photographs of 0 to 3 are the odd ones
PER_CLASS = 23  # so that ten batches do not come out even
ODD_MODES = {"CMYK", "L", "RGB"}

Photos = dict[str, bytes]  # file name -> JPEG
Batch = dict[str, Any]


@dataclass(frozen=True)
class Originals:
    """Photographs, and their 1-based labels in the authors' order."""

    train: Mapping[str, Mapping[str, bytes]] = field(repr=False)  # WordNet id -> photographs
    validation: Mapping[int, bytes] = field(repr=False)  # number -> photograph

    def rows(self, split: str) -> list[tuple[str, bytes, int]]:
        """Return (file name, file, label from 1) by file name."""
        if split == "train":
            label = classes.label_of_wnid("clsloc")
            return sorted((n, f, label[wnid] + 1) for wnid, photos in self.train.items() for n, f in photos.items())
        clsloc = np.argsort(classes.clsloc_to_ilsvrc())
        ilsvrc = layout.validation_labels()
        return [
            (validation_name(number), file, int(clsloc[ilsvrc[number - 1]]) + 1)
            for number, file in sorted(self.validation.items())
        ]


def validation_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def drawn() -> Originals:
    """Draw photographs of several shapes, none a multiple of the sizes, some as odd as ILSVRC has them."""
    shapes = ((75, 101), (100, 67), (66, 66))
    wnids = classes.wnids("ilsvrc")
    kinds = [draw(np.array(LABELS), 3 + n % 3, *shapes[n % 3]) for n in range(PER_CLASS)]
    noise = np.random.default_rng(0)
    train = {
        wnids[label]: {
            f"{wnids[label]}_{n * 7 + 1}.JPEG": archives.odd_photo(wnids[label], n, speckled(kind[place], noise))
            for n, kind in enumerate(kinds)
        }
        for place, label in enumerate(LABELS)
    }
    numbers = [archives.first_of_each_class()[label] for label in LABELS]
    pictures = draw(np.array(LABELS), 6, 80, 71)
    return Originals(train, dict(zip(numbers, map(archives.jpeg, pictures), strict=True)))


def speckled(picture: U8, noise: np.random.Generator) -> U8:
    """Return a picture that no other is like."""
    speckles: U8 = noise.integers(0, 32, picture.shape, np.uint8)
    return picture ^ speckles


def lay_tars(folder: Path, originals: Originals) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    archives.write_ilsvrc_train(folder, {wnid: list(photos.items()) for wnid, photos in originals.train.items()})
    archives.write_ilsvrc_validation(folder, originals.validation.items())
    return folder


def lay_folders(folder: Path, originals: Originals, top: str = "", *, nested: bool = False) -> Path:
    """Lay out train/WNID/ and val/, or val/WNID/ when nested, under `top`."""
    for wnid, photos in originals.train.items():
        place = folder / top / "train" / wnid
        place.mkdir(parents=True)
        for name, file in photos.items():
            (place / name).write_bytes(file)
    for name, file, label in originals.rows("validation"):
        place = folder / top / "val" / (classes.wnids("clsloc")[label - 1] if nested else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(file)
    return folder


def plain_pillow(file: bytes, size: int, resample: str = "box") -> bytes:
    """Return a photograph as a batch has it, uint8 [3 S S], as Pillow says it in one line."""
    image = Image.open(io.BytesIO(file)).convert("RGB").resize((size, size), Image.Resampling[resample.upper()])
    return np.asarray(image).transpose(2, 0, 1).tobytes()


def center(file: bytes, size: int) -> bytes:
    """Return the center crop of a photograph as a batch has it, as ADM and EDM cut it."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size].transpose(2, 0, 1).tobytes()


def members(path: Path) -> Iterator[tuple[str, Batch]]:
    """Yield (name, arrays) of each batch of a zip, by NumPy's own reader."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            with archive.open(name) as file, np.load(io.BytesIO(file.read()), allow_pickle=False) as arrays:
                yield name, dict(arrays)


def train_zips(out: Path, size: int, infix: str = "") -> list[tuple[str, Batch]]:
    parts = ("_part1", "_part2") if size >= 64 else ("",)
    return [each for part in parts for each in members(out / f"Imagenet{size}{infix}_train{part}_npz.zip")]


def sidecar(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / SIDECAR).read_text(encoding="utf-8"))
    return content


def final_files(out: Path) -> list[str]:
    """Return what is under a final name."""
    found = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0] != ".partial")


def children(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
