"""DeepSeek V3 and R1, then V3.1: marks around each name and its JSON.

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather
```json
{"city": "Paris"}
```<｜tool▁call▁end｜><｜tool▁calls▁end｜>

<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜>
<｜tool▁calls▁end｜>
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import json_text
from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

OPENING, CLOSING = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, SEPARATOR, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
_OTHERS = ("<｜tool_calls_begin｜>", "<｜tool calls begin｜>", "<｜tool▁calls｜>")  # as distilled models write it
_FENCES = ("```json", "```")
MARKS = (OPENING, CLOSING, CALL, SEPARATOR, CALL_END)


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Everything in front of and behind the marks is text."""
    marks = (OPENING, *_OTHERS, CLOSING, CALL, CALL_END)
    while mark := (yield from reader.until(marks, told.say)):
        if mark == CALL:
            yield from or_text(reader, told, mark, _call(reader, told))


def _call(reader: Reader, told: Told) -> Steps[None]:
    name = (yield from reader.before(SEPARATOR)).strip()
    if name == "function":
        name = yield from reader.before("\n", "`", "{")
    told.begin(good_name(name))
    yield from reader.space()
    fence = yield from reader.accept(*_FENCES)
    yield from reader.space()
    yield from json_text.arguments(reader, told.argue)
    yield from reader.space()
    if fence:
        yield from reader.accept("```")
    told.end()


_OLD = Syntax(CALL, f"function{SEPARATOR}", "\n```json\n", f"\n```{CALL_END}", f"\n{CALL}", lead=OPENING, end=CLOSING)
_SYNTAXES = (("```json", _OLD), ("", Syntax(CALL, "", SEPARATOR, CALL_END, CALL, lead=OPENING, end=CLOSING)))
FAMILY = Family("DeepSeek", ((OPENING, SEPARATOR),), MARKS, parse, _SYNTAXES)
