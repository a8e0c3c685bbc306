"""A turn in words, while it runs and afterwards."""

import pytest

from runner.report.turn import after_turn, under_way
from runner.types.generation import Chunk, Finish, Phase

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
        (Chunk(Phase.DONE, finish=Finish.ERROR), "0 tokens · the engine failed"),
        (
            Chunk(Phase.DONE, prompt_tokens=1500, cached_tokens=1400, finish=Finish.STOP),
            "0 tokens · 1,400 of 1,500 prompt tokens kept · complete",
        ),
    ],
)
def test_how_it_ended(chunk: Chunk, words: str) -> None:
    assert after_turn(chunk, 8192) == words


def test_what_goes_on() -> None:
    prefill = Chunk(Phase.PREFILL, prompt_tokens=4100, cached_tokens=100, prefilled=512, prefill_tps=640.2)
    assert under_way(prefill) == "Reading the prompt: 512 of 4,000 tokens · 640 tok/s"
    assert under_way(Chunk(Phase.DECODE, completion_tokens=7)) == "7 tokens"
    assert under_way(Chunk(Phase.WAITING, waited_s=12.3)) == "Waiting for room: 12 s"
    assert under_way(Chunk(Phase.DECODE, completion_tokens=7, decode_tps=9.0)) == "7 tokens · 9.0 tok/s"
