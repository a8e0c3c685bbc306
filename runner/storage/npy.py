"""A matrix of float32 in numpy's own format, which grows row by row and is whole at every moment. Edge: disk."""

from __future__ import annotations

import sys
from pathlib import Path

_HEAD = 128  # bytes: numpy wants a multiple of 64, and any number of rows fits
_ORDER = "<" if sys.byteorder == "little" else ">"


class Matrix:
    """The file at `path`, made anew. OSError where the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._rows = self._width = 0
        self._write_head()

    def add(self, width: int, rows: bytes) -> None:
        """Rows of so many float32 each, in this machine's byte order, behind those before."""
        self._file.seek(0, 2)
        self._file.write(rows)
        self._file.flush()
        self._width, self._rows = width, self._rows + len(rows) // (4 * width)
        self._write_head()

    def close(self) -> None:
        """Everything is written."""
        self._file.close()

    def _write_head(self) -> None:
        """The version 1.0 of the format: magic, length, a Python literal, filled up with spaces to a line end."""
        shape = f"({self._rows}, {self._width})"
        text = f"{{'descr': '{_ORDER}f4', 'fortran_order': False, 'shape': {shape}, }}"
        length = _HEAD - 10
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode() + b"\n")
        self._file.flush()
