"""Whether a model goes round in circles. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

_SEEN = 512  # tokens that are looked back
_EVERY = 64
_GRAM = 8  # tokens that follow each other
_MOST_DIFFERENT = _SEEN // 6


class Loops:
    """Hears tokens; they go in circles when of the last 512 each row of eight comes six times in the mean.

    Tables and code repeat their frame, not the rows with what stands in it; a row of zeros that is longer counts, too.
    """

    def __init__(self) -> None:
        self._tokens: deque[int] = deque(maxlen=_SEEN)
        self._due = _SEEN

    def hear(self, tokens: Iterable[int]) -> bool:
        """Whether they go in circles by now."""
        for token in tokens:
            self._tokens.append(token)
            self._due -= 1
        if self._due > 0:
            return False
        self._due = _EVERY
        found = list(self._tokens)
        rows = {tuple(found[start : start + _GRAM]) for start in range(len(found) - _GRAM + 1)}
        return len(rows) <= _MOST_DIFFERENT

    def forget(self) -> None:
        """Begin anew."""
        self._tokens.clear()
        self._due = _SEEN
