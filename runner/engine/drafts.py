"""Drafts: tokens that are guessed, decoded together with the one that is known, and kept as far as the sampler agrees.

Each token of an answer is drawn from the model's own logits by the request's own sampler, drafted or not, so that a
draft changes when a token comes and never which one; but batches of several tokens add up in another order than single
ones (ggml's kernels), and where two tokens are equally likely that may decide.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from dataclasses import dataclass

from runner.engine.batch import Piece
from runner.engine.draft_length import NONE
from runner.engine.guesser import Guesser, Source
from runner.engine.mtp import Heads
from runner.engine.rollback import NO_WAY_BACK, Rollback
from runner.engine.sequence import Sequence
from runner.engine.step_times import StepTimes


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a step brought an answer: tokens, one more than it `accepted` of `drafted` ones."""

    sequence: Sequence
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class _Made:
    """Whose guesses an answer has in this step, and the seconds that these took."""

    source: Source
    seconds: float


class Drafts:
    """Drafts for the sequences of one context, whose batches have at most `most` tokens that are guessed or drawn.

    `times` are those of its steps in seconds of `clock`, for who says of each when it begins. Of two `sources` whose
    guesses are expected to bring as much the first one guesses.
    """

    def __init__(
        self, rollback: Rollback, most: int, times: StepTimes, sources: Many[Source], clock: Callable[[], float]
    ) -> None:
        self.rollback, self._most, self._times, self._sources = rollback, most, times, sources
        self._clock, self._began = clock, 0.0
        self._heads = next((one for one in sources if isinstance(one, Heads)), None)
        self.has_heads = self._heads is not None
        """Whether somebody has to hear of all that is decoded."""
        self._made: dict[Sequence, _Made] = {}

    def may_serve(self, answers: int) -> bool:
        """Whether so many at once may have drafts."""
        return answers == 1 or not self.rollback.needs_copies

    def next(self, sequence: Sequence, batch: int = 1, answers: int = 1) -> Many[int]:
        """What to decode behind its known tokens; nothing where that does not pay, or could not be taken back.

        The step has `batch` tokens already, which bring one for each of `answers`.
        """
        if not self.rollback.most:
            sequence.note(NO_WAY_BACK)
            return ()
        most = max(0, min(self.rollback.most, sequence.may_take, self._most - batch))
        sequence.guessers = sequence.guessers or [one.guesser(sequence.may_take) for one in self._sources]
        best, found = NONE, None
        for source, guesser in zip(self._sources, sequence.guessers, strict=True):
            chances = self._chances(sequence, source, guesser, most)
            if chances:
                choice = source.length.choose(chances, answers, batch, source.each())
                if choice.count and (found is None or choice.rate > best.rate):
                    best, found = choice, (source, guesser)
        if found is None or not self.rollback.prepare(sequence.slot):
            return ()
        return self._guessed(sequence, *found, best.count)

    def _chances(self, sequence: Sequence, source: Source, guesser: Guesser, most: int) -> Many[float]:
        if most and (seconds := guesser.catch_up(sequence.tokens, sequence.slot.sequence)):
            sequence.drafts.add(source.kind, 0, 0, -seconds / (self._times.one_s or seconds))
        return guesser.chances(sequence.tokens, most)

    def _guessed(self, sequence: Sequence, source: Source, guesser: Guesser, count: int) -> Many[int]:
        began = self._clock()
        guesses = guesser.guess(sequence.tokens, count)
        self._made[sequence] = _Made(source, self._clock() - began)
        return guesses

    def hear(self, decoded: Many[tuple[Sequence, Piece]]) -> None:
        """These were; heads guess from what the model computed there."""
        assert self._heads is not None
        self._heads.hear([(piece, len(sequence.tokens)) for sequence, piece in decoded])

    def begin(self) -> None:
        """A step begins."""
        self._began = self._clock()

    def learn(self, batch: int, drawn: Many[Drawn]) -> None:
        """That step of so many tokens is done, and has brought this."""
        seconds = self._clock() - self._began
        made, self._made = self._made, {}
        if batch > self._most:
            return
        self._times.learn(batch, seconds)
        answers = len(drawn)
        if batch == answers:
            for source in self._sources:
                source.length.earn()
        brought = sum(1 + one.accepted for one in drawn)
        saved = brought - answers * self._times.of(batch) / self._times.of(answers)
        for one in drawn:
            if one.sequence in made:
                self._settle(one, made[one.sequence], saved / max(1, batch - answers), answers)

    def _settle(self, drawn: Drawn, made: _Made, each: float, answers: int) -> None:
        """Each guess of the step has saved so many steps, but some were needed to make it."""
        spent = made.seconds / (self._times.one_s or made.seconds or 1.0)
        saved = each * drawn.drafted - spent * answers / self._times.of(answers)
        made.source.length.settle(saved)
        drawn.sequence.drafts.add(made.source.kind, drawn.drafted, drawn.accepted, saved)
