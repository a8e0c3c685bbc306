"""Why much of a prompt was read anew."""

import pytest

from runner.report.reread import no_way_back, reread_reason
from runner.types.generation import Chunk, Message, Phase

SYSTEM, ONE, FIRST, TWO, SECOND, THREE = (
    Message("system", "Be brief."),
    Message("user", "one"),
    Message("assistant", "1"),
    Message("user", "two"),
    Message("assistant", "2"),
    Message("user", "three"),
)
SO_FAR = (SYSTEM, ONE, FIRST, TWO)
LONG = Message("user", "word " * 900)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        (None, SO_FAR, "the engine had read nothing of it"),
        (SO_FAR, (*SO_FAR, SECOND, LONG), "the new message is long"),
        (SO_FAR, (*SO_FAR, SECOND), "the cache held no more of it"),
        (SO_FAR, (Message("system", "Be long."), *SO_FAR[1:]), "the system prompt is another"),
        (SO_FAR, SO_FAR[1:], "the system prompt is another"),
        (SO_FAR, (SYSTEM, TWO, SECOND, THREE), "the oldest turns were left out"),
        (SO_FAR, (SYSTEM, ONE, FIRST, THREE), "an earlier message is another"),
        (SO_FAR, (SYSTEM, THREE), "another conversation was read last"),
        (SO_FAR, (SYSTEM, LONG), "the new message is long"),  # all earlier turns were left out, or it is a new chat
        (SO_FAR[1:], (LONG,), "the new message is long"),
        (SO_FAR, (SYSTEM, LONG, SECOND, THREE), "another conversation was read last"),
    ],
)
def test_the_reason(before: tuple[Message, ...] | None, now: tuple[Message, ...], reason: str) -> None:
    assert reread_reason(before, now, Chunk(Phase.DONE, prompt_tokens=900, cached_tokens=100)) == reason


@pytest.mark.parametrize(("prompt", "cached"), [(500, 0), (4000, 3000)])
def test_a_little_needs_no_reason(prompt: int, cached: int) -> None:
    assert reread_reason(None, SO_FAR, Chunk(Phase.DONE, prompt_tokens=prompt, cached_tokens=cached)) is None


def test_a_cache_that_held_it_and_could_not_go_back_is_said_first() -> None:
    read = Chunk(Phase.DONE, prompt_tokens=900, cached_tokens=100, shared_tokens=850)
    reason = "the model's cache could not go back to where they part"
    assert reread_reason(SO_FAR, (*SO_FAR, SECOND), read) == no_way_back(read) == reason
    assert no_way_back(Chunk(Phase.DONE, prompt_tokens=900, cached_tokens=800, shared_tokens=850)) is None
