"""What the commands about one repository have in common: what went wrong in a line, with an exit code."""

import sys
from collections.abc import Callable

from loaders import Problem
from publish.console.exits import discreet


def exit_code(command: Callable[[], int], repository: str) -> int:
    """Run a command about a repository and return its exit code: 1 for a problem, 130 when it was stopped."""
    try:
        return command()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except Problem as problem:
        told = str(problem)
    except OSError as error:
        told = _spell(error, repository)
    print(f"error: {told}", file=sys.stderr)
    return 1


def _spell(error: OSError, repository: str) -> str:
    from publish.hub.client import as_problem, status_of  # imported late: it takes half a second

    if status_of(error):
        return str(as_problem(error, repository))
    return f"{error.filename or repository}: {error.strerror or discreet(error)}"
