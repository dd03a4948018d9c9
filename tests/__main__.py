"""`python -m tests`: linter, formatting, types, then the tests, until one fails. Arguments go to pytest."""

import subprocess
import sys

# A file at a time to each core: what its tests share, such as a cluster or a publish of everything, is made once.
SHARED = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])


def main() -> int:
    """Run every check in turn and return the first exit code that is not 0."""
    for check in (*CHECKS, ["pytest", *SHARED, "--durations=10", *sys.argv[1:]]):
        print("$", " ".join(check), flush=True)
        if code := subprocess.call([sys.executable, "-m", *check]):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
