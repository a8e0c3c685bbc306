"""gpt-oss: a message to a function, whose header `TextStream` leaves in the text.

<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.markers import ADDRESS, HEADER
from runner.chat.tools import json_text
from runner.chat.tools.family import Family, good_name, or_text
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.told import Told
from runner.types.tools import Tool


def parse(reader: Reader, told: Told, _tools: Sequence[Tool]) -> Steps[None]:
    """Messages to nobody are text."""
    while mark := (yield from reader.until((ADDRESS,), told.say)):
        yield from or_text(reader, told, mark, _call(reader, told))


def _call(reader: Reader, told: Told) -> Steps[None]:
    name = good_name((yield from reader.before("<|message|>")))
    told.begin(name)
    yield from reader.space()
    yield from json_text.arguments(reader, told.argue)
    told.end()


FAMILY = Family("gpt-oss", ((HEADER, "functions."),), ("<|start|>", "<|constrain|>", "<|call|>"), parse)
