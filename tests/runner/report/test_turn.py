"""A turn in words, while it runs and afterwards."""

import pytest

from runner.report.turn import after_turn, cut_short, under_way
from runner.types.drafts import Drafted, DraftKind
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
        (DONE, "312 tokens · 12.4 tok/s · first token 0.42 s · 40 prompt tokens read · complete"),
        (
            Chunk(Phase.DONE, completion_tokens=9, finish=Finish.STOP, draft=Drafted(DraftKind.LOOKUP, 8, 5, 1.321)),
            "9 tokens · 5 of 8 guessed tokens right, 1.32 × as fast · complete",
        ),
        (
            Chunk(Phase.DONE, completion_tokens=9, finish=Finish.STOP, draft=Drafted(DraftKind.MODEL, 8, 5, 1.321)),
            "9 tokens · 5 of 8 tokens guessed by the small model right, 1.32 × as fast · complete",
        ),
        (Chunk(Phase.DONE, finish=Finish.INTERRUPTED), "0 tokens · stopped by you"),
        (
            Chunk(Phase.DONE, completion_tokens=1, context_used=8, finish=Finish.LENGTH),
            "1 token · stopped at max-tokens",
        ),
        (
            Chunk(Phase.DONE, completion_tokens=9, context_used=8191, finish=Finish.LENGTH),
            "9 tokens · the context is full",
        ),
        (Chunk(Phase.DONE), "0 tokens · ended early"),
        (Chunk(Phase.DONE, finish=Finish.ERROR), "0 tokens · the engine failed"),
        (
            Chunk(Phase.DONE, prompt_tokens=1500, cached_tokens=1400, finish=Finish.STOP),
            "0 tokens · 1,400 of 1,500 prompt tokens kept, 100 read anew · complete",
        ),
    ],
)
def test_how_it_ended(chunk: Chunk, words: str) -> None:
    assert after_turn(chunk, 8192) == words


def test_why_much_was_read_anew() -> None:
    words = after_turn(DONE, 8192, "the system prompt is another")
    assert "40 prompt tokens read (the system prompt is another) · complete" in words


def test_a_cache_that_could_not_go_back_is_said_where_nothing_more_is_known() -> None:
    words = after_turn(Chunk(Phase.DONE, prompt_tokens=900, cached_tokens=100, shared_tokens=850), 8192)
    assert "800 read anew (the model's cache could not go back to where they part)" in words


def test_what_goes_on() -> None:
    prefill = Chunk(Phase.PREFILL, prompt_tokens=4100, cached_tokens=100, prefilled=512, prefill_tps=640.2)
    assert under_way(prefill) == "Reading the prompt: 512 of 4,000 tokens · 640 tok/s"
    assert under_way(Chunk(Phase.DECODE, completion_tokens=7)) == "7 tokens"
    assert under_way(Chunk(Phase.WAITING, waited_s=12.3)) == "Waiting for room: 12 s"
    assert under_way(Chunk(Phase.DECODE, completion_tokens=7, decode_tps=9.0)) == "7 tokens · 9.0 tok/s"


@pytest.mark.parametrize(
    ("chunk", "is_thinking", "words"),
    [
        (DONE, False, ""),
        (Chunk(Phase.DONE, finish=Finish.INTERRUPTED), True, ""),
        (Chunk(Phase.DONE, finish=Finish.STOP), False, ""),
        (Chunk(Phase.DONE, finish=Finish.STOP), True, "The model ended its answer before it said a word."),
        (
            Chunk(Phase.DONE, completion_tokens=12, context_used=40, finish=Finish.LENGTH),
            False,
            "The answer ends here: --max-tokens 12 is reached.",
        ),
        (
            Chunk(Phase.DONE, completion_tokens=12, context_used=40, finish=Finish.LENGTH),
            True,
            "The answer ends here, while the model was still thinking: --max-tokens 12 is reached.",
        ),
        (
            Chunk(Phase.DONE, completion_tokens=12, context_used=8191, finish=Finish.LENGTH),
            False,
            "The answer ends here: the context of 8,192 tokens is full (--ctx asks for more).",
        ),
    ],
)
def test_what_cut_an_answer_short(chunk: Chunk, is_thinking: bool, words: str) -> None:
    assert cut_short(chunk, 8192, is_thinking=is_thinking) == words
