"""What all who guess have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runner.engine.draft_length import DraftLength
from runner.types.drafts import DraftKind


class Source(Protocol):
    """Who guesses, for all answers of a context; `length` has what it gained and lost."""

    kind: DraftKind
    length: DraftLength

    def each(self) -> float:
        """Steps of the model that guessing one token takes."""

    def guesser(self, most: int) -> Guesser:
        """For an answer that has at most so many tokens yet to come."""


class Guesser(Protocol):
    """Guesses for one answer, whose text is `tokens` and only grows; `slot` is where llama.cpp has them."""

    def catch_up(self, tokens: Sequence[int], slot: int) -> float:
        """Read more of the text where that is worth it, one ubatch at most: how many seconds that took."""

    def chances(self, tokens: Sequence[int], most: int) -> Sequence[float]:
        """Of each of the next tokens, at most so many, to be guessed right where those before it were; maybe none."""

    def guess(self, tokens: Sequence[int], count: int) -> Sequence[int]:
        """So many tokens or fewer, behind the text that the last chances were for."""


class Checked:
    """What was guessed, and how much of it came true."""

    def __init__(self) -> None:
        self._seen = 0
        self._guessed: Sequence[int] = ()

    def guessed(self, seen: int, tokens: Sequence[int]) -> None:
        """These, behind a text of so many tokens."""
        self._seen, self._guessed = seen, tokens

    def outcome(self, tokens: Sequence[int]) -> list[bool]:
        """Of each guess up to the first wrong one that the text now tells of."""
        found: list[bool] = []
        for came, guessed in zip(tokens[self._seen :], self._guessed, strict=False):
            found.append(came == guessed)
            if came != guessed:
                break
        return found
