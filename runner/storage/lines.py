"""Lines at the end of a file that only grows. Edge: disk."""

import os
from pathlib import Path


def append_lines(path: Path, lines: bytes, *, sync: bool = False) -> None:
    """Add whole lines to a file, which is made with its folder and for its owner only.

    A line that an earlier crash has cut is ended first. With `sync` they are on the disk when this returns. OSError
    where it refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(path, "a+b", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        cut = size > 0 and file.read(1) != b"\n"
        file.write(b"\n" * cut + lines)
        file.flush()
        if sync:
            os.fsync(file.fileno())
