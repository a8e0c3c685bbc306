"""Drafts: tokens that are guessed, decoded together with the one that is known, and kept as far as the sampler agrees.

Each token of an answer is drawn from the model's own logits by the request's own sampler, drafted or not, so that a
draft changes when a token comes and never which one; but batches of several tokens add up in another order than single
ones (ggml's kernels), and where two tokens are equally likely that may decide.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass

from runner.engine.draft_length import DraftLength
from runner.engine.lookup import FIRST_ODDS, Following
from runner.engine.odds import Odds
from runner.engine.rollback import Rollback
from runner.engine.sequence import Sequence
from runner.engine.step_times import StepTimes


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a step brought an answer: tokens, one more than it `accepted` of `drafted` ones."""

    sequence: Sequence
    drafted: int
    accepted: int


class Drafts:
    """Drafts for the sequences of one context, whose batches have at most `most` tokens that are guessed or drawn.

    `clock`: the seconds that steps are compared by, for who says of each when it begins.
    """

    def __init__(self, rollback: Rollback, most: int, clock: Callable[[], float]) -> None:
        self.rollback, self._clock, self._began = rollback, clock, 0.0
        self._most = most
        self._length = DraftLength(StepTimes(most), reads_again=rollback.needs_copies)
        self._odds = Odds(FIRST_ODDS)

    def may_serve(self, answers: int) -> bool:
        """Whether so many at once may have drafts."""
        return answers == 1 or not self.rollback.needs_copies

    def next(self, sequence: Sequence, batch: int = 1, answers: int = 1) -> Many[int]:
        """What to decode behind its known tokens; nothing where that does not pay, or could not be taken back.

        The step has `batch` tokens already, which bring one for each of `answers`.
        """
        following = sequence.following = sequence.following or Following(self._odds)
        most = min(self.rollback.most, sequence.may_take, self._most - batch)
        chances = following.chances(sequence.tokens, max(0, most))
        count = self._length.choose(chances, answers, batch) if chances else 0
        return following.guess(sequence.tokens, count) if count and self.rollback.prepare(sequence.slot) else ()

    def begin(self) -> None:
        """A step begins."""
        self._began = self._clock()

    def learn(self, batch: int, drawn: Many[Drawn]) -> None:
        """That step of so many tokens is done, and has brought this."""
        seconds = self._clock() - self._began
        if batch > self._most:
            return
        brought = sum(1 + one.accepted for one in drawn)
        saved = self._length.learn(batch, len(drawn), brought, seconds)
        drafted = sum(one.drafted for one in drawn)
        for one in drawn:
            if one.drafted:
                one.sequence.drafts.add(one.drafted, one.accepted, saved * one.drafted / drafted)
