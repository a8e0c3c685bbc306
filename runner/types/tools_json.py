"""Tools, calls and the messages around them as people and programs write them: OpenAI's JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.errors import UsageError
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.tools import CallDelta, Calling, Tool, ToolCall, ToolChoice

Json = dict[str, Any]
KEYS = ("tools", "tool_choice", "parallel_tool_calls")
"""What a request says about tools."""


def with_tools(sampling: Sampling, asked: Mapping[str, Any]) -> Sampling:
    """`sampling` with what a JSON object says under KEYS; None says nothing. Raises UsageError."""
    templating, calling = sampling.templating, sampling.calling
    if (said := asked.get("tools")) is not None:
        templating = replace(templating, tools=read_tools(said))
    if (said := asked.get("tool_choice")) is not None:
        calling = replace(read_choice(said), parallel=calling.parallel)
    if (said := asked.get("parallel_tool_calls")) is not None:
        if not isinstance(said, bool):
            raise UsageError("parallel_tool_calls: it is true or false.")
        calling = replace(calling, parallel=said)
    return with_possible_calls(replace(sampling, templating=templating, calling=calling))


def with_possible_calls(sampling: Sampling) -> Sampling:
    """`sampling`; UsageError where what it says of calls cannot be done."""
    tools, calling = sampling.templating.tools, sampling.calling
    if calling.choice is ToolChoice.REQUIRED and not tools:
        raise UsageError("A call is demanded, and there are no tools.")
    if calling.function is not None and calling.function not in [tool.name for tool in tools]:
        raise UsageError(f"There is no tool {calling.function!r} to be called.")
    if tools and sampling.grammar is not None and calling.choice is not ToolChoice.NONE:
        raise UsageError("Tools exclude --schema, --grammar and --choices: a call would have no room.")
    return sampling


def read_tools(said: object) -> tuple[Tool, ...]:
    """Tools from a list of `{"type": "function", "function": {...}}`, or of the functions. Raises UsageError."""
    if not isinstance(said, list):
        raise UsageError("Tools are a list of functions.")
    tools = tuple(map(_tool, said))
    names = [tool.name for tool in tools]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"There are two tools {twice[0]!r}.")
    return tools


def _tool(said: object) -> Tool:
    function = said.get("function", said) if isinstance(said, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"].strip():
        raise UsageError("A tool is an object with a function that has a name.")
    name, parameters = function["name"], function.get("parameters")
    if parameters is None:
        return Tool(name, str(function.get("description") or ""))
    if not isinstance(parameters, dict):
        raise UsageError(f"The parameters of the tool {name!r} are no JSON schema.")
    return Tool(name, str(function.get("description") or ""), json.dumps(parameters, ensure_ascii=False))


def read_choice(said: object) -> Calling:
    """A tool_choice: auto, none, required, or a function by name, plain or as OpenAI names it. Raises UsageError."""
    if isinstance(said, str) and said in tuple(ToolChoice):
        return Calling(ToolChoice(said))
    if isinstance(said, dict):
        said = said.get("function", said)
        said = said.get("name") if isinstance(said, dict) else None
    if isinstance(said, str) and said:
        return Calling(ToolChoice.REQUIRED, said)
    raise UsageError("tool_choice: it is auto, none, required, or the name of a function.")


def tool_json(tool: Tool) -> Json:
    """A tool as templates and clients know it."""
    function = {"name": tool.name, "description": tool.description, "parameters": json.loads(tool.parameters)}
    return {"type": "function", "function": function}


def read_messages(said: object) -> tuple[Message, ...]:
    """A conversation; messages of the assistant may have tool_calls, those of a tool a tool_call_id.

    Raises UsageError.
    """
    try:
        return tuple(_message(one) for one in said)  # type: ignore[attr-defined]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("A message is an object with a role and a content.") from None


def _message(said: Mapping[str, Any]) -> Message:
    calls = read_calls(said.get("tool_calls") or ())
    content = said.get("content") if calls else said["content"]
    answers = said.get("tool_call_id")
    reasoning = said.get("reasoning_content") or said.get("reasoning")
    return Message(
        str(said["role"]),
        "" if content is None else str(content),
        reasoning if isinstance(reasoning, str) else None,
        calls,
        None if answers is None else str(answers),
    )


def read_calls(said: Iterable[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    """Whole calls. Anything else raises an error of Python's: KeyError, TypeError, AttributeError."""
    return tuple(map(_call, said))


def _call(said: Mapping[str, Any]) -> ToolCall:
    function = said["function"]
    arguments = function.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(str(said.get("id") or ""), str(function["name"]), text or "{}")


def calls_json(calls: Iterable[ToolCall]) -> list[Json]:
    """Whole calls."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]


def deltas_json(deltas: Sequence[CallDelta]) -> list[Json]:
    """Pieces of calls; what is empty is left out, but the arguments."""
    return [_delta_json(delta) for delta in deltas]


def _delta_json(delta: CallDelta) -> Json:
    first = {"id": delta.id, "type": "function"} if delta.name else {}
    named = {"name": delta.name} if delta.name else {}
    return {"index": delta.index, **first, "function": {**named, "arguments": delta.arguments}}
