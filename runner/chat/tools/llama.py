"""Llama 3: JSON alone, with or without a mark in front of it.

{"name": "get_weather", "parameters": {"city": "Paris"}}
<|python_tag|>{"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}
<function=get_weather>{"city": "Paris"}</function>
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import bare
from runner.chat.tools.family import Family
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

MARK = "<|python_tag|>"


def parse(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    """All but calls is text."""
    yield from bare.parse(reader, told, tools, (MARK,))


_SYNTAX = Syntax("", '{"name": "', '", "parameters": ', "}")
FAMILY = Family("Llama 3", ((MARK,), ("ipython", "parameters")), (MARK,), parse, (("", _SYNTAX),))
