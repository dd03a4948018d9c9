"""What a person sees of long work: a bar on a terminal, a line a split elsewhere, a table at the end."""

import sys
from collections.abc import Sequence

from tqdm import tqdm


class Progress:
    """Rows done of all rows, images/s, bytes written and time left, on standard error."""

    def __init__(self, rows: int) -> None:
        self._bytes = 0
        self._bar = tqdm(total=rows, unit=" images", unit_scale=True, disable=not sys.stderr.isatty(), smoothing=0.05)

    def add(self, rows: int, size: int) -> None:
        """Count a finished shard."""
        self._bytes += size
        self._bar.set_postfix_str(f"{megabytes(self._bytes)} written", refresh=False)
        self._bar.update(rows)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


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
