"""The same tiny rows in the other forms in which people hold a dataset: each lays out one, beside nothing else."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from publish.sample import archives as writers
from tests.kit import archives

Files = Mapping[str, bytes]


def write(folder: Path, files: Files) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def zip_of(files: Files, *, deflated: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


# imagenet_resized


def batches(size: int, protocol: int | None = None) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the batches of train and of validation by name: npz, or pickled by a protocol."""
    train, validation = archives.resized_batches(size)
    named = {f"train_data_batch_{n}": batch for n, batch in enumerate(train, 1)}, {"val_data": validation}
    if protocol is None:
        return tuple({f"{n}.npz": writers.npz(b) for n, b in each.items()} for each in named)  # type: ignore[return-value]
    return tuple(  # type: ignore[return-value]
        {n: archives.pickled({**b, "labels": b["labels"].tolist()}, protocol, "numpy.core") for n, b in each.items()}
        for each in named
    )


def under(top: str, files: Files) -> dict[str, bytes]:
    return {f"{top}/{name}": data for name, data in files.items()}


def parts(files: Files) -> tuple[dict[str, bytes], dict[str, bytes]]:
    items = list(files.items())
    return dict(items[:5]), dict(items[5:])


def pickle_zips(folder: Path, size: int = 8, *, deflated: bool = False, top: str = "", protocol: int = 3) -> None:
    train, validation = batches(size, protocol)
    halves = {"_part1": parts(train)[0], "_part2": parts(train)[1]} if size == 64 else {"": train}
    named = {f"Imagenet{size}_train{part}": files for part, files in halves.items()} | {
        f"Imagenet{size}_val": validation
    }
    write(
        folder,
        {
            f"{stem}.zip": zip_of(under(top or stem, files) if top else files, deflated=deflated)
            for stem, files in named.items()
        },
    )


def _renamed(folder: Path, names: Mapping[str, str]) -> None:
    archives.resized(folder, [8])
    for old, new in names.items():
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)


def _flat(folder: Path, size: int, protocol: int | None, place: str = ".") -> None:
    train, validation = batches(size, protocol)
    write(folder / place, train | validation)


def _in_folders(folder: Path, protocol: int | None, train_place: str, validation_place: str, mark: str = "") -> None:
    train, validation = batches(8, protocol)
    for place, files in ((train_place, train), (validation_place, validation)):
        marked = {
            name.replace(".npz", f"{mark}.npz") if protocol is None else name + mark: f for name, f in files.items()
        }
        write(folder / place, marked)


def _zipped_folder(folder: Path) -> None:
    train, validation = batches(8)
    write(
        folder / "Downloads",
        {
            "IMAGENET8_train (1).ZIP": zip_of(under("Imagenet8_train", train), deflated=True),
            "imagenet8_val copy.zip": zip_of(under("Imagenet8_val", validation)),
        },
    )


def _parts_in_folders(folder: Path) -> None:
    train, validation = batches(64, 3)
    for part, files in enumerate(parts(train), 1):
        write(folder / "nas" / f"Imagenet64_train_part{part}", files)
    write(folder / "nas", validation)


RESIZED: dict[str, tuple[int, Callable[[Path], None]]] = {
    "zips of pickles": (8, pickle_zips),
    "deflated zips of pickles in a folder": (8, lambda f: pickle_zips(f, deflated=True, top="Imagenet8", protocol=4)),
    "zips of pickles in two parts": (64, lambda f: pickle_zips(f, 64)),
    "zips of pickles below": (8, lambda f: pickle_zips(_made(f / "a" / "b"))),
    "one zip": (8, lambda f: write(f, {"all.zip": zip_of({**batches(8, 3)[0], **batches(8, 3)[1]})})),
    "pickles in one folder": (8, lambda f: _flat(f, 8, 3)),
    "npz in one folder": (8, lambda f: _flat(f, 8, None)),
    "pickles in one folder two below": (16, lambda f: _flat(f, 16, 4, "data/ImageNet16")),
    "copies in another case": (
        8,
        lambda f: _renamed(
            f,
            {
                "Imagenet8_train_npz.zip": "imagenet8_TRAIN_npz (1).zip",
                "Imagenet8_val_npz.zip": "x/y/Imagenet8_Val_npz(2).zip",
            },
        ),
    ),
    "folders in another case, files that are copies": (
        8,
        lambda f: _in_folders(f, 3, "imagenet8_TRAIN (1)", "x/IMAGENET8_val", " (1)"),
    ),
    "npz that are copies": (8, lambda f: _in_folders(f, None, "one", "two/three", " (1)")),
    "zips of folders of npz, copies, below": (8, _zipped_folder),
    "parts in folders below": (64, _parts_in_folders),
}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


