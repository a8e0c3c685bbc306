"""Prompt lookup: a text that ends as it did before is guessed to go on as it did then."""

from __future__ import annotations

from collections.abc import Sequence

from runner.engine.odds import Odds

FIRST_ODDS = (0.3, 0.6, 0.8, 0.9, 0.97, 0.99)
"""That a guess comes true behind 3, 4, 8, 16, 32, 64 tokens that are alike, until it is known."""
SHORTEST = 3  # tokens that have to be alike
LONGEST = 64  # more of them do not make a guess any surer
_NO_MATCH = 0  # nothing comes before the first token


class Lookup:
    """Knows where in a text that only grows its last tokens stood before.

    A match is followed for as long as it holds; else the newest place where the last `SHORTEST` tokens stood is taken.
    Nothing is found again by searching: a dictionary has the place behind every run of so many tokens.
    """

    def __init__(self) -> None:
        self._behind: dict[tuple[int, ...], int] = {}
        self._seen = 0
        self._at = _NO_MATCH

    def follow(self, tokens: Sequence[int]) -> int:
        """The text, with what has come since the last call; how many tokens of its end stood at the place found.

        0 where there is no such place; at most LONGEST.
        """
        new, self._seen = len(tokens) - self._seen, len(tokens)
        if new > 1:
            self._read(tokens, new)
        elif new == 1:
            self._step(tokens)
        return _alike(tokens, self._at) if self._at else 0

    def guess(self, tokens: Sequence[int], most: int) -> list[int]:
        """What stood behind that place; what runs into the end of the text goes round."""
        if not self._at:
            return []
        part = list(tokens[self._at : self._at + most])
        while len(part) < most:
            part += part[: most - len(part)]
        return part

    def _step(self, tokens: Sequence[int]) -> None:
        """The usual case: one token more."""
        last = len(tokens) - 1
        holds = self._at and tokens[self._at] == tokens[last]
        key = tuple(tokens[last - SHORTEST + 1 :])
        found = self._behind.get(key, _NO_MATCH)
        self._behind[key] = last + 1
        self._at = self._at + 1 if holds else found

    def _read(self, tokens: Sequence[int], new: int) -> None:
        """A prompt, or what an accepted draft has added."""
        first = max(0, len(tokens) - new - SHORTEST + 1)
        ends = range(first + SHORTEST, len(tokens))  # all but the last, which must not find itself
        runs = zip(*(tokens[first + shift :] for shift in range(SHORTEST)), strict=False)
        self._behind.update(zip(runs, ends, strict=False))
        key = tuple(tokens[-SHORTEST:])
        self._at = self._behind.get(key, _NO_MATCH)
        self._behind[key] = len(tokens)


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
        self._seen = self._alike = 0
        self._guessed: Sequence[int] = ()

    def chances(self, tokens: Sequence[int], most: int) -> list[float]:
        """Of each next token to come as it did before; none where the text has not been there before."""
        self._learn(tokens)
        self._seen, self._alike = len(tokens), self._lookup.follow(tokens)
        self._guessed = self._lookup.guess(tokens, 1)
        return [self._odds.of(_kind(self._alike + ahead)) for ahead in range(most)] if self._alike else []

    def guess(self, tokens: Sequence[int], count: int) -> Sequence[int]:
        """So many tokens."""
        self._guessed = self._lookup.guess(tokens, count)
        return self._guessed

    def _learn(self, tokens: Sequence[int]) -> None:
        for ahead, (came, guessed) in enumerate(zip(tokens[self._seen :], self._guessed, strict=False)):
            self._odds.learn(_kind(self._alike + ahead), came == guessed)
            if came != guessed:
                break


def _kind(alike: int) -> int:
    """The class of a guess behind so many tokens that are alike: each has twice as many as the one before."""
    return alike.bit_length() - SHORTEST.bit_length()
