"""DeepSeek V3.2 and V4: marks around each argument, which says of itself whether it is text.

<｜DSML｜function_calls>
<｜DSML｜invoke name="get_weather">
<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.members import Members, until_mark
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import Form, Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

MARK = "｜DSML｜"
INVOKE, INVOKE_END = f'<{MARK}invoke name="', f"</{MARK}invoke>"
PARAMETER, PARAMETER_END = f'<{MARK}parameter name="', f"</{MARK}parameter>"
AROUND = tuple(f"{left}{MARK}{word}>" for word in ("function_calls", "tool_calls") for left in ("<", "</"))


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of and behind the marks is text."""
    while mark := (yield from reader.until((*AROUND, INVOKE), told.say)):
        if mark == INVOKE:
            yield from or_text(reader, told, mark, _call(reader, told))


def _call(reader: Reader, told: Told) -> Steps[None]:
    name = good_name((yield from reader.before('"', "\n")))
    yield from reader.space()
    yield from reader.expect(">")
    told.begin(name)
    members = Members(told)
    yield from reader.space()
    while (yield from reader.mark(PARAMETER, INVOKE_END)) == PARAMETER:
        members.key((yield from reader.before('"')))
        attributes = yield from reader.before(">")
        kinds = frozenset(("string",)) if 'string="true"' in attributes else frozenset[str]()
        yield from until_mark(reader, members, (PARAMETER_END,), kinds)
        yield from reader.space()
    members.close()


_SYNTAX = Syntax(
    INVOKE,
    "",
    '">\n',
    f"{INVOKE_END}\n",
    INVOKE,
    lead=f"{AROUND[0]}\n",
    end=AROUND[1],
    form=Form.MEMBERS,
    member=(PARAMETER, '" string="', f"{PARAMETER_END}\n"),
)
_TOOL_CALLS = replace(_SYNTAX, lead=f"{AROUND[2]}\n", end=AROUND[3])  # V4
_SYNTAXES = (("function_calls", _SYNTAX), ("", _TOOL_CALLS))
FAMILY = Family("DeepSeek V3.2", ((MARK, "invoke"),), (MARK,), parse, _SYNTAXES, breaks=AROUND[::2])
