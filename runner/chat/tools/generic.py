"""Models without a notation of their own: JSON between marks that they are told of, in a fence, or alone.

<tool_call>
{"name": "get_weather", "arguments": {"city": "Paris"}}
</tool_call>
"""

from __future__ import annotations

from collections.abc import Sequence

from runner.chat.tools import bare, hermes
from runner.chat.tools.family import Family
from runner.chat.tools.reader import Reader, Steps
from runner.chat.tools.told import Told
from runner.types.tools import Tool


def parse(reader: Reader, told: Told, tools: Sequence[Tool]) -> Steps[None]:
    """All but calls is text."""
    yield from bare.parse(reader, told, tools, (hermes.OPENING, "<function_call>"))


FAMILY = Family("generic", (), (hermes.OPENING, hermes.CLOSING), parse, (("", hermes.SYNTAX),))
