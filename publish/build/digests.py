"""The SHA-256 of every archive, found and checked beside the build, which need not wait for it.

Nothing gets its final name before the archives it came from are verified.
"""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from loaders import Archive
from loaders.sources.checks import check_digest


class Digests:
    """Hashes archives in two threads; hashing leaves Python's lock free.

    An archive that is too large to be hashed each time has None for a digest, unless `full`.
    """

    def __init__(self, archives: Iterable[Archive], partial: bool, full: bool) -> None:
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(2)
        self._futures: dict[Archive, Future[str | None]] = {
            archive: self._pool.submit(self._digest, archive, partial, full) for archive in archives
        }

    def __enter__(self) -> "Digests":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(cancel_futures=True)

    def raise_found(self) -> None:
        """Raise SourceProblem if an archive has turned out wrong by now."""
        for future in self._futures.values():
            if future.done():
                future.result()

    def wait(self, archives: Iterable[Archive]) -> Mapping[Archive, str | None]:
        """Return the digest of each archive; raises SourceProblem when one is wrong."""
        return {archive: self._futures[archive].result() for archive in archives}

    def _digest(self, archive: Archive, partial: bool, full: bool) -> str | None:
        if not archive.hashed and not full:
            return None
        sha256 = archive.sha256(self._stop.is_set)
        check_digest(archive, sha256, partial)
        return sha256
