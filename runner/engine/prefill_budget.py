"""How many tokens of prompts are read in one step with the next tokens of answers, so that no answer stalls."""

from __future__ import annotations

_STEP_S = 0.08  # seconds that such a step should take: some jitter, and a stream stalls no longer than 0.1 s
_TIMES = 2.0  # where answers alone take longer, a step takes at most so many times their seconds
_FIRST, _LEAST, _GROWTH = 16, 4, 2.0
_ALONE = 8  # every so many steps answers go alone, which shows how long they take by now


class PrefillBudget:
    """Learns from the steps before: as many tokens as would have filled the time, at most twice as many as last time.

    With a few tokens at least, a prompt comes to its end on the slowest machine, too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tokens = float(min(_FIRST, most))
        self._answers_s = 0.0
        self._steps = 0

    @property
    def tokens(self) -> int:
        """For the next step."""
        return int(self._tokens) if self._steps < _ALONE else 0

    def learn(self, seconds: float, read: int) -> None:
        """A step with next tokens of answers has taken so long, with so many tokens of prompts."""
        if not read:
            self._answers_s, self._steps = seconds, 0
            return
        self._steps += 1
        wanted = max(_STEP_S, _TIMES * self._answers_s)
        fitting = read * min(_GROWTH, wanted / seconds)
        self._tokens = min(max(fitting, min(_LEAST, self._most)), self._most)
