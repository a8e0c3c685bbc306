"""gpt-oss: a message to a function, whose header `TextStream` leaves in the text.

<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.markers import ADDRESS, HEADER
from runner.chat.tools import json_text
from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

_MESSAGE = "<|message|>"


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Messages to nobody are text."""
    while mark := (yield from reader.until((ADDRESS,), told.say)):
        name: list[str] = []
        end = yield from reader.until((_MESSAGE,), name.append)
        yield from or_text(reader, told, f"{mark}{''.join(name)}{end}", _call(reader, told, "".join(name)))


def _call(reader: Reader, told: Told, name: str) -> Steps[None]:
    told.begin(good_name(name))
    yield from reader.space()
    yield from json_text.arguments(reader, told.argue)
    told.end()


_SYNTAX = Syntax(
    f"{HEADER}commentary to=functions.", "", f" <|constrain|>json{_MESSAGE}", "", turn="<|start|>assistant"
)
_MARKS = ("<|start|>", "<|constrain|>")
FAMILY = Family("gpt-oss", ((HEADER, "functions."),), _MARKS, parse, (("", _SYNTAX),), addresses=True)
