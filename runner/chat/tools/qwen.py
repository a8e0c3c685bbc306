"""Qwen3-Coder, Qwen 3.5, Nemotron 3, Step, Seed: marks around each argument, whose text is not quoted.

    <tool_call>
    <function=get_weather>
    <parameter=city>
    Paris
    </parameter>
    </function>
    </tool_call>

The outer marks are left out now and then; then only a function that there is counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.members import Members, until_mark
from runner.chat.tools.reader import Broken, Reader, Steps
from runner.chat.tools.schema import kinds_of, tool_named
from runner.chat.tools.syntax import Form, Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING = "<tool_call>", "</tool_call>"
_OPENINGS, _CLOSINGS = (OPENING, "<seed:tool_call>"), (CLOSING, "</seed:tool_call>")
_FUNCTION, _FUNCTION_END = "<function=", "</function>"
_PARAMETER, _PARAMETER_ENDS = "<parameter=", ("\n</parameter>", "</parameter>")


def parse(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of, between and behind the marks is text."""
    while mark := (yield from reader.until((*_OPENINGS, *_CLOSINGS, _FUNCTION), told.say)):
        if mark in _OPENINGS:
            yield from or_text(reader, told, mark, _marked(reader, told, tools))
        elif mark == _FUNCTION:
            yield from or_text(reader, told, mark, _function(reader, told, tools, is_sure=False))


def _marked(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    yield from reader.space()
    yield from reader.expect(_FUNCTION)
    yield from _function(reader, told, tools, is_sure=True)


def _function(reader: Reader, told: Told, tools: Sequence[Tool], *, is_sure: bool) -> Steps[None]:
    name = good_name((yield from reader.before(">", "\n")))
    tool = tool_named(tools, name)
    if tool is None and not is_sure:
        raise Broken
    told.begin(name)
    members = Members(told)
    yield from reader.space()
    while (yield from reader.mark(_PARAMETER, _FUNCTION_END, *_CLOSINGS)) == _PARAMETER:
        key = (yield from reader.before(">", "\n")).strip()
        members.key(key)
        yield from reader.accept("\n")
        yield from until_mark(reader, members, _PARAMETER_ENDS, kinds_of(tool, key))
        yield from reader.space()
    members.close()


_SYNTAX = Syntax(
    OPENING,
    f"\n{_FUNCTION}",
    ">\n",
    f"{_FUNCTION_END}\n{CLOSING}",
    f"\n{OPENING}",
    form=Form.MEMBERS,
    member=(_PARAMETER, ">\n", f"{_PARAMETER_ENDS[0]}\n"),
)
_SEED = replace(_SYNTAX, mark=_OPENINGS[1], behind=f"{_FUNCTION_END}\n{_CLOSINGS[1]}", joint=f"\n{_OPENINGS[1]}")
_SYNTAXES = ((_OPENINGS[1], _SEED), ("", _SYNTAX))
FAMILY = Family(
    "Qwen3-Coder", ((_FUNCTION, "<parameter="),), (*_OPENINGS, *_CLOSINGS), parse, _SYNTAXES, breaks=(OPENING,)
)
