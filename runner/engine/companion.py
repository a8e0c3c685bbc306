"""A companion: a second context that says what it would say next, and so guesses what the first one will.

It follows the texts lazily: what it has not read of one is read when guesses are expected to pay for it, a ubatch
between two steps; what it has read stays for the next turn. Its guesses are its most likely tokens, each a step of its
own. Only guesses depend on it, so that an error of its own ends them and no answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many

from models.errors import EngineError
from runner.engine.batch import Piece
from runner.engine.context import Context
from runner.engine.draft_length import DraftLength
from runner.engine.odds import Odds
from runner.engine.partial_state import partial_state
from runner.engine.reading import Reading, Text
from runner.engine.step_times import nearer
from runner.types.drafts import DraftKind

FIRST_ODDS = (0.7,) * 8
"""That a guess comes true where those before it did, until it is known, by how many these are."""
_MOST = 64  # guesses: no step has as many
_AHEAD = 256  # tokens that an answer is trusted to have yet
_READS = 0.25  # of a guess, for each token that is read with many others, until that is measured


class Companion:
    """Over the context of another model than the `first` one. `clock`: the seconds that steps are compared by."""

    kind = DraftKind.MODEL

    def __init__(self, context: Context, first: Context, length: DraftLength, clock: Callable[[], float]) -> None:
        self.length, self.odds = length, Odds(FIRST_ODDS)
        self.is_off = False
        """Whether it has failed."""
        self.most = _MOST
        """Tokens that it guesses at once."""
        self.texts = tuple(map(Text, range(context.sequences)))
        self._context, self._clock = context, clock
        self._vocabulary = min(first.model.tokens, context.model.tokens)
        self._ratio = context.model.bytes / first.model.bytes
        """Of a step of the first model its own takes, until that is measured: to decode is to read all weights."""
        self._guess_s: float | None = None
        self._read_s: float | None = None

    def guesser(self, most: int) -> Reading:
        """For one answer."""
        return Reading(self, most)

    def each(self) -> float:
        """Steps of the first model that a guess takes."""
        return self._steps(self._guess_s) or self._ratio

    @property
    def size(self) -> int:
        """How many tokens a text may have."""
        return int(self._context.size)

    def begins(self, _text: Text, known: int) -> int:
        """Where it reads on in a text that it knows so far."""
        return known

    def may_read(self, count: int, ahead: int) -> bool:
        """Whether to read so many tokens, for an answer that may have so many yet.

        What guesses are expected to save until then has to pay for it; or what was put aside to try them again.
        """
        steps = count * (self._steps(self._read_s) or _READS * self.each())
        gain = self._gain()
        return steps <= gain * min(ahead, _AHEAD) if gain else self.length.can_bear(steps)

    def _gain(self) -> float:
        """Steps that each step with guesses is expected to save; 0 where they do not pay, or are too bold."""
        chances = [self.odds.of(depth) for depth in range(len(FIRST_ODDS))]
        return max(0.0, self.length.choose(chances, each=self.each()).rate - 1)

    def _steps(self, seconds: float | None) -> float:
        return seconds / self.length.step_s if seconds and self.length.step_s else 0.0

    def read(self, text: Text, tokens: Many[int], known: int) -> float:
        """Read a ubatch of these behind the first `known` ones: how many seconds that took."""
        began = self._clock()
        count = 0
        try:
            self._cut(text, known)
            text.sure = len(tokens)
            part = tokens[text.end : min(text.end + self._context.ubatch, len(tokens) - 1)]
            self._decode(text, part, ends=False)
            self._context.wait()
            count = len(part)
        except EngineError:
            self.is_off = True
        seconds = self._clock() - began
        self._read_s = nearer(self._read_s, seconds / max(1, count))
        if not self._gain():
            self.length.settle(-self._steps(seconds))
        return seconds

    def guess(self, text: Text, tokens: Many[int], known: int, count: int) -> list[int]:
        """At most so many tokens behind these, of which it holds the first `known` ones; none that ends an answer."""
        began = self._clock()
        guesses: list[int] = []
        try:
            for token in self._guessed(text, tokens, known, count):
                guesses.append(token)  # noqa: PERF402  (those before an error count)
        except EngineError:
            self.is_off = True
        self._guess_s = nearer(self._guess_s, (self._clock() - began) / max(1, len(guesses)))
        return guesses

    def _guessed(self, text: Text, tokens: Many[int], known: int, count: int) -> Iterator[int]:
        """One after the other, each read before the next."""
        self._cut(text, min(known, len(tokens) - 1))
        text.sure = len(tokens)
        self._decode(text, tokens[text.end :], ends=True)
        if count > 1 and self._goes_back_to_copies:
            text.before = partial_state(self._context.handle, text.sequence, text.end)
        while not self._context.model.is_end(token := self._drawn()):
            yield token
            count -= 1
            if not count:
                return
            self._decode(text, [token], ends=True)

    def _drawn(self) -> int:
        return int(self._context.logits()[: self._vocabulary].argmax())

    def _decode(self, text: Text, tokens: Many[int], *, ends: bool) -> None:
        """Read these behind what it holds; of the last one it `ends` with there are logits."""
        self._make_room(text, len(tokens))
        while tokens:
            part, tokens = tokens[: self._context.ubatch], tokens[self._context.ubatch :]
            self._compute(text, Piece(text.sequence, text.end, part, ends=ends and not tokens))
            text.tokens += part

    def _compute(self, _text: Text, piece: Piece) -> None:
        self._context.decode([piece])

    def _make_room(self, text: Text, count: int) -> None:
        if sum(len(one.tokens) for one in self.texts) + count > self.size:
            for other in self.texts:
                if other is not text:
                    self._cut(other, 0)

    @property
    def _goes_back_to_copies(self) -> bool:
        return bool(self._context.model.is_recurrent)

    def _cut(self, text: Text, kept: int) -> None:
        """Forget what is behind the first tokens, or more where that cannot be done."""
        if kept >= text.end:
            return
        before, text.before = text.before, None
        if self._goes_back_to_copies:
            end = before.count if before and before.count <= kept and before.restore() else 0
        elif kept >= text.sure or self._context.first(text.sequence) == text.start < kept:  # all of it is there
            end = kept if self._context.roll_back(kept, text.sequence) else 0
        else:
            end = kept if kept > text.start and self._context.keep(kept, text.sequence) else 0
        if not end:
            self._context.roll_back(0, text.sequence)
            text.start = 0
        del text.tokens[max(0, end - text.start) :]
        text.sure = min(text.sure, end)
