"""Which of several files was used last, also where the clock was put back since. Edge: the disk."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_STEP_NS = 1_000_000  # every file system of ours tells two times apart that lie this far from each other


def mark_used(path: Path, among: Iterable[Path]) -> None:
    """Date a file now, and behind the latest of the others: what a clock that was ahead has dated is not used later.

    A file that is not there, or a disk that refuses, changes nothing.
    """
    with suppress(OSError):
        latest = max((_dated(other) for other in among if other != path), default=0)
        moment = max(time.time_ns(), latest + _STEP_NS)
        os.utime(path, ns=(moment, moment))


def _dated(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
