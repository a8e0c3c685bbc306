"""How many tokens to draft: as many as are expected to bring most tokens a second, and none where none pay."""

from __future__ import annotations

from collections.abc import Sequence

from runner.engine.step_times import StepTimes

_CLEARLY = 1.04  # times as many tokens a second as without
_START = 2.0  # steps that may be lost on a fresh engine
_MOST = 16.0  # steps that may be lost after drafts have gained more
_INCOME = 0.01  # of all steps may go into trying
_TILE = 4  # kernels take so many tokens together: five take nearly as long as eight


class DraftLength:
    """Weighs what drafts are expected to bring against what they cost, and never spends what it has not.

    Its purse is counted in steps: it holds what drafts have gained so far, up to a bound, and the hundredth part of
    every plain step. A draft is made only where the purse could bear that nothing of it is accepted. So drafts that are
    always wrong, whatever was expected of them, cost two steps and 1 % of the time.
    """

    def __init__(self, times: StepTimes, *, reads_again: bool = False) -> None:
        """`reads_again`: what was accepted has to be decoded once more where not all was."""
        self.times, self._reads_again = times, reads_again
        self._purse = _START

    def choose(self, odds: Sequence[float], answers: int = 1, batch: int = 1, each: float = 0.0) -> int:
        """How many to draft, where the first is accepted with odds[0], the second then with odds[1], and so on.

        A batch has some of the first few sizes, or one that kernels like: fewer sizes are sooner measured, too.
        `batch` tokens without them bring a token for each of `answers`. `each`: steps that drafting one takes.
        """
        plain = self.times.of(batch)
        best, best_rate = 0, _CLEARLY * answers / plain
        expected, chance = float(answers), 1.0
        for count, one in enumerate(odds, 1):
            chance *= one
            expected += chance
            if batch + count > _TILE and (batch + count) % _TILE:
                continue
            cost = self.times.of(batch + count) + count * each
            if answers * (cost / plain - 1) > self._purse:
                break
            if self._reads_again:
                cost += (1 - chance) * (self.times.of(int(expected)) - 1)
            if expected / cost > best_rate:
                best, best_rate = count, expected / cost
        return best

    def learn(self, batch: int, answers: int, brought: int, seconds: float) -> float:
        """A step of so many tokens, of which one for each answer was no guess, brought so many.

        The answer is how many plain steps of one answer that saved, by what such steps usually take.
        """
        self.times.learn(batch, seconds)
        if batch == answers:
            self._earn()
            return 0.0
        saved = brought - answers * self.times.of(batch) / self.times.of(answers)
        self._purse = min(_MOST, self._purse + saved)
        return saved

    def _earn(self) -> None:
        if self._purse < _START:
            self._purse += _INCOME
