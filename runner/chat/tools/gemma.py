"""Gemma 4 and FunctionGemma: calls in a notation of their own, with marks for quotes.

<|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:[1,2]}<tool_call|>
<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.members import as_json, escaped
from runner.chat.tools.reader import Broken, Cut, Reader, Steps, Write
from runner.chat.tools.syntax import Form, Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING, QUOTE = "<|tool_call>", "<tool_call|>", '<|"|>'
_OTHER = ("<start_function_call>", "<end_function_call>", "<escape>")
_QUOTES = (QUOTE, "<escape>", '"')
_ENDS = (CLOSING, "<end_function_call>")


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of, between and behind the marks is text."""
    while mark := (yield from reader.until((OPENING, _OTHER[0], *_ENDS), told.say)):
        if mark not in _ENDS:
            yield from or_text(reader, told, mark, _call(reader, told))


def _call(reader: Reader, told: Told) -> Steps[None]:
    yield from reader.space()
    yield from reader.accept("call:")
    name = good_name((yield from reader.before("{")))
    told.begin(name)
    yield from _members(reader, told.argue)
    yield from reader.space()
    yield from reader.accept(*_ENDS)
    told.end()


def _members(reader: Reader, write: Write) -> Steps[None]:
    """The members of an object whose brace is open."""
    write("{")
    yield from reader.space()
    is_first = True
    while not (yield from reader.accept("}")):
        key = yield from _key(reader)
        write(f"{'' if is_first else ', '}{escaped(key, quoted=True)}: ")
        is_first = False
        yield from reader.space()
        yield from _value(reader, write)
        yield from _next(reader)
    write("}")


def _key(reader: Reader) -> Steps[str]:
    if quote := (yield from reader.accept(*_QUOTES)):
        key = yield from reader.before(quote)
        yield from reader.space()
        yield from reader.expect(":")
        return key
    key = (yield from reader.before(":", *_ENDS)).strip()
    if not key or "\n" in key:
        raise Broken
    return key


def _next(reader: Reader) -> Steps[None]:
    yield from reader.space()
    yield from reader.accept(",")
    yield from reader.space()


def _value(reader: Reader, write: Write) -> Steps[None]:
    if quote := (yield from reader.accept(*_QUOTES)):
        write('"')
        if not (yield from reader.until((quote,), lambda text: write(escaped(text)))):
            raise Cut
        write('"')
    elif (yield from reader.accept("{")):
        yield from _members(reader, write)
    elif (yield from reader.accept("[")):
        yield from _list(reader, write)
    else:
        yield from _plain(reader, write)


def _list(reader: Reader, write: Write) -> Steps[None]:
    write("[")
    yield from reader.space()
    is_first = True
    while not (yield from reader.accept("]")):
        write("" if is_first else ", ")
        is_first = False
        yield from _value(reader, write)
        yield from _next(reader)
    write("]")


def _plain(reader: Reader, write: Write) -> Steps[None]:
    """A number, a truth, null, or a word without quotes."""
    found = ""
    while True:
        some = yield from reader.some()
        if not some:
            raise Cut
        if some[0] in ",}]<":
            break
        found += reader.take(1)
    if not found.strip():
        raise Broken
    write(as_json(found.strip(), frozenset()))


_SYNTAX = Syntax(OPENING, "call:", "", CLOSING, OPENING, form=Form.GEMMA, member=(QUOTE, "", ""))
_OTHER_SYNTAX = replace(_SYNTAX, mark=_OTHER[0], behind=_OTHER[1], joint=_OTHER[0], member=(_OTHER[2], "", ""))
_MARKS = (OPENING, CLOSING, QUOTE, *_OTHER)
FAMILY = Family("Gemma", ((OPENING, CLOSING), _OTHER[:2]), _MARKS, parse, ((OPENING, _SYNTAX), ("", _OTHER_SYNTAX)))
