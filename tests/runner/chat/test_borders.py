"""The places in a prompt that a conversation may come back to."""

import pytest

from runner.chat.borders import in_common, places, with_other_question
from runner.types.generation import Message

ASKED = (Message("system", "Be brief."), Message("user", "One?"), Message("assistant", "1"), Message("user", "1 and 0"))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (400, 500, (400, 500)),
        (400, 420, (400,)),
        (3, 90, (90,)),
        (3, 20, ()),
        (100, 2000, (100, 1488, 2000)),
        (100, 630, (100, 630)),
    ],
)
def test_around_a_question_and_in_a_long_one_but_none_that_saves_little(
    start: int, end: int, expected: tuple[int, ...]
) -> None:
    assert places(start, end) == expected


def test_another_question_begins_and_ends_in_another_way() -> None:
    assert with_other_question(ASKED) == (*ASKED[:-1], Message("user", "2"))
    begun = (*ASKED, Message("assistant", "It"))
    assert with_other_question(begun) == (*ASKED[:-1], Message("user", "2"), begun[-1])
    assert with_other_question(ASKED[:1]) is None


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [("<user>hello<bot>", "<user>0<bot>", (6, 5)), ("aa", "aaa", (2, 0)), ("same", "same", (4, 0)), ("", "x", (0, 0))],
)
def test_what_two_prompts_have_in_common(text: str, other: str, expected: tuple[int, int]) -> None:
    assert in_common(text, other) == expected
