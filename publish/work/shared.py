"""What all who carry out work must have in common: they see the archives, and may write where results go."""

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from loaders import Problem
from loaders.files.places import is_local
from publish.results import PARTIAL, check_store


def sees(files: Sequence[tuple[Path, int | None]]) -> None:
    """Raise Problem unless this machine has the files, of that many bytes, or folders. Runs wherever work is done."""
    for path, size in files:
        if not path.exists() or (size is not None and path.stat().st_size != size):
            raise Problem(
                f"sees no {path} as it is here: expected the same archives on all machines. Put it into --source, a "
                "folder that all mount under one path or a URL such as s3://bucket/archives."
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
