"""Plain tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of as many cells as `head`, which may be all empty; the columns in `right` are set flush right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()

    def lines(self) -> list[str]:
        """Columns as wide as they need, two spaces between them."""
        shown = [self.head, *self.rows] if any(self.head) else list(self.rows)
        widths = [max((len(row[column]) for row in shown), default=0) for column in range(len(self.head))]
        return ["  ".join(self._cells(row, widths)).rstrip() for row in shown]

    def _cells(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            cell.rjust(width) if column in self.right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
