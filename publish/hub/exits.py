"""What the commands about one repository have in common: what went wrong in a line, with an exit code."""

from collections.abc import Callable

from publish.console import exits
from publish.console.exits import discreet


def exit_code(command: Callable[[], int], repository: str) -> int:
    """Run a command about a repository and return its exit code, as `console.exits.exit_code`."""
    return exits.exit_code(command, after="", spell=lambda error: _spell(error, repository), stopped="stopped")


def _spell(error: Exception, repository: str) -> str | None:
    from publish.hub.client import as_problem, status_of  # imported late: it takes half a second

    if not isinstance(error, OSError):
        return None
    if status_of(error):
        return str(as_problem(error, repository))
    return f"{error.filename or repository}: {error.strerror or discreet(error)}"
