"""Mistral, Devstral, Magistral, Ministral: `[TOOL_CALLS]` before a list of JSON, or before each name.

[TOOL_CALLS][{"name": "get_weather", "arguments": {"city": "Paris"}}]
[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}
[TOOL_CALLS]get_weather[CALL_ID]a1b2c3d4e[ARGS]{"city": "Paris"}
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import json_text
from runner.chat.tools.family import Family, any_name, good_name, or_text
from runner.chat.tools.reader import Broken, Reader, Steps
from runner.chat.tools.syntax import Syntax, json_syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, ID, ARGUMENTS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of and behind the calls is text."""
    while mark := (yield from reader.until((OPENING,), told.say)):
        yield from or_text(reader, told, mark, _call(reader, told))


def _call(reader: Reader, told: Told) -> Steps[None]:
    yield from reader.space()
    if (yield from reader.first()) in "[{":
        yield from json_text.calls(reader, told, any_name)
        return
    parts: list[str] = []
    mark = yield from reader.until((ID, ARGUMENTS, "{", "\n"), parts.append)
    name = good_name("".join(parts))
    if mark == ID:
        mark = yield from reader.until((ARGUMENTS,), _ignore)
    if mark not in (ARGUMENTS, "{"):
        raise Broken
    told.begin(name)
    if mark == "{":
        yield from json_text.rest_of_object(reader, told.argue)
    else:
        yield from reader.space()
        yield from json_text.arguments(reader, told.argue)
    told.end()


def _ignore(_text: str) -> None:
    """An id of the model's own."""


_SYNTAXES = ((ARGUMENTS, Syntax(OPENING, "", ARGUMENTS, "", OPENING)), ("", json_syntax(OPENING)))
FAMILY = Family("Mistral", ((OPENING,),), (OPENING, ID, ARGUMENTS), parse, _SYNTAXES)
