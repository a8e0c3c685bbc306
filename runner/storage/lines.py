"""Lines at the end of a file that only grows. Edge: disk."""

import os
from contextlib import suppress
from pathlib import Path


def append_lines(path: Path, lines: bytes, *, sync: bool = False) -> None:
    """Add whole lines to a file, which is made with its folder and for its owner only: all of them, or none.

    A line that an earlier crash has cut is ended first. With `sync` they are on the disk when this returns. OSError
    where it refuses; then the file is as long as before, for whoever tries again. One writer at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        try:
            _write(descriptor, b"\n" * cut + lines)
            if sync:
                os.fsync(descriptor)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """All of it: a disk that is nearly full takes a part, and refuses the rest."""
    while data:
        data = data[os.write(descriptor, data) :]
