"""Whether an archive is what it should be: its size at once, its SHA-256 when that was found."""

from collections.abc import Iterable

from loaders._errors import SourceProblem
from loaders.files.reading import open_file
from loaders.sources.source import Archive, Source


def check_size(archive: Archive, siblings: Iterable[Source], partial: bool) -> None:
    """Raise SourceProblem when the file is a web page, or has another size than expected and `partial` is not set."""
    path, expected = archive.path, archive.expected
    if path.is_dir():
        return
    with open_file(path, ahead=False) as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        raise SourceProblem(
            f"{path}: expected an archive, got text/html. The server sent a page instead of the file: "
            "sign in at https://image-net.org in a browser, download it again and check its size."
        )
    size = archive.bytes
    if partial or expected is None or size == expected.bytes:
        return
    same = next((s.name for s in siblings if s.bytes == size), None)
    hint = f" It has the size of {same}: was it renamed?" if same else ""
    raise SourceProblem(
        f"{path}: expected {expected.bytes:,} bytes ({expected.origin}'s size), found {size:,}.{hint} "
        "Download it again, or pass --allow-partial (allow_partial=True) to build from it as it is."
    )


def check_digest(archive: Archive, sha256: str, partial: bool) -> None:
    """Raise SourceProblem when the digest is not the expected one and `partial` is not set."""
    expected = archive.expected
    if partial or expected is None or sha256 == expected.sha256:
        return
    raise SourceProblem(
        f"{archive.path}: expected SHA-256 {expected.sha256} ({expected.origin}'s), found {sha256}. "
        "The file is damaged or another one: download it again, or pass --allow-partial (allow_partial=True) "
        "to build from it as it is."
    )
