"""Hermes, Qwen 2.5 and 3, Granite 4, and many others: `<tool_call>` around JSON.

<tool_call>
{"name": "get_weather", "arguments": {"city": "Paris"}}
</tool_call>
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import json_text
from runner.chat.tools.family import Family, any_name, or_text
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING = "<tool_call>", "</tool_call>"


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of, between and behind the marks is text."""
    while mark := (yield from reader.until((OPENING, CLOSING), told.say)):
        if mark == OPENING:
            yield from or_text(reader, told, mark, json_text.many(reader, told, any_name))


SYNTAX = Syntax(OPENING, '\n{"name": "', '", "arguments": ', f"}}\n{CLOSING}", f"\n{OPENING}")
FAMILY = Family("Hermes", ((OPENING, "arguments"),), (OPENING, CLOSING), parse, (("", SYNTAX),))
