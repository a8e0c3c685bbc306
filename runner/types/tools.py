"""Functions that a model may call, and the calls that it makes. Pure data."""

import json
from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; `parameters` is a JSON Schema of an object, as JSON text."""

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'


class ToolChoice(StrEnum):
    """Whether a model is to call: as it likes, not at all, or in any case."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Calling:
    """How a model may call the tools that its template is told of.

    `function` is the only one that may be called, None: any. Unless `parallel`, an answer has one call at most.
    """

    choice: ToolChoice = ToolChoice.AUTO
    function: str | None = None
    parallel: bool = True


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call in a message of the assistant; `arguments` is JSON text of an object, if the model wrote such."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of call number `index` of an answer: its first one has `id` and `name`, all have more of `arguments`."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


def read_arguments(text: str) -> object:
    """What a model wrote for arguments, as JSON has it; the text itself where it is none, or is nested too deeply."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def with_delta(calls: tuple[ToolCall, ...], delta: CallDelta) -> tuple[ToolCall, ...]:
    """Calls, one piece further; pieces come in order."""
    if delta.index == len(calls):
        return (*calls, ToolCall(delta.id, delta.name, delta.arguments))
    last = calls[-1]
    return (*calls[:-1], replace(last, arguments=last.arguments + delta.arguments))
