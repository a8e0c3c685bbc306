"""Answers in Ollama's shape (and calls in Anthropic's), of steps that are made up: calls, thinking, ends."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from runner.api.anthropic.answers import message_json
from runner.api.asked import Asked, Piece, Whole
from runner.api.errors import Refused
from runner.api.ollama.answers import LineWriter, Shape
from runner.types.generation import Chunk, Finish, Phase
from runner.types.tools import CallDelta, ToolCall


def lines(*chunks: Chunk, is_chat: bool = True) -> list[Any]:
    writer = LineWriter(Shape("one", Asked("one"), is_chat=is_chat))
    said = [one for chunk in chunks for one in writer.piece(Piece(0, chunk))]
    return [json.loads(line) for line in (*said, *writer.end())]


def calls(line: Any) -> Sequence[Any]:
    return [one["function"] for one in line["message"].get("tool_calls", ())]


def test_a_call_is_told_as_soon_as_it_is_whole_and_once() -> None:
    first = Chunk(Phase.DECODE, calls=(CallDelta(0, "a", "capital"), CallDelta(0, arguments='{"of": "Fr')))
    second = Chunk(Phase.DECODE, calls=(CallDelta(0, arguments='ance"}'), CallDelta(1, "b", "capital", "{}")))
    last = Chunk(Phase.DONE, finish=Finish.CALLS)
    *told, end = lines(first, second, last)
    assert [[one["name"] for one in calls(line)] for line in told] == [["capital"], ["capital"]]
    assert calls(told[0])[0]["arguments"] == {"of": "France"} and calls(told[1])[0]["arguments"] == {}
    assert end["done_reason"] == "stop" and "tool_calls" not in end["message"]


def test_what_is_left_of_a_call_that_was_cut_off_is_text() -> None:
    cut = Chunk(Phase.DONE, calls=(CallDelta(0, "a", "capital", '{"of": "Fr'),), finish=Finish.LENGTH)
    told, end = lines(cut)
    assert told["message"] == {"role": "assistant", "content": 'capital({"of": "Fr)'}
    assert (end["done"], end["done_reason"]) == (True, "length")


def test_arguments_that_are_nested_too_deeply_are_no_object() -> None:
    deep = '{"of": ' + "[" * 100_000
    told, _ = lines(Chunk(Phase.DONE, calls=(CallDelta(0, "a", "capital", deep),), finish=Finish.LENGTH))
    assert told["message"]["content"] == f"capital({deep})"
    whole = Whole(calls=(ToolCall("a", "capital", deep),), last=Chunk(Phase.DONE, finish=Finish.CALLS))
    with pytest.raises(Refused, match="arguments that are no object"):
        message_json(Asked("one"), whole)


def test_thinking_is_apart_and_what_was_taken_for_text_is_called_back() -> None:
    told = lines(
        Chunk(Phase.DECODE, reasoning="Hm."),
        Chunk(Phase.DECODE, text="Hm"),
        Chunk(Phase.DECODE, text="Yes.", recast=True),
        Chunk(Phase.DONE, finish=Finish.STOP),
        is_chat=False,
    )
    assert [(one["response"], one.get("thinking"), one.get("recast")) for one in told] == [
        ("", "Hm.", None),
        ("Hm", None, None),
        ("Yes.", None, True),
        ("", None, None),
    ]


def test_seconds_become_nanoseconds() -> None:
    last = Chunk(
        Phase.DONE, prompt_tokens=30, prefilled=20, completion_tokens=8, prefill_tps=100.0, decode_tps=16.0,
        finish=Finish.STOP,
    )  # fmt: skip
    (end,) = lines(last)
    assert (end["prompt_eval_count"], end["prompt_eval_duration"]) == (30, 200_000_000)
    assert (end["eval_count"], end["eval_duration"], end["load_duration"]) == (8, 500_000_000, 0)
