"""Whether there is room on a disk."""

import shutil
from pathlib import Path

from loaders import Problem
from publish.console.progress import megabytes


def check_room(place: Path, need: float, there: int = 0, instead: str = "") -> None:
    """Raise Problem when the disk will be full: at the start rather than hours later.

    `need` is in bytes, `there` how many of them lie there already, `instead` another way out.
    """
    free = shutil.disk_usage(place).free
    if need - there > free:
        raise Problem(
            f"{place}: about {megabytes(need)} are needed there, {megabytes(free + there)} are free. "
            f"Make room, or choose another --out{instead}."
        )
