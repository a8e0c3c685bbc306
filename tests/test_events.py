"""The stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator

from runner.events import Chunk, Finish, Phase, together


def turn(tokens: int) -> Iterator[Chunk]:
    yield Chunk(Phase.PREFILL)
    for index in range(tokens):
        yield Chunk(Phase.DECODE, text=f"{index} ", reasoning="r", completion_tokens=index + 1)
    yield Chunk(Phase.DONE, text="end", completion_tokens=tokens, finish=Finish.STOP)


def test_tokens_travel_together_and_none_is_lost() -> None:
    clock = iter(index / 1000 for index in range(10_000))
    sent = list(together(turn(1000), lambda: next(clock), 0.02))
    assert "".join(chunk.text for chunk in sent) == "".join(chunk.text for chunk in turn(1000))
    assert "".join(chunk.reasoning for chunk in sent) == "r" * 1000
    assert len(sent) <= 53
    assert sent[1].completion_tokens == 1, "the first token goes at once"
    assert (sent[0].phase, sent[-1].finish) == (Phase.PREFILL, Finish.STOP)
