"""When thinking is cut off, and when an answer leads nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from runner.chat.guide import BUDGET_SPENT, ENDED_THINKING, TALKS_IN_CIRCLES, THINKS_IN_CIRCLES, Guide, Move
from runner.chat.loops import Loops
from runner.chat.markers import HARMONY, THINK, THINKING, Markers
from runner.chat.stream import TextStream

ROUND = [7, 8, 9] * 400


def thinking(fence: Markers = THINK) -> TextStream:
    return TextStream(thinking=fence)


def turns(guide: Guide, stream: TextStream, words: Iterable[str]) -> list[Move]:
    """What is to be done after each word, a token each."""
    found = []
    for number, word in enumerate(words):
        stream.feed(word.encode("utf-8", "surrogateescape"))
        found.append(guide.after((number,)))
    return found


def test_a_budget_closes_the_block_and_no_answer() -> None:
    stream = thinking()
    guide = Guide(stream, 3, minds_loops=False)
    assert turns(guide, stream, "abc") == [Move.GO_ON, Move.GO_ON, Move.CLOSE]
    assert guide.note == BUDGET_SPENT
    assert turns(guide, stream, [guide.closing(), *"abcdef"]) == [Move.GO_ON] * 7


def test_what_opens_a_block_does_not_count() -> None:
    stream = TextStream()
    guide = Guide(stream, 2, minds_loops=False)
    assert turns(guide, stream, ["<think>", "a", "b"]) == [Move.GO_ON, Move.GO_ON, Move.CLOSE]


def test_no_character_is_cut_by_a_budget() -> None:
    stream = thinking()
    guide = Guide(stream, 1, minds_loops=False)
    assert turns(guide, stream, ["\udcc3", "\udca9"]) == [Move.GO_ON, Move.CLOSE]


@pytest.mark.parametrize("fence", THINKING, ids=lambda fence: fence.opening)
def test_what_closes_a_block_leads_to_the_answer(fence: Markers) -> None:
    stream = thinking(fence)
    guide = Guide(stream, 1, minds_loops=False)
    stream.feed(b"hm")
    stream.feed(guide.closing().encode())
    assert stream.feed(b"yes").text.strip() == "yes" or stream.finish().text.strip() == "yes"


def test_thinking_in_circles_is_closed_and_an_answer_ended() -> None:
    for stream, turn, note in (
        (thinking(), Move.CLOSE, THINKS_IN_CIRCLES),
        (TextStream(fences=False), Move.END, TALKS_IN_CIRCLES),
    ):
        guide = Guide(stream, None, minds_loops=True)
        assert guide.after(ROUND) is turn
        assert guide.note == note


def test_circles_of_the_thinking_do_not_end_the_answer() -> None:
    stream = thinking(HARMONY)
    guide = Guide(stream, None, minds_loops=True)
    assert guide.after(ROUND) is Move.CLOSE
    stream.feed(guide.closing().encode())
    assert guide.after(range(100)) is Move.GO_ON


def test_who_does_not_mind_hears_of_no_circles() -> None:
    assert Guide(TextStream(), None, minds_loops=False).after(ROUND) is Move.GO_ON


def test_a_model_that_ends_within_its_thinking_is_told_to_answer_once() -> None:
    guide = Guide(thinking(), None, minds_loops=True)
    assert (guide.at_end(), guide.note, guide.at_end()) == (Move.CLOSE, ENDED_THINKING, Move.END)
    assert Guide(TextStream(), None, minds_loops=True).at_end() is Move.END


def table(rows: int) -> list[int]:
    """A frame of nine tokens around three that differ."""
    return [token for row in range(rows) for token in (1, 2, 1000 + row, 3, 4, 5, 2000 + row, 6, 7, 8, 3000 + row, 9)]


@pytest.mark.parametrize(
    ("tokens", "circles"),
    [
        ([5] * 600, True),
        (ROUND, True),
        (list(range(60)) * 12, True),
        (list(range(100)) + ROUND, True),
        ([token for n in range(90) for token in (1, 2, 3, 4, 5, 6, 7, n // 9)], True),
        (list(range(1200)), False),
        ([5] * 500, False),
        (list(range(128)) * 4, False),
        (table(100), False),
    ],
)
def test_circles(tokens: Sequence[int], circles: bool) -> None:
    loops = Loops()
    assert any(loops.hear((token,)) for token in tokens) is circles
