"""What companions guess, heard in the engine itself."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import pytest

from runner.engine.companion import Companion
from runner.engine.reading import Text


@dataclass(frozen=True, slots=True)
class Made:
    """What a companion guessed behind so many tokens."""

    behind: int
    tokens: list[int]


def guesses_of(monkeypatch: pytest.MonkeyPatch, of: type[Companion] = Companion) -> list[Made]:
    """What companions of this kind guess from now on, each time."""
    made: list[Made] = []
    guess = of.guess

    def kept(self: Companion, text: Text, tokens: Many[int], known: int, count: int) -> list[int]:
        made.append(Made(len(tokens), guess(self, text, tokens, known, count)))
        return made[-1].tokens

    monkeypatch.setattr(of, "guess", kept)
    return made
