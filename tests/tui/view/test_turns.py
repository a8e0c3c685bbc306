"""Sentences and sums about turns."""

import pytest

from runner.storage.conversations import Turn
from runner.types.generation import Chunk, Finish, Phase
from runner.types.sampling import Sampling
from scripts.draw.scripted import large_plan
from tui.view.turns import cost, drop_points, more_context, note, room_for_answer, sent, under_way

DONE = Chunk(
    Phase.DONE,
    prompt_tokens=40,
    completion_tokens=312,
    context_used=352,
    ttft_s=0.42,
    decode_tps=12.44,
    finish=Finish.STOP,
)


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (DONE, "312 tokens · 12.4 tok/s · first token 0.42 s · complete"),
        (Chunk(Phase.DONE, finish=Finish.INTERRUPTED), "0 tokens · stopped by you"),
        (
            Chunk(Phase.DONE, completion_tokens=1, context_used=8, finish=Finish.LENGTH),
            "1 token · stopped at max-tokens",
        ),
        (
            Chunk(Phase.DONE, completion_tokens=9, context_used=8192, finish=Finish.LENGTH),
            "9 tokens · the context is full",
        ),
        (Chunk(Phase.DONE), "0 tokens · ended early"),
        (
            Chunk(Phase.DONE, prompt_tokens=1500, cached_tokens=1400, finish=Finish.STOP),
            "0 tokens · 1,400 of 1,500 prompt tokens kept · complete",
        ),
    ],
)
def test_how_it_ended(chunk: Chunk, words: str) -> None:
    assert note(chunk, 8192) == words


def test_what_goes_on() -> None:
    prefill = Chunk(Phase.PREFILL, prompt_tokens=4100, cached_tokens=100, prefilled=512, prefill_tps=640.2)
    assert under_way(prefill) == "reading the prompt: 512 of 4,000 tokens · 640 tok/s"
    assert under_way(Chunk(Phase.DECODE, completion_tokens=7)) == "7 tokens · Esc stops"


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
    assert [message.content for message in sent("be brief", turns, 4)] == ["be brief", "e"]


def test_only_what_is_slow_costs() -> None:
    _, split, _, chosen, _ = large_plan().candidates
    assert "19 of 81 layers are on the CPU" in cost(split)
    assert cost(chosen) == ""
