"""Whether weights are still the files that were read when they were planned. Edge: the disk, read only."""

from __future__ import annotations

from pathlib import Path

from models.errors import BadFile
from models.weights import WeightSet


def modified_at(path: Path) -> int | None:
    """When its content was written, in ns since 1970; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def check_unchanged(weights: WeightSet) -> None:
    """BadFile for a file that is not here, or has another size or time than when it was found.

    Inode numbers are left out: some file systems give a file another one every time.
    """
    for file in weights.files:
        try:
            found = file.path.stat() if file.path else None
        except OSError:
            found = None
        if found is None:
            raise BadFile(f"{file.path or file.name} is not here any more.")
        if found.st_size != file.bytes or file.modified not in (None, found.st_mtime_ns):
            raise BadFile(f"{file.path} has changed since it was planned: run this again, for what it is by now.")
