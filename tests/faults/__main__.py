"""`python -m tests.faults [ROW ...]`: what can go wrong, what is promised, and the tests that keep it.

Exits 1 if a row is kept by no test. `pytest -m keeps` runs all of them.
"""

import sys
import textwrap

from tests.faults.table import Promise, keepers, promises


def main(wanted: list[str]) -> int:
    """Print the rows asked for, all without any."""
    kept, unkept = keepers(), 0
    rows = [promise for promise in promises() if not wanted or promise.row in wanted]
    for promise in rows:
        tests = kept.get(promise.row, [])
        unkept += not tests
        print(_told(promise, tests), end="\n\n")
    print(f"{len(rows)} rows, {len(rows) - unkept} of them kept, by {len({t for k in kept.values() for t in k})} tests")
    return 1 if unkept else 0


def _told(promise: Promise, tests: list[str]) -> str:
    said = [promise.promise, *([f"({promise.reason})"] if promise.reason else [])]
    lines = [textwrap.fill(text, 110, initial_indent="     ", subsequent_indent="     ") for text in said]
    return "\n".join([f"{promise.row:4} {promise.fault}", *lines, *(f"     - {test}" for test in tests or ["NO TEST"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
