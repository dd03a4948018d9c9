"""What a person sees of long work: a bar on a terminal, a line a split elsewhere, a table at the end."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tqdm import tqdm


@dataclass
class Share:
    """What a worker has done: shards, their rows and bytes."""

    shards: int = 0
    rows: int = 0
    bytes: int = 0


class Progress:
    """Rows done of all rows, images/s, bytes written and time left, on standard error."""

    def __init__(self, rows: int | None = None) -> None:
        self._started = time.perf_counter()
        self.shares: dict[str, Share] = {}
        self._bar = _bar(rows)

    def expect(self, rows: int) -> None:
        """Take down how many rows there are, where that was not known at the start."""
        self._bar = _bar(rows)

    def add(self, worker: str, rows: int, size: int) -> None:
        """Count a finished shard."""
        share = self._count(worker, rows)
        share.shards, share.bytes = share.shards + 1, share.bytes + size
        done = sum(share.shards for share in self.shares.values())
        written = megabytes(sum(share.bytes for share in self.shares.values()))
        self._bar.set_postfix_str(f"{done} shards, {written} written, {len(self.shares)} workers", refresh=False)
        self._bar.update(rows)

    def count(self, worker: str, rows: int) -> None:
        """Count rows that are done, and no shard yet."""
        self._count(worker, rows)
        self._bar.update(rows)

    def _count(self, worker: str, rows: int) -> Share:
        share = self.shares.setdefault(worker, Share())
        share.rows += rows
        return share

    def at(self, what: str) -> None:
        """Say beside the bar what is being done."""
        self._bar.set_postfix_str(what)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def by_worker(self) -> str:
        """Return a table of what each worker has done."""
        seconds = time.perf_counter() - self._started
        rows = [
            (worker, str(s.shards), f"{s.rows:,}", megabytes(s.bytes), f"{s.rows / seconds:,.0f}")
            for worker, s in sorted(self.shares.items())
        ]
        return table(("worker", "shards", "images", "bytes", "images/s"), rows)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _bar(rows: int | None) -> "tqdm[NoReturn]":
    """Return a bar, which is shown on a terminal once it is known how many rows there are."""
    hidden = rows is None or not sys.stderr.isatty()
    return tqdm(total=rows, unit=" images", unit_scale=True, disable=hidden, smoothing=0.05)


def megabytes(size: float) -> str:
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines of columns: text to the left, what starts with a digit to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    right = [all(row[i][:1].isdigit() or row[i] == "-" for row in rows) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), line(["-" * w for w in widths]), *(line(row) for row in rows)])
