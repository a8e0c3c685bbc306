"""Integers within bounds as a grammar."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runner.types.integer_grammar import bounded_integers

SOME = st.integers(-12_000, 12_000) | st.integers(-(10**18), 10**18)


def admits(schema: dict[str, Any], number: int) -> bool:
    gbnf = bounded_integers({"type": "integer", **schema})
    assert gbnf is not None
    return re.fullmatch(gbnf.replace(" ", "").replace('"', ""), str(number)) is not None


@given(SOME, SOME, SOME)
def test_exactly_what_lies_between_the_bounds(one: int, other: int, number: int) -> None:
    least, largest = sorted((one, other))
    both = {"minimum": least, "maximum": largest}
    assert all(admits(both, near) == (least <= near <= largest) for near in (number, least, least - 1, largest + 1))
    assert admits({"minimum": least}, near := max(number, least)) or len(str(abs(near))) > 16
    assert admits({"maximum": largest}, near := min(number, largest)) or len(str(abs(near))) > 16
    assert not admits({"minimum": least}, least - 1) and not admits({"maximum": largest}, largest + 1)


@pytest.mark.parametrize(
    ("schema", "integers"),
    [
        ({"minimum": 0.5, "maximum": 2.9}, {1, 2}),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 3}, {1, 2}),
        ({"exclusiveMinimum": 0.5, "maximum": 5, "exclusiveMaximum": 2.5}, {1, 2}),
        ({"minimum": -1, "maximum": 1}, {-1, 0, 1}),
    ],
)
def test_bounds_of_every_kind(schema: dict[str, Any], integers: set[int]) -> None:
    assert {number for number in range(-20, 21) if admits(schema, number)} == integers


@pytest.mark.parametrize("schema", [{}, {"type": "number", "minimum": 1}, {"type": "integer", "minimum": float("inf")}])
def test_what_is_for_somebody_else(schema: dict[str, Any]) -> None:
    assert bounded_integers(schema) is None


def test_bounds_with_nothing_between_them_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 9 and at most 1"):
        bounded_integers({"type": "integer", "minimum": 9, "maximum": 1})
