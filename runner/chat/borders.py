"""Where a conversation may go on another way: the places in its prompt to come back to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.chat.template import common_prefix
from runner.types.generation import Message

_BEFORE_END = 512  # tokens: the end of a long question may be another
_APART = 32  # tokens: fewer are as quickly read as a state is kept


def places(start: int, end: int) -> tuple[int, ...]:
    """Those in a prompt whose last question lies between these, all in tokens: both, and one in a long question."""
    found: list[int] = []
    for place in (start, max(start, end - _BEFORE_END), end):
        if place - (found[-1] if found else 0) >= _APART:
            found.append(place)
    return tuple(found)


def with_other_question(messages: Sequence[Message]) -> tuple[Message, ...] | None:
    """The conversation with a last question that begins and ends in another way; None where there is no question."""
    at = next((place for place in reversed(range(len(messages))) if messages[place].role == "user"), None)
    if at is None:
        return None
    said = messages[at].content.strip()
    other = next(letter for letter in "012" if letter not in (said[:1], said[-1:]))
    return (*messages[:at], replace(messages[at], content=other), *messages[at + 1 :])


def in_common(text: str, other: str) -> tuple[int, int]:
    """How many letters both begin and end with; not more than there are in either."""
    before = common_prefix(text, other)
    return before, common_prefix(text[before:][::-1], other[before:][::-1])
