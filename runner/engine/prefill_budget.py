"""How many tokens of prompts are read in one step with the next tokens of answers, so that no answer stalls."""

from __future__ import annotations

from collections import deque

_STEP_S = 0.06  # seconds that such a step should take, so that with some jitter a stream stalls no longer than 0.1 s
_TIMES = 1.5  # where answers alone take longer, a step takes at most so many times their seconds
_GROWTH = 1.5  # at most so many times as many as in the step before: one that was quick may have been so by chance
_ALONE = 8  # every so many steps answers go alone, which shows how long they take by now


class PrefillBudget:
    """Learns from the steps before what answers alone take, and what each token of a prompt adds.

    No such token takes longer than one of an answer, which reads all weights for itself: so it begins. With one token
    at least, a prompt comes to its end on the slowest machine, too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._alone_s = deque((float("inf"),), maxlen=2)
        self._token_s = float("inf")
        self._steps = _ALONE

    @property
    def tokens(self) -> int:
        """For the next step."""
        if self._steps >= _ALONE:
            return 0
        room_s = max(_STEP_S, _TIMES * self._answers_s) - self._answers_s
        return min(self._most, max(1, int(room_s / self._token_s)))

    def renew(self) -> None:
        """Another prompt is to be read: answers go alone once, for how long they take may have changed."""
        self._steps = _ALONE

    def learn(self, seconds: float, answers: int, read: int) -> None:
        """A step with next tokens of so many answers has taken so long, with so many tokens of prompts."""
        if not read:
            self._alone_s.append(seconds)
            self._steps = 0
            self._token_s = min(self._token_s, seconds / answers)
            return
        self._steps += 1
        self._token_s = max((seconds - self._answers_s) / read, self._token_s / _GROWTH)

    @property
    def _answers_s(self) -> float:
        """What answers alone take: the quicker one of the last two steps, for one may have been disturbed."""
        return min(self._alone_s)
