"""How long a step takes by how many tokens its batch has: measured, and guessed from its neighbours where it is not."""

from __future__ import annotations

from bisect import bisect, insort

_FASTER, _SLOWER = 0.5, 0.1  # of the difference to the newest one: what else a machine does only slows
_SLOPE = 0.5  # of a step of one token, for each further one, until something is measured


class StepTimes:
    """In steps of one token: a machine that slows down changes all of them alike. `most` tokens at most."""

    def __init__(self, most: int) -> None:
        self.one_s: float | None = None
        """Seconds of a step of one token."""
        self._measured = {1: 1.0}
        self._sizes = [1]
        self._table = self._filled(most)

    def of(self, size: int) -> float:
        """Of a batch of so many tokens."""
        return self._table[size]

    def learn(self, size: int, seconds: float) -> None:
        """So long it took."""
        if self.one_s is None:
            self.one_s = seconds / self._table[size]
        elif size == 1:
            self.one_s = nearer(self.one_s, seconds)
        elif size < len(self._table):
            if size not in self._measured:
                insort(self._sizes, size)
            self._measured[size] = nearer(self._table[size], max(1.0, seconds / self.one_s))
            self._table = self._filled(len(self._table) - 1)

    def _filled(self, most: int) -> list[float]:
        return [0.0, *map(self._between, range(1, most + 1))]

    def _between(self, size: int) -> float:
        """On the line through its neighbours; beyond the last one, as steep as from the first to it."""
        at = bisect(self._sizes, size)
        below = self._sizes[at - 1]
        low = self._measured[below]
        if at < len(self._sizes):
            above = self._sizes[at]
            return low + (self._measured[above] - low) * (size - below) / (above - below)
        slope = (low - 1) / (below - 1) if below > 1 else _SLOPE
        return low + slope * (size - below)


def nearer(known: float | None, newest: float) -> float:
    """A measured time, when it was measured once more."""
    if known is None:
        return newest
    return known + (_FASTER if newest < known else _SLOWER) * (newest - known)
