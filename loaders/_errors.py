"""The errors a person can mend: each says what was expected, what was found and what to do next."""


class Problem(Exception):
    """Something a person has to mend. `python -m publish` prints its text alone, without a traceback, and exits 1."""


class SourceProblem(Problem):
    """An archive is not what upstream published: wrong size, digest, layout, shape, label or member name."""


class MissingSources(Problem):
    """Archives that only a person can fetch are not there; the text lists every one of them. Exits 2."""


class UnknownConfig(Problem):
    """A dataset or config that does not exist; the text names the near ones. Exits 2."""


def shown(text: str | bytes, most: int = 100) -> str:
    """Return how an error shows a text that came out of a file: quoted, and a long one without its end."""
    return repr(text[:most]) + ("..." if len(text) > most else "")
