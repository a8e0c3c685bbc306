"""What fits the context."""

import pytest

from runner.types.conversation import Turn
from runner.types.room import drop_points, more_context, room_for_answer
from runner.types.sampling import Sampling


@pytest.mark.parametrize(("ctx", "wanted", "room"), [(8192, None, 256), (8192, 10, 10), (512, None, 64), (4, None, 1)])
def test_room(ctx: int, wanted: int | None, room: int) -> None:
    assert room_for_answer(Sampling(max_tokens=wanted), ctx) == room


@pytest.mark.parametrize(
    ("needed", "ctx", "trained", "longer"),
    [
        (9000, 8192, 131_072, 16_384),
        (40_000, 8192, 131_072, 65_536),
        (12_000, 8192, 12_300, 12_300),
        (8372, 8192, 8192, None),
        (8100, 8192, 8192, None),
    ],
)
def test_more_context(needed: int, ctx: int, trained: int, longer: int | None) -> None:
    assert more_context(needed, ctx, trained) == longer


def test_what_may_be_dropped_ends_before_a_question() -> None:
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d"), Turn("user", "e")]
    assert drop_points(turns, 0) == [2, 4]
    assert drop_points(turns, 2) == [4]
