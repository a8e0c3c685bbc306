"""How far a companion has read the text of one answer, and what became of its guesses there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runner.chat.template import common_prefix
from runner.engine.guesser import Checked
from runner.engine.odds import Odds
from runner.engine.partial_state import PartialState

FEW = 16  # tokens that are read with the next guess; more are read before


@dataclass(slots=True, eq=False)
class Text:
    """What a sequence of the companion's context holds: the tokens of a text from position `start` on.

    Those before position `sure` were no guesses; `before` is a recurrent state there. `reader` read it last.
    """

    sequence: int
    start: int = 0
    sure: int = 0
    tokens: list[int] = field(default_factory=list)
    before: PartialState | None = None
    reader: Reading | None = None

    @property
    def end(self) -> int:
        """The position of the next token."""
        return self.start + len(self.tokens)

    def agrees(self, tokens: Sequence[int]) -> int:
        """Up to which position it has these."""
        common = common_prefix(self.tokens, tokens[self.start :])
        return self.start + common if common else 0


class Reader(Protocol):
    """What reads and guesses: a companion. `is_off`: it has failed. `most`: tokens that it guesses at once."""

    odds: Odds
    texts: tuple[Text, ...]
    is_off: bool
    most: int

    @property
    def size(self) -> int:
        """How many tokens a text may have."""

    def begins(self, text: Text, known: int) -> int:
        """Where it reads on in a text that it knows so far."""

    def may_read(self, count: int, ahead: int) -> bool:
        """Whether to read so many tokens, for an answer that may have so many yet."""

    def read(self, text: Text, tokens: Sequence[int], known: int) -> float:
        """Read a ubatch of these behind the first `known` ones: how many seconds that took."""

    def guess(self, text: Text, tokens: Sequence[int], known: int, count: int) -> list[int]:
        """At most so many tokens behind these, of which it holds the first `known` ones; none that ends an answer."""


class Reading:
    """Guesses of a companion for an answer that has at most so many tokens yet to come."""

    def __init__(self, companion: Reader, most: int) -> None:
        self._companion, self._most = companion, most
        self._text: Text | None = None
        self._known = self._began = 0
        self._checked = Checked()

    def catch_up(self, tokens: Sequence[int], slot: int) -> float:
        """Read more of the text where that is worth it, one ubatch at most: how many seconds that took."""
        text = self._taken(tokens, slot)
        self._learn(tokens)
        lacks = self._lacks(text, tokens)
        if lacks <= FEW or not self._companion.may_read(lacks, self._most + self._began - len(tokens)):
            return 0.0
        seconds = self._companion.read(text, tokens, self._known)
        self._known = text.end
        return seconds

    def chances(self, tokens: Sequence[int], most: int) -> Sequence[float]:
        """Of each of the next tokens; none while too much of the text is not read."""
        companion, text = self._companion, self._text
        room = companion.size - len(tokens)
        if text is None or companion.is_off or self._lacks(text, tokens) > FEW or room < most:
            return ()
        return [companion.odds.of(depth) for depth in range(min(most, companion.most))]

    def guess(self, tokens: Sequence[int], count: int) -> Sequence[int]:
        """So many tokens, or fewer where the companion would end the answer."""
        assert self._text is not None
        guesses = self._companion.guess(self._text, tokens, self._known, count)
        self._known = min(len(tokens), self._text.end)
        self._checked.guessed(len(tokens), guesses)
        return guesses

    def _learn(self, tokens: Sequence[int]) -> None:
        for depth, came_true in enumerate(self._checked.outcome(tokens)):
            self._companion.odds.learn(depth, came_true)
        self._checked.guessed(len(tokens), ())

    def _taken(self, tokens: Sequence[int], slot: int) -> Text:
        """What the companion holds where this text is; compared once with it, for texts only grow."""
        text = self._companion.texts[slot]
        if text is not self._text or text.reader is not self:
            self._text, text.reader = text, self
            self._known, self._began = text.agrees(tokens), self._began or len(tokens)
        return text

    def _lacks(self, text: Text, tokens: Sequence[int]) -> int:
        """How many tokens it has not read; of those it guessed it has."""
        end = min(text.end, len(tokens))
        while text.start <= self._known < end and text.tokens[self._known - text.start] == tokens[self._known]:
            self._known += 1
        self._known = self._companion.begins(text, self._known)
        return len(tokens) - self._known
