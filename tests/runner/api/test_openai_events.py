"""Events of OpenAI's dialect, of steps that are made up, and the status of what goes wrong."""

import json
from typing import Any

import pytest

from models.errors import DoesNotFit, EngineError, LocalrunError, ModelNotFound, OutOfMemory, PromptTooLong, UsageError
from runner.api.asked import Asked, Piece
from runner.api.errors import failure_of
from runner.api.openai.chat import ChatWriter
from runner.types.generation import Chunk, Finish, Phase


def deltas(*chunks: Chunk) -> list[Any]:
    writer = ChatWriter(Asked("one"), with_usage=False)
    said = [one for chunk in chunks for one in writer.piece(Piece(0, chunk))]
    return [json.loads(one.removeprefix(b"data: "))["choices"][0]["delta"] for one in said]


def test_thinking_is_apart_from_the_answer() -> None:
    assert deltas(
        Chunk(Phase.PREFILL),
        Chunk(Phase.DECODE, reasoning="Hm."),
        Chunk(Phase.DECODE, text="Hm"),
        Chunk(Phase.DECODE, text="Yes.", recast=True),
        Chunk(Phase.DONE, finish=Finish.STOP),
    ) == [
        {"role": "assistant", "content": "", "reasoning_content": "Hm."},
        {"content": "Hm"},
        {"content": "Yes.", "recast": True},
        {},
    ]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("a"), 400),
        (PromptTooLong("a"), 400),
        (ModelNotFound("a"), 404),
        (DoesNotFit("a"), 503),
        (OutOfMemory("a"), 503),
        (EngineError("a"), 500),
    ],
)
def test_what_went_wrong_has_a_status_that_programs_can_act_on(error: LocalrunError, status: int) -> None:
    assert (failure_of(error).status, failure_of(error).message) == (status, "a")