# downsampled_imagenet


def unpack_tars(folder: Path, into: str = "") -> None:
    """Put what each tar holds in its place."""
    for path in sorted(folder.glob("*.tar*")):
        with tarfile.open(path) as archive:
            archive.extractall(folder / into, filter="data")
        path.unlink()


def _downsampled(folder: Path) -> Path:
    archives.downsampled(folder)
    return folder


def _packed(folder: Path, name: Callable[[str], str], pack: Callable[[str, bytes], bytes]) -> None:
    for path in sorted(_downsampled(folder).glob("*.tar")):
        write(folder, {name(path.stem): pack(path.name, path.read_bytes())})
        path.unlink()


def _sorted_by_split(folder: Path) -> None:
    unpack_tars(_downsampled(folder))
    for size in (32, 64):
        for old, new in (("train", "train"), ("valid", "Validation")):
            (folder / f"{size}").mkdir(exist_ok=True)
            (folder / f"{old}_{size}x{size}").rename(folder / f"{size}" / new)


def _copied_folders(folder: Path) -> None:
    unpack_tars(_downsampled(folder), "a/b")
    for path in list((folder / "a" / "b").iterdir()):
        path.rename(path.with_name(f"{path.name.upper()} (1)"))
    write(folder, {"a/b/TRAIN_32X32 (1)/.DS_Store": b"-", "a/b/TRAIN_32X32 (1)/@eaDir": b"-"})


DOWNSAMPLED: dict[str, Callable[[Path], None]] = {
    "folders": lambda f: unpack_tars(_downsampled(f)),
    "folders by size and split": _sorted_by_split,
    "folders that are copies, below, with litter": _copied_folders,
    "gzip": lambda f: _packed(f, lambda stem: f"{stem}.tar.gz", lambda _, data: gzip.compress(data, 1)),
    "gzip, copies in another case, below": lambda f: _packed(
        f, lambda stem: f"x/{stem.upper()}.TGZ", lambda _, data: gzip.compress(data, 1)
    ),
    "in a zip": lambda f: _packed(f, lambda stem: f"{stem}.zip", lambda name, data: zip_of({name: data})),
    "deflated in a zip": lambda f: _packed(
        f, lambda stem: f"{stem}.tar.zip", lambda name, data: zip_of({f"a/{name}": data}, deflated=True)
    ),
    "gzip in a zip": lambda f: _packed(
        f, lambda stem: f"{stem}.zip", lambda name, data: zip_of({f"{name}.gz": gzip.compress(data, 1)})
    ),
    "tars of other names": lambda f: _packed(
        f, lambda stem: f"imagenet-{stem[:2]}{stem[-2:]}.tar", lambda _, data: data
    ),
}


# imagenet_v2


def _v2_tars(folder: Path, layout: str, name: str, top: str, *, compressed: bool = False) -> None:
    """Lay out tars of other names with other top folders; `{}` stands for what upstream calls a config."""
    for config, called in writers.V2.items():
        start = f"{top.format(called)}/" if top else ""
        data = writers.tar((f"{start}{c}/{file}", photo) for c, file, photo in archives.v2_photos(config, layout))
        write(folder, {name.format(called): gzip.compress(data, 1) if compressed else data})


def _v2_folders(folder: Path, layout: str, place: str) -> None:
    for config, called in writers.V2.items():
        photos = archives.v2_photos(config, layout)
        write(
            folder / place.format(called), {f"{c}/{file}": photo for c, file, photo in photos} | {"0/.DS_Store": b"-"}
        )


_UPSTREAM = "imagenetv2-{}.tar.gz"
V2: dict[str, Callable[[Path], None]] = {
    "December 2020": lambda f: _v2_tars(f, "wnid", _UPSTREAM, "imagenet-{}-format-val", compressed=True),
    "no top folder": lambda f: _v2_tars(f, "index", "ImageNetV2-{} (1).tar.gz", ""),
    "a plain tar of another name": lambda f: _v2_tars(f, "index", "x/{}.tar", "imagenetv2-{}-format-val"),
    "folders by number": lambda f: _v2_folders(f, "index", "imagenetv2-{}-format-val"),
    "folders by WordNet id, of December 2020": lambda f: _v2_folders(f, "wnid", "imagenet-{}-format-val"),
    "folders that are copies, below": lambda f: _v2_folders(f, "index", "data/v2/ImageNetV2-{}-format-val (1)"),
}
