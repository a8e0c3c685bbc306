"""The mix of requests that a placement is chosen for. Pure.

A placement that decodes fastest may read prompts ten times slower, and one that is best at depth 0 be worst in a full
context. So what is compared is the mean time of whole requests: of these, in a context of `ctx` tokens, so often.

    request                     depth     prompt  answer   balanced  speed  quality
    a short prompt              0         512     256      2         6      1
    a long prompt               0         4096    256      3         2      3
    a very long prompt          0         16384   256      2         1      3
    a follow-up                 2048      64      256      2         6      1
    a follow-up at half depth   ctx / 2   64      256      1         1      2
    a follow-up at full depth   the rest  64      256      1         1      2

Whoever prefers speed waits in a chat, whoever prefers quality hands over documents. In a small context everything
shrinks with it. Turns measured here count beside these, the more of them there are: twenty as much as the whole table.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise

from runner.cost.forecast import Forecast
from runner.types.exchange import Exchange, Wait
from runner.types.wish import Prefer

_ANSWER = 256
_SHORT, _LONG, _VERY_LONG, _FOLLOW_UP = 512, 4096, 16384, 64  # tokens of prompts
_SHALLOW = 2048
_WEIGHTS = {
    Prefer.BALANCED: (2, 3, 2, 2, 1, 1),
    Prefer.SPEED: (6, 2, 1, 6, 1, 1),
    Prefer.QUALITY: (1, 3, 3, 1, 2, 2),
}

_TURNS_AS_MUCH = 20  # measured turns that count as much as the table
_KINDS = 4  # that measured turns are sorted into, by the length of their prompts


@cache
def mix_of(ctx: int, prefer: Prefer = Prefer.BALANCED, habits: tuple[Exchange, ...] = ()) -> tuple[Exchange, ...]:
    """The requests that count in a context of `ctx` tokens, their weights summing to 1; `habits`: turns measured."""
    answer = max(1, min(_ANSWER, ctx // 8))
    asked = min(_FOLLOW_UP, answer)
    table = (
        Exchange(0, min(_SHORT, ctx // 4), answer),
        Exchange(0, min(_LONG, ctx // 2), answer),
        Exchange(0, min(_VERY_LONG, ctx - answer), answer),
        Exchange(min(_SHALLOW, ctx // 4), asked, answer),
        Exchange(ctx // 2, asked, answer),
        Exchange(ctx - asked - answer, asked, answer),
    )
    whole = sum(_WEIGHTS[prefer])
    usual = (
        replace(one, weight=_TURNS_AS_MUCH * share / whole) for one, share in zip(table, _WEIGHTS[prefer], strict=True)
    )
    own = (_within(turn, ctx) for turn in _typical(habits))
    total = _TURNS_AS_MUCH + len(habits)
    return tuple(replace(one, weight=one.weight / total) for one in (*usual, *own))


def wait_for(mix: tuple[Exchange, ...], speeds: Forecast) -> Wait:
    """What a request of the mix takes in the mean."""
    prompts = sum(one.weight * speeds.prompt_seconds(one) for one in mix)
    return Wait(mix, prompts, sum(one.weight * speeds.answer_seconds(one) for one in mix))


def _typical(turns: Sequence[Exchange]) -> list[Exchange]:
    """A few that stand for all: the medians of groups by length of prompt, each weighing as many as it has."""
    ordered = sorted(turns, key=lambda turn: turn.prompt)
    bounds = sorted({len(ordered) * part // _KINDS for part in range(_KINDS + 1)})
    return [_median(ordered[start:end]) for start, end in pairwise(bounds)]


def _median(turns: Sequence[Exchange]) -> Exchange:
    depth = statistics.median_low(turn.depth for turn in turns)
    prompt = statistics.median_low(turn.prompt for turn in turns)
    return Exchange(depth, prompt, statistics.median_low(turn.answer for turn in turns), len(turns))


def _within(turn: Exchange, ctx: int) -> Exchange:
    """The turn, cut to what a context can hold."""
    answer = max(1, min(turn.answer, ctx // 2))
    prompt = max(1, min(turn.prompt, ctx - answer))
    return replace(turn, answer=answer, prompt=prompt, depth=min(turn.depth, ctx - answer - prompt))
