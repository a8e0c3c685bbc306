"""How often a guess comes true, learned from those that were made."""

from __future__ import annotations

from collections.abc import Sequence

_NEW = 1 / 16  # of the mean is the newest one's
_SUREST = 0.995


class Odds:
    """One for each class of guesses, the least sure first; `first` is what they are taken for until they are known."""

    def __init__(self, first: Sequence[float]) -> None:
        self._odds = list(first)

    def of(self, kind: int) -> float:
        """Of a guess of this class, or of the last one where there are not so many."""
        return self._odds[min(kind, len(self._odds) - 1)]

    def learn(self, kind: int, came_true: bool) -> None:
        """One of this class did, or did not."""
        kind = min(kind, len(self._odds) - 1)
        self._odds[kind] = min(_SUREST, self._odds[kind] + _NEW * (came_true - self._odds[kind]))
