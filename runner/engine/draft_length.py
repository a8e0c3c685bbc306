"""How many tokens to draft: as many as are expected to bring most tokens a second, and none where none pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runner.engine.step_times import StepTimes

_CLEARLY = 1.04  # times as many tokens a second as without
_START = 2.0  # steps that may be lost on a fresh engine
_MOST = 16.0  # steps that may be lost after drafts have gained more
_INCOME = 0.01  # of all steps may go into trying
_TILE = 4  # kernels take so many tokens together: five take nearly as long as eight


@dataclass(frozen=True, slots=True)
class Choice:
    """So many tokens to draft, expected to bring `rate` tokens in the time of a step of one token."""

    count: int
    rate: float


NONE = Choice(0, 0.0)


class DraftLength:
    """Weighs what drafts are expected to bring against what they cost, and never spends what it has not.

    Its purse is counted in steps: it holds what drafts have gained so far, up to a bound, and the hundredth part of
    every plain step. A draft is made only where the purse could bear that nothing of it is accepted. So drafts that are
    always wrong, whatever was expected of them, cost two steps and 1 % of the time.
    """

    def __init__(self, times: StepTimes, *, reads_again: bool = False, must_try: bool = False) -> None:
        """`reads_again`: what was accepted has to be decoded once more where not all was.

        `must_try`: how often guesses come true is known only of those that were made. So one is made where none is
        expected to pay, as soon as enough was saved for it; and that may be more than two steps.
        """
        self._times, self._reads_again, self._must_try = times, reads_again, must_try
        self._purse = _START
        self._saves = _MOST if must_try else _START

    def choose(self, odds: Sequence[float], answers: int = 1, batch: int = 1, each: float = 0.0) -> Choice:
        """How many to draft, where the first is accepted with odds[0], the second then with odds[1], and so on.

        A batch has some of the first few sizes, or one that kernels like: fewer sizes are sooner measured, too.
        `batch` tokens without them bring a token for each of `answers`. `each`: steps that drafting one takes.
        """
        plain = self._times.of(batch)
        best = Choice(0, _CLEARLY * answers / plain)
        expected, chance, cheapest = float(answers), 1.0, 0
        for count, one in enumerate(odds, 1):
            chance *= one
            expected += chance
            if batch + count > _TILE and (batch + count) % _TILE:
                continue
            cost = self._times.of(batch + count) + count * each
            if answers * (cost / plain - 1) > self._purse:
                break
            cheapest = cheapest or count
            if self._reads_again:
                cost += (1 - chance) * (self._times.of(int(expected)) - 1)
            if expected / cost > best.rate:
                best = Choice(count, expected / cost)
        if not best.count:
            return Choice(cheapest, 0.0) if self._must_try and self._purse >= _START else NONE
        return best

    @property
    def step_s(self) -> float | None:
        """Seconds of a step of one token, once they are known."""
        return self._times.one_s

    def can_bear(self, steps: float) -> bool:
        """Whether so many may be lost, and a draft behind them."""
        return self._purse >= _START + steps

    def settle(self, steps: float) -> None:
        """Drafts have saved so many plain steps of one answer; less than 0 where they lost them."""
        self._purse = min(_MOST, self._purse + steps)

    def earn(self) -> None:
        """A step without drafts was made."""
        if self._purse < self._saves:
            self._purse += _INCOME
