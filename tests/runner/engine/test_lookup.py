"""What a text is guessed to go on with, and how much of it is worth decoding: on costs as they were measured."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from runner.engine.draft_length import DraftLength
from runner.engine.lookup import FIRST_ODDS, LONGEST, Following, Lookup
from runner.engine.odds import Odds
from runner.engine.step_times import StepTimes

MOST = 15
# Seconds of batches of one token, two and so on, in steps of one token: SmolLM2 on one core, and weights on a GPU.
CPU = (1, 1.61, 2.15, 2.72, 3.3, 3.92, 4.6, 5.23, 5.6, 6.2, 6.9, 7.54, 8.1, 8.7, 9.2, 9.68)
GPU = tuple(1 + 0.02 * more for more in range(16))
BOUND = max(count / cost for count, cost in enumerate(CPU, 1))


def test_what_stood_behind_the_same_tokens_is_guessed() -> None:
    lookup, text = Lookup(), [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]
    assert lookup.follow(text) == 3 and lookup.guess(text, 3) == [4, 5, 6]
    text.append(4)
    assert lookup.follow(text) == 4 and lookup.guess(text, 2) == [5, 6]
    text += [9]
    assert lookup.follow(text) is None and lookup.guess(text, 2) == []
    text += [5, 6, 7, 1]
    assert lookup.follow(text) == 4 and lookup.guess(text, 4) == [2, 3, 4, 9]


def test_a_text_that_goes_round_is_guessed_to_go_on_so() -> None:
    lookup, text = Lookup(), [8, 9] * 40
    assert lookup.follow(text) == LONGEST and lookup.guess(text, 5) == [8, 9, 8, 9, 8]


def test_a_long_match_goes_on_behind_a_token_that_was_changed() -> None:
    lookup, text = Lookup(), [*range(20), 50]
    for token in range(12):
        text.append(token)
        lookup.follow(text)
    text.append(60)
    assert lookup.follow(text) == 0 and lookup.guess(text, 2) == [13, 14]
    text.append(13)
    assert lookup.follow(text) == 9, "one, and some of those before"
    text.append(61)
    assert lookup.follow(text) is None


@pytest.mark.parametrize(("came", "next_token"), [((60, 61, 62, 12), 13), ((60, 61, 15), 16)], ids=["in", "out"])
def test_a_long_match_is_taken_up_behind_tokens_that_were_put_in_or_left_out(
    came: Sequence[int], next_token: int
) -> None:
    """12 comes next in what was said before."""
    lookup, text = Lookup(), [*range(20), 50, *range(11)]
    lookup.follow(text)
    for token in (11, *came):
        text.append(token)
        found = lookup.follow(text)
    assert found == 9 and lookup.guess(text, 1) == [next_token]


@pytest.mark.parametrize("text", [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 1, 2]])
def test_a_text_that_is_too_short_to_be_found_again(text: list[int]) -> None:
    lookup = Lookup()
    assert lookup.follow(text) is None and lookup.guess(text, 4) == []


def test_step_times_lie_between_their_neighbours() -> None:
    times = StepTimes(16)
    for size, seconds in ((1, 0.1), (9, 0.3), (9, 0.3)):
        for _ in range(20):
            times.learn(size, seconds)
    assert times.one_s == pytest.approx(0.1)
    assert [times.of(size) for size in (1, 5, 9, 13)] == pytest.approx([1, 2, 3, 4], rel=0.02)
    for _ in range(20):
        times.learn(1, 0.2)
    assert times.of(9) == pytest.approx(3, rel=0.02), "a machine that slows down slows down all of them"


def learn(length: DraftLength, times: StepTimes, count: int, brought: int, seconds: float) -> None:
    """A step of one answer with so many guesses."""
    times.learn(1 + count, seconds)
    if count:
        length.settle(brought - times.of(1 + count))
    else:
        length.earn()


class Engine:
    """Says what was decided before; each step takes what `costs` say. What it learns outlives an answer."""

    def __init__(self, costs: Sequence[float]) -> None:
        self._costs, self._odds = costs, Odds(FIRST_ODDS)
        self._times = StepTimes(MOST + 1)
        self._length = DraftLength(self._times)

    def answer(self, prompt: Sequence[int], answer: Sequence[int]) -> float:
        """How many times as fast as a token at a time."""
        following, said, took = Following(self._odds), 0, 0.0
        tokens = list(prompt)
        while said < len(answer):
            chances = following.chances(tokens, min(MOST, len(answer) - said - 1))
            count = self._length.choose(chances).count if chances else 0
            guesses = following.guess(tokens, count) if count else ()
            brought = 1
            while brought <= count and answer[said + brought - 1] == guesses[brought - 1]:
                brought += 1
            learn(self._length, self._times, count, brought, 0.015 * self._costs[count])
            tokens += answer[said : said + brought]
            said, took = said + brought, took + self._costs[count]
        return len(answer) / took


def prose(tokens: int, seed: int) -> list[int]:
    """Common words come often, and some of them together, as in any text: one in five comes with the one before it."""
    rng = random.Random(seed)
    text = [0]
    while len(text) < tokens:
        text.append((7 * text[-1] + 1) % 900 if rng.random() < 0.2 else int(900 * rng.random() ** 3))
    return text


@pytest.mark.parametrize(("costs", "least"), [(CPU, 0.9 * BOUND), (GPU, 4.0)])
def test_a_text_that_is_said_again_with_a_word_changed(costs: Sequence[float], least: float) -> None:
    text = prose(400, 1)
    again = [*text[:180], 901, *text[181:]]
    assert Engine(costs).answer(text, again) > least


@pytest.mark.parametrize("costs", [CPU, GPU])
def test_free_prose_is_not_slowed_down(costs: Sequence[float]) -> None:
    engine, text = Engine(costs), prose(2000, 2)
    for start in range(200, 1400, 200):
        assert engine.answer(text[:start], text[start : start + 200]) > 0.98


@pytest.mark.parametrize("costs", [CPU, GPU])
def test_guesses_that_are_always_wrong_stop(costs: Sequence[float]) -> None:
    """What was certain is wrong from here on: each token was there before, and another one follows."""
    engine = Engine(costs)
    text = prose(300, 3)
    engine.answer(text, text)
    after = [(token + 1) % 900 if place % 5 == 4 else token for place, token in enumerate(text)]
    engine.answer(text, after)
    assert engine.answer(text, after) > 0.97


def test_batches_have_sizes_that_kernels_like() -> None:
    """With two answers, too: what is guessed for one of them fills up the batch of both."""
    times = StepTimes(MOST + 1)
    length = DraftLength(times)
    for _ in range(20):
        learn(length, times, 1, 2, 0.011)
        learn(length, times, 0, 1, 0.01)
    sure = [0.99] * 13
    assert {length.choose(sure[:most]).count for most in range(13)} == {0, 1, 2, 3, 7, 11}
    assert length.choose(sure, answers=2, batch=2).count == 10


def test_nothing_is_bet_that_was_not_gained() -> None:
    times = StepTimes(16)
    length = DraftLength(times)
    for _ in range(20):
        times.learn(1, 0.1)
    sure = [0.99] * 15
    tries = 0
    for _ in range(1000):
        count = length.choose(sure).count
        learn(length, times, count, 1, 0.1 * CPU[count])
        tries += count > 0
    assert 2 < tries < 25, "two steps at first, later a hundredth part of them"
