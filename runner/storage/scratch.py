"""A folder for files that only this process needs; what others of ours left when they were killed goes. Edge: disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from contextlib import suppress
from pathlib import Path

_PREFIX = "localrun-scratch-"
_YOUNG_S = 60.0  # its owner may not have locked it yet


class Scratch:
    """Made at once, removed by `close` or with this process; one that is killed leaves it to the next. OSError."""

    def __init__(self) -> None:
        sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(self.path, os.O_RDONLY)  # the kernel lets go of it when this process ends
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.close = weakref.finalize(self, _remove, self.path, lock)


def sweep(folder: Path) -> None:
    """Remove what nobody holds any more below the folder for temporary files."""
    for left in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another's, or gone by now
            found = left.stat()
            if found.st_uid == os.getuid() and abs(time.time() - found.st_mtime) > _YOUNG_S:
                _sweep(left)


def _sweep(left: Path) -> None:
    lock = os.open(left, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(left)
    finally:
        os.close(lock)


def _remove(path: Path, lock: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
