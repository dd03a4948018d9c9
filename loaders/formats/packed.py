"""A tar that is packed once more: by gzip, in a zip, or both. It is read in place, and never extracted.

What is compressed can be read forwards only. A thread keeps the one that it has open, so that a job goes on where the
job before it stopped.
"""

import threading
import zipfile
from pathlib import Path
from typing import BinaryIO

from loaders._errors import SourceProblem
from loaders.files.places import is_local, state
from loaders.files.reading import open_file
from loaders.formats.streams import gunzipped
from loaders.formats.untrusted import junk, reading
from loaders.formats.zips import find_zip_member, zip_directory

_MOST = 1 << 38  # bytes of a tar in a zip: the largest that is known has half of that
_ZIP, _GZIP = b"PK\x03\x04", b"\x1f\x8b"


def _head(path: Path) -> bytes:
    with open_file(path, ahead=False) as file:
        return file.read(len(_ZIP))


def zipped_tar(path: Path) -> str:
    """Return the one member of a zip; raises SourceProblem when there are others, of which none is litter."""
    with reading(path, "the zip directory"), open_file(path) as file:
        names = [info.filename for info in zip_directory(file) if not info.is_dir() and not junk(info.filename)]
    if len(names) != 1:
        raise SourceProblem(f"{path}: is a zip of {len(names):,} files, expected a single tar in it. Unpack it.")
    return names[0]


def is_compressed(path: Path) -> bool:
    """Say whether a tar can only be read forwards."""
    if (head := _head(path)) != _ZIP:
        return head[:2] == _GZIP
    with reading(path, "the zip directory"), open_file(path) as file:
        stored = {info.filename: info.compress_type == zipfile.ZIP_STORED for info in zip_directory(file)}
    return not stored[zipped_tar(path)] or _is_gzip_member(path)


def _is_gzip_member(path: Path) -> bool:
    with find_zip_member(path, zipped_tar(path), most=_MOST).open(ahead=False) as file:
        return file.read(2) == _GZIP


def open_tar(path: Path) -> BinaryIO:
    """Open a tar for reading here and there, whatever it is packed in; backwards, a compressed one starts anew."""
    head = _head(path)
    if head[:2] == _GZIP:
        return gunzipped(path if is_local(path) else open_file(path))
    if head != _ZIP:
        return open_file(path, ahead=False)
    member = find_zip_member(path, zipped_tar(path), most=_MOST)
    return gunzipped(member.open()) if _is_gzip_member(path) else member.open(ahead=False)


class _Open(threading.local):
    """The compressed tar that a thread has open, if any."""

    file: BinaryIO | None = None
    key: object = None


_open_here = _Open()


def reopened(path: Path, start: int) -> BinaryIO:
    """Return a compressed tar at or before byte `start`: the one that this thread has open, if it is not beyond."""
    key = (path, *state(path))  # a worker of a cluster outlives a run, and an archive may be replaced
    if _open_here.file is None or _open_here.key != key or _open_here.file.tell() > start:
        close()
        _open_here.file, _open_here.key = open_tar(path), key
    return _open_here.file


def close() -> None:
    """Close what this thread has open."""
    if _open_here.file is not None:
        _open_here.file.close()
    _open_here.file = _open_here.key = None
