"""`python -m tests`: linter, formatting, types, then the tests, until one fails. Arguments go to pytest."""

import subprocess
import sys

CHECKS = (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"])


def main() -> int:
    """Run every check in turn and return the first exit code that is not 0."""
    for check in (*CHECKS, ["pytest", "-n", "auto", "--dist", "loadgroup", *sys.argv[1:]]):
        print("$", " ".join(check), flush=True)
        if code := subprocess.call([sys.executable, "-m", *check]):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
