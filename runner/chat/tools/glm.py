"""GLM 4.5 and later: `<tool_call>` around a name, and keys and values in marks of their own.

<tool_call>get_weather
<arg_key>city</arg_key>
<arg_value>Paris</arg_value>
</tool_call>
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.members import Members, until_mark
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.schema import kinds_of, tool_named
from runner.chat.tools.syntax import Form, Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING = "<tool_call>", "</tool_call>"
KEY, KEY_END, VALUE, VALUE_END = "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"


def parse(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of, between and behind the marks is text."""
    while mark := (yield from reader.until((OPENING, CLOSING), told.say)):
        if mark == OPENING:
            yield from or_text(reader, told, mark, _call(reader, told, tools))


def _call(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    parts: list[str] = []
    mark = yield from reader.until((KEY, CLOSING), parts.append)
    name = good_name("".join(parts))
    told.begin(name)
    members, tool = Members(told), tool_named(tools, name)
    while mark == KEY:
        key = (yield from reader.before(KEY_END)).strip()
        members.key(key)
        yield from reader.space()
        yield from reader.expect(VALUE)
        yield from until_mark(reader, members, (VALUE_END,), kinds_of(tool, key))
        yield from reader.space()
        mark = yield from reader.mark(KEY, CLOSING)
    members.close()


_SYNTAX = Syntax(
    OPENING,
    "",
    "\n",
    CLOSING,
    f"\n{OPENING}",
    form=Form.MEMBERS,
    member=(KEY, f"{KEY_END}\n{VALUE}", f"{VALUE_END}\n"),
)
_MARKS = (OPENING, CLOSING, KEY, KEY_END, VALUE, VALUE_END)
FAMILY = Family("GLM", ((KEY, VALUE),), _MARKS, parse, (("", _SYNTAX),))
