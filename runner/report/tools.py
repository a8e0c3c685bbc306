"""Tools, calls and results in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from runner.report.words import one_line, plural
from runner.types.tools import Tool, ToolCall


def tool_lines(tools: Sequence[Tool]) -> list[str]:
    """What the model may call, a line each."""
    width = max((len(one_line(tool.name)) for tool in tools), default=0)
    return [f"{one_line(tool.name):<{width}}  {one_line(tool.description)}".rstrip() for tool in tools] or [
        "The model is told of no tools."
    ]


def tools_line(tools: Sequence[Tool]) -> str:
    """The same in one line."""
    if not tools:
        return "The model is told of no tools."
    return f"The model may call {plural(len(tools), 'tool')}: {', '.join(one_line(tool.name) for tool in tools)}."


def arguments_text(call: ToolCall) -> str:
    """The arguments of a call, a line each; those that are no JSON as they are."""
    with suppress(ValueError, RecursionError):
        return json.dumps(json.loads(call.arguments), ensure_ascii=False, indent=2)
    return call.arguments


def call_title(call: ToolCall, number: int, count: int) -> str:
    """Call `number` of `count` waits for its result."""
    place = f" ({number} of {count})" if count > 1 else ""
    return f"The model calls {one_line(call.name)}{place}"


def result_title(name: str, result: str) -> str:
    """What a call has brought, by the name of the function."""
    return f"{one_line(name)} → {one_line(result, 60)}"
