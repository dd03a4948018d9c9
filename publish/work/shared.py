"""What all who carry out work must have in common: they see the archives, and may write where results go."""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from loaders import Problem, SourceProblem
from loaders.files.places import is_local
from loaders.files.seen import Seen
from publish.results import PARTIAL, check_store


def sees(files: Sequence[Seen], folders: Sequence[Path]) -> None:
    """Raise Problem unless this machine has the files, as they were seen, and the folders. Runs where work is done."""
    for path in folders:
        if not path.is_dir():
            raise _unseen(path, "found no such folder")
    for file in files:
        try:
            file.check()
        except SourceProblem as problem:
            raise _unseen(file.path, str(problem)) from problem


def _unseen(path: Path, why: str) -> Problem:
    return Problem(
        f"sees no {path} as it is here: expected the same archives, of the same size and times, on all machines. Put "
        "it into --source, a folder that all mount in the same way and under one path, or a URL such as "
        f"s3://bucket/archives. ({why})"
    )


def takes(out: Path) -> Callable[[], object]:
    """Return what raises Problem unless results can be written to `out` where it is called."""
    if not is_local(out):
        return partial(check_store, out)
    mark, word = out.absolute() / PARTIAL / "mark", uuid.uuid4().hex
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(word)
    return partial(_is_shared, out, mark, word)


def _is_shared(out: Path, mark: Path, word: str) -> None:
    if not mark.is_file() or mark.read_text() != word:
        raise Problem(
            f"does not see the folder {out}: expected a disk that all machines share. Mount it there under the same "
            "path, or give --out a URL such as s3://bucket/folder. To publish, let workers send shards: --push-to."
        )
