"""What every reader of upstream's formats keeps to: errors, names, known litter."""

import gzip
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from zlib_ng import zlib_ng

from loaders._errors import SourceProblem

# What file servers, desktops and notebooks leave beside people's files: names of a file or of a folder, in any case.
_JUNK = {
    "macOS metadata": r"\._.*|\.ds_store|__macosx|icon\r|\.(apple\w*|apdisk|fseventsd|spotlight-v100|trashes)",
    "Windows metadata": r"(eh)?thumbs\.db|desktop\.ini|\$recycle\.bin|system volume information",
    "file server's folder": r"@eadir|@__thumb|[@#]recycle|[@#](recently-)?snapshots?|\.snapshots?|lost\+found|\.nfs.*",
    "notebook's folder": r"\.ipynb_checkpoints|__pycache__",
    "hidden file": r"\.(?!\.?$).*",
}
# What a browser or another that downloads calls a file until it is whole.
UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart", ".aria2", ".incomplete")
_KINDS = [(kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, pattern in _JUNK.items()]
_FIRST = frozenset(".@#$_DdEeIiLlSsTt")  # what the name of litter begins with: few others do

_FOREIGN_ERRORS: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error, gzip.BadGzipFile)
_FOREIGN_ERRORS += (cast(type[Exception], zlib_ng.error),)
_FOREIGN_ERRORS += (struct.error, EOFError, ValueError, KeyError, IndexError, NotImplementedError, OverflowError)
_FOREIGN_ERRORS += (TypeError, tokenize.TokenError)  # what NumPy raises over a damaged npy header


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what libraries raise over damaged bytes into a SourceProblem that names the file."""
    try:
        yield
    except SourceProblem:
        raise
    except _FOREIGN_ERRORS as error:
        raise SourceProblem(
            f"{path}: {what} cannot be read ({type(error).__name__}: {error}). "
            "The file is damaged or cut short: compare its size with the published one and download it again."
        ) from error


def junk(name: str) -> str | None:
    """Return the kind of known litter that a name of a member or file stands for, or None: by any part of its path.

    Whatever begins with a dot is litter: upstream has no such name.
    """
    for part in name.split("/") if "/" in name else (name,):
        if part[:1] in _FIRST:
            for kind, pattern in _KINDS:
                if pattern.fullmatch(part):
                    return kind
    return None


def leads_out(name: str) -> bool:
    """Say whether a name of a member or file is absolute, climbs out of its folder, or is none that upstream has."""
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/") or not name.isprintable()


def text_of(path: Path, most: int) -> bytes:
    """Return the bytes of a list; raises SourceProblem for one of more than `most`, before they are read; OSError."""
    if (size := path.stat().st_size) > most:
        raise SourceProblem(f"{path}: has {size:,} bytes, expected a list of at most {most:,}. Is it another file?")
    return path.read_bytes()
