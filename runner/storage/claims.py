"""A file that one owner at a time goes on with: made by one alone, locked while it is held. Edge: disk."""

from __future__ import annotations

import errno
import fcntl
import os
from itertools import count
from pathlib import Path


class Claim:
    """A held file; it is let go with `close`, or when nobody has the claim any more."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let others have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.close()


def claim(path: Path) -> Claim:
    """Hold a file that is there. BlockingIOError where another holds it; a disk that knows no locks grants all."""
    held = Claim(path, descriptor := os.open(path, os.O_RDWR))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise BlockingIOError(errno.EAGAIN, "it is open elsewhere") from None
    except OSError:
        return held
    return held


def claim_new(first: Path) -> Claim:
    """Make a file that nobody else has made, for its owner only, and hold it: `STEM.x`, else `STEM-2.x`, ..."""
    first.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in count(1):
        path = first if number == 1 else first.with_name(f"{first.stem}-{number}{first.suffix}")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return claim(path)
        except (FileExistsError, BlockingIOError):
            continue
    raise AssertionError("numbers do not end")
