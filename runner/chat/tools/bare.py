"""Calls that nothing marks: JSON at the start of a line that names a function that there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import json_text
from runner.chat.tools.family import any_name, good_name, or_text
from runner.chat.tools.reader import Broken, Reader, Steps
from runner.chat.tools.told import Told
from runner.types.tools import Tool

_FENCES = ("```json\n", "```tool_call\n", "```\n")
_FUNCTION, _FUNCTION_END = "<function=", "</function>"


def parse(reader: Reader, told: Told, tools: Sequence[Tool], openings: Sequence[str] = ()) -> Steps[None]:
    """Read lines; behind the `openings` stands JSON that is a call whatever its name. Their closings are left out."""
    names = frozenset(tool.name for tool in tools)
    closings = tuple(f"</{opening[1:]}" for opening in openings)
    stops = ("\n", _FUNCTION, *openings, *closings)
    while (yield from _blanks(reader, told)):
        if (yield from _line(reader, told, names)):
            continue
        mark = yield from reader.until(stops, told.say)
        if mark in openings:
            yield from or_text(reader, told, mark, json_text.many(reader, told, any_name))
        elif mark == _FUNCTION:
            yield from or_text(reader, told, mark, _function(reader, told, names))
        elif mark not in closings:
            told.say(mark)


def _blanks(reader: Reader, told: Told) -> Steps[bool]:
    """Pass on blanks and line ends; whether there is more."""
    while (some := (yield from reader.some())) and some[0].isspace():
        told.say(reader.take(len(some) - len(some.lstrip())))
    return bool(some)


def _line(reader: Reader, told: Told, names: frozenset[str]) -> Steps[bool]:
    """Read calls where a line begins with some; whether it did."""
    before = told.count
    first = yield from reader.first()
    if first in "{[":
        yield from or_text(reader, told, "", json_text.calls(reader, told, names.__contains__))
    elif first == "`" and (fence := (yield from reader.accept(*_FENCES))):
        yield from or_text(reader, told, fence, _fenced(reader, told, names))
    if told.count == before:
        return False
    yield from reader.accept(";", ",")
    return True


def _fenced(reader: Reader, told: Told, names: frozenset[str]) -> Steps[None]:
    yield from reader.space()
    while (yield from reader.first()) in "{[":
        yield from json_text.calls(reader, told, names.__contains__)
        yield from reader.space()
    yield from reader.expect("```")


def _function(reader: Reader, told: Told, names: frozenset[str]) -> Steps[None]:
    """`<function=get_weather>{"city": "Paris"}</function>`"""
    name = good_name((yield from reader.before(">", "\n")))
    if name not in names:
        raise Broken
    told.begin(name)
    yield from reader.space()
    yield from json_text.arguments(reader, told.argue)
    yield from reader.space()
    yield from reader.accept(_FUNCTION_END)
    told.end()
