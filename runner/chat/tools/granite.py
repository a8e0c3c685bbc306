"""Granite 3 and Phi-4-mini: `<|tool_call|>` before a list of JSON.

<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris"}}]
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import json_text
from runner.chat.tools.family import Family, any_name, or_text
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import json_syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING = "<|tool_call|>", "<|/tool_call|>"
_OPENINGS = (OPENING, "<tool_call>")  # the second where the mark is no token


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of and behind the calls is text."""
    while mark := (yield from reader.until((*_OPENINGS, CLOSING, "</tool_call>"), told.say)):
        if mark in _OPENINGS:
            yield from or_text(reader, told, mark, _calls(reader, told))


def _calls(reader: Reader, told: Told) -> Steps[None]:
    yield from reader.space()
    yield from json_text.calls(reader, told, any_name)


FAMILY = Family("Granite", ((OPENING,),), (OPENING, CLOSING), parse, (("", json_syntax(OPENING)),))
