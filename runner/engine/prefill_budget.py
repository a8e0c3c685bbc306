"""How many tokens of prompts are read in one step with the next tokens of answers, so that no answer stalls."""

from __future__ import annotations

from collections import deque

_STEP_S = 0.07  # seconds that such a step should take, so that with some jitter a stream stalls no longer than 0.1 s
_TIMES = 1.5  # where answers alone take longer, a step takes at most so many times their seconds
_QUICKER, _SLOWER = 1.5, 2.0  # one step changes by no more what a token is thought to take: it may have been disturbed
_PATIENCE, _PATIENCE_S = 0.03, 0.1  # of the seconds that prompts take, and at most
_ALONE = 8  # every so many steps answers go alone, which shows how long they take by now


class PrefillBudget:
    """Learns from the steps before what answers alone take, and what each token of a prompt adds.

    No such token takes longer than one of an answer, which reads all weights for itself, or than its share of a step:
    so it begins. With one token at least, a prompt comes to its end on the slowest machine, too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._alone: deque[tuple[float, int]] = deque(maxlen=2)
        self._token_s = float("inf")
        self._steps = _ALONE

    def tokens(self, answers: int) -> int:
        """For the next step, with so many answers."""
        if self._steps >= _ALONE:
            return 0
        alone_s = self._answers_s(answers)
        room_s = max(_STEP_S, _TIMES * alone_s) - alone_s
        return min(self._most, max(1, int(room_s / self._token_s)))

    def patience_s(self, tokens: int) -> float:
        """How long prompts of so many tokens, which are read when nobody answers, may wait for others to come.

        Those who ask at the same moment are read together so; who comes later is read beside answers, several times as
        slowly. 0 while it is not known what a token takes.
        """
        return min(_PATIENCE_S, _PATIENCE * tokens * self._token_s) if self._token_s < float("inf") else 0.0

    def renew(self) -> None:
        """Another prompt is to be read: answers go alone once, for how long they take may have changed."""
        self._steps = _ALONE

    def learn(self, seconds: float, answers: int, read: int) -> None:
        """A step with next tokens of so many answers has taken so long, with so many tokens of prompts."""
        self._token_s = min(self._token_s, seconds / (answers or read))
        if not read:
            self._alone.append((seconds, answers))
            self._steps = 0
        elif answers:
            self._steps += 1
            added_s = min((seconds - self._answers_s(answers)) / read, seconds / (answers + read))
            self._token_s = min(max(added_s, self._token_s / _QUICKER), self._token_s * _SLOWER)

    def _answers_s(self, count: int) -> float:
        """What so many answers alone take: by the quicker one of the last two steps, for one may have been disturbed.

        An answer that has begun since takes no longer than a token of a prompt.
        """
        return min(max(0.0, seconds + (count - then) * self._token_s) for seconds, then in self._alone)
