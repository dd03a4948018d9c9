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

_JUNK = {
    "macOS metadata": re.compile(r"(^|/)(\._[^/]*|\.DS_Store)$|^__MACOSX(/|$)"),
    "Windows metadata": re.compile(r"(^|/)(Thumbs\.db|desktop\.ini)$"),
}

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
    """Return the kind of known litter that a member name stands for, or None."""
    return next((kind for kind, pattern in _JUNK.items() if pattern.search(name)), None)


def leads_out(name: str) -> bool:
    """Say whether a name of a member or file is absolute, climbs out of its folder, or is none that upstream has."""
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/") or not name.isprintable()
