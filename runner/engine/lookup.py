"""Prompt lookup: a text that ends as it did before is guessed to go on as it did then."""

from __future__ import annotations

from collections.abc import Sequence

from runner.engine.draft_length import DraftLength
from runner.engine.guesser import Checked
from runner.engine.odds import Odds
from runner.types.drafts import DraftKind

FIRST_ODDS = (0.4, 0.3, 0.6, 0.8, 0.9, 0.97, 0.99)
"""That a guess comes true, until it is known: behind a token that was changed, and behind 3, 4, 8, 16, 32, 64 that are
alike."""
SHORTEST = 3  # tokens that have to be alike
LONGEST = 64  # more of them do not make a guess any surer
_NO_MATCH = 0  # nothing comes before the first token
_LONG = 8  # a match of so many goes on behind tokens that were changed
_AHEAD = 12  # so many tokens after it was lost, and among so many behind that place, it is taken up again
_FEW = 64  # tokens that are taken one by one


class Lookup:
    """Knows where in a text that only grows its last tokens stood before.

    A match is followed for as long as it holds; else the newest place where the last `SHORTEST` tokens stood is taken.
    Where there is none, a long match is followed past the token that broke it, and taken up again by the first one that
    stands a little further on: some tokens were put in or left out. A dictionary has the place behind every run of so
    many tokens.
    """

    def __init__(self) -> None:
        self._behind: dict[tuple[int, ...], int] = {}
        self._seen = 0
        self._at = _NO_MATCH
        self._held, self._has_skipped = 0, False
        self._lost, self._lost_until = _NO_MATCH, 0

    def follow(self, tokens: Sequence[int]) -> int | None:
        """The text, with what has come since the last call; how many tokens of its end stood at the place found.

        None where there is no such place; 0 behind a token that was changed; at most LONGEST. Those before a token that
        was changed count, too, up to a bound, as soon as one behind it is alike.
        """
        seen, self._seen = self._seen, len(tokens)
        if len(tokens) - seen > _FEW:
            self._read(tokens, seen)
        else:
            for end in range(max(seen, SHORTEST - 1), len(tokens)):
                self._step(tokens, end)
        if not self._at:
            return None
        alike = _alike(tokens, self._at)
        return min(alike + _LONG, LONGEST) if alike and self._has_skipped else alike

    def guess(self, tokens: Sequence[int], most: int) -> list[int]:
        """What stood behind that place; what runs into the end of the text goes round."""
        if not self._at:
            return []
        part = list(tokens[self._at : self._at + most])
        while len(part) < most:
            part += part[: most - len(part)]
        return part

    def _step(self, tokens: Sequence[int], end: int) -> None:
        """The token at `end` has come."""
        key = tuple(tokens[end - SHORTEST + 1 : end + 1])
        found = self._behind.get(key, _NO_MATCH)
        self._behind[key] = end + 1
        if self._at and tokens[self._at] == tokens[end]:
            self._at, self._held = self._at + 1, self._held + 1
            return
        if self._held >= _LONG:
            self._lost, self._lost_until = self._at, end + _AHEAD
            behind = self._at + 1
        else:
            behind = self._taken_up(tokens, end)
        self._has_skipped = not found and behind != _NO_MATCH
        self._at, self._held = found or behind, 0

    def _taken_up(self, tokens: Sequence[int], end: int) -> int:
        """Behind the token at `end`, where that stands soon behind the place that was lost."""
        ahead = range(self._lost, min(self._lost + _AHEAD, end)) if end <= self._lost_until else ()
        return next((place + 1 for place in ahead if tokens[place] == tokens[end]), _NO_MATCH)

    def _read(self, tokens: Sequence[int], seen: int) -> None:
        """A prompt has come, of which only the end matters."""
        first = max(0, seen - SHORTEST + 1)
        ends = range(first + SHORTEST, len(tokens))  # all but the last, which must not find itself
        runs = zip(*(tokens[first + shift :] for shift in range(SHORTEST)), strict=False)
        self._behind.update(zip(runs, ends, strict=False))
        self._at, self._held, self._lost_until = _NO_MATCH, 0, 0
        self._step(tokens, len(tokens) - 1)


def _alike(tokens: Sequence[int], at: int) -> int:
    """How many tokens before `at` are those at the end."""
    count, most = 0, min(LONGEST, at)
    while count < most and tokens[at - 1 - count] == tokens[-1 - count]:
        count += 1
    return count


class Following:
    """Prompt lookup for one answer. Its odds are learned from every token, drafted or not: to guess costs nothing."""

    def __init__(self, odds: Odds) -> None:
        self._odds, self._lookup = odds, Lookup()
        self._checked, self._alike = Checked(), 0

    def catch_up(self, _tokens: Sequence[int], _slot: int) -> float:
        """That takes no time to speak of, and is done on the way."""
        return 0.0

    def chances(self, tokens: Sequence[int], most: int) -> list[float]:
        """Of each next token to come as it did before; none where the text has not been there before."""
        for ahead, came_true in enumerate(self._checked.outcome(tokens)):
            self._odds.learn(_kind(self._alike + ahead), came_true)
        alike = self._lookup.follow(tokens)
        self._alike = alike or 0
        self._checked.guessed(len(tokens), self._lookup.guess(tokens, 1))
        return [] if alike is None else [self._odds.of(_kind(alike + ahead)) for ahead in range(most)]

    def guess(self, tokens: Sequence[int], count: int) -> Sequence[int]:
        """So many tokens."""
        guesses = self._lookup.guess(tokens, count)
        self._checked.guessed(len(tokens), guesses)
        return guesses


def _kind(alike: int) -> int:
    """The class of a guess behind so many tokens that are alike: each has twice as many as the one before."""
    return max(0, alike.bit_length() - 1)


class FromText:
    """The source of guesses that needs no model: what the texts of the answers themselves went on with."""

    kind = DraftKind.LOOKUP

    def __init__(self, length: DraftLength) -> None:
        self.length, self._odds = length, Odds(FIRST_ODDS)

    def each(self) -> float:
        """Nothing to speak of."""
        return 0.0

    def guesser(self, _most: int) -> Following:
        """For one answer."""
        return Following(self._odds)
