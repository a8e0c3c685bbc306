"""An answer as text and calls, fed piece by piece. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runner.chat.tools.family import Family
from runner.chat.tools.reader import Reader
from runner.chat.tools.told import Heard, Told
from runner.types.tools import Tool


class CallParser:
    """Reads the text of an answer as `family` writes it. `new_id` makes the id of call number so much."""

    def __init__(self, family: Family, tools: Sequence[Tool], new_id: Callable[[int], str]) -> None:
        self._reader, self._told = Reader(), Told(new_id)
        self._steps = family.parse(self._reader, self._told, tools)
        next(self._steps)

    @property
    def begun(self) -> int:
        """How many calls there are so far."""
        return self._told.count

    @property
    def ended(self) -> int:
        """How many of them are whole."""
        return self._told.ended

    def feed(self, text: str) -> Heard:
        """Take more text; what may be the beginning of a call is held back."""
        self._reader.add(text)
        next(self._steps, None)
        return self._told.take(final=False)

    def finish(self) -> Heard:
        """The answer is over: what was held back."""
        self._reader.end()
        next(self._steps, None)
        return self._told.take(final=True)
