"""Tools, choices, calls and results as OpenAI writes them."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import pytest

from models.errors import UsageError
from runner.types.codec import pack, unpack
from runner.types.generation import Chunk, Message, Phase
from runner.types.sampling import Sampling
from runner.types.tools import CallDelta, Calling, Tool, ToolCall, ToolChoice, with_delta
from runner.types.tools_json import (
    calls_json,
    deltas_json,
    read_choice,
    read_messages,
    read_tools,
    tool_json,
    with_tools,
)

ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


def test_tools_are_read_as_they_are_written() -> None:
    (tool,) = read_tools([ADD])
    assert tool_json(tool) == ADD
    assert read_tools([ADD["function"]]) == (tool,)
    assert read_tools([{"name": "now"}]) == (Tool("now"),)


@pytest.mark.parametrize(
    ("said", "calling"),
    [
        ("auto", Calling()),
        ("none", Calling(ToolChoice.NONE)),
        ("required", Calling(ToolChoice.REQUIRED)),
        ("add", Calling(ToolChoice.REQUIRED, "add")),
        ({"type": "function", "function": {"name": "add"}}, Calling(ToolChoice.REQUIRED, "add")),
        ({"type": "function", "name": "add"}, Calling(ToolChoice.REQUIRED, "add")),
    ],
)
def test_a_choice_is_a_word_or_a_function(said: object, calling: Calling) -> None:
    assert read_choice(said) == calling


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"tools": "add"}, "list of functions"),
        ({"tools": [{}]}, "a function that has a name"),
        ({"tools": [{"name": "a", "parameters": 1}]}, "parameters of the tool 'a'"),
        ({"tools": [{"name": "a"}, {"name": "a"}]}, "two tools 'a'"),
        ({"tool_choice": 1}, "tool_choice: it is auto"),
        ({"tool_choice": "required"}, "there are no tools"),
        ({"tools": [ADD], "tool_choice": "sub"}, "no tool 'sub'"),
    ],
)
def test_what_is_wrong_is_said(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        with_tools(Sampling(), asked)


def test_tools_and_a_grammar_exclude_each_other_unless_nothing_is_to_be_called() -> None:
    bound = Sampling(grammar="root ::= [a-z]")
    with pytest.raises(UsageError, match="exclude"):
        with_tools(bound, {"tools": [ADD]})
    assert with_tools(bound, {"tools": [ADD], "tool_choice": "none"}).grammar == bound.grammar


def test_messages_carry_calls_and_results_and_cross_the_pipe() -> None:
    said = [
        {"role": "user", "content": "1 + 2?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "x", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        },
        {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 2}}}]},
        {"role": "tool", "tool_call_id": "x", "content": "3"},
    ]
    messages = read_messages(said)
    assert messages == (
        Message("user", "1 + 2?"),
        Message("assistant", "", calls=(ToolCall("x", "add", '{"a": 1}'),)),
        Message("assistant", "", calls=(ToolCall("", "add", '{"a": 2}'),)),
        Message("tool", "3", answers="x"),
    )
    assert tuple(unpack(Message, pack(message)) for message in messages) == messages


@pytest.mark.parametrize("said", [[{}], [{"role": "user"}], 1, [{"role": "assistant", "tool_calls": [{}]}], ["x"]])
def test_what_is_no_message_is_refused(said: object) -> None:
    with pytest.raises(UsageError, match="A message is"):
        read_messages(said)


def test_pieces_become_calls() -> None:
    deltas = [CallDelta(0, "x", "add", '{"a"'), CallDelta(0, arguments=": 1}"), CallDelta(1, "y", "now")]
    none: tuple[ToolCall, ...] = ()
    calls = reduce(with_delta, deltas, none)
    assert calls == (ToolCall("x", "add", '{"a": 1}'), ToolCall("y", "now", ""))
    assert calls_json(calls)[0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    first, second, _ = deltas_json(deltas)
    assert first == {"index": 0, "id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a"'}}
    assert second == {"index": 0, "function": {"arguments": ": 1}"}}
    chunk = Chunk(Phase.DECODE, calls=tuple(deltas))
    assert unpack(Chunk, pack(chunk)) == chunk and chunk.says_something
    assert not replace(chunk, calls=()).says_something
