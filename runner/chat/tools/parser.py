"""An answer as text and calls, fed piece by piece. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runner.chat.stream import Said
from runner.chat.tools.family import Family
from runner.chat.tools.reader import Reader
from runner.chat.tools.told import Heard, Told
from runner.types.tools import Tool


class CallParser:
    """Reads the text of an answer as `family` writes it. `new_id` makes the id of call number so much.

    What stands behind `most` whole calls is dropped: tokens come several at a time, and one token may end a call and
    begin what follows it.
    """

    def __init__(
        self, family: Family, tools: Sequence[Tool], new_id: Callable[[int], str], *, most: int | None = None
    ) -> None:
        self._family, self._tools, self._told = family, tools, Told(new_id, most)
        self._restart()

    def _restart(self) -> None:
        self._reader = Reader()
        self._steps = self._family.parse(self._reader, self._told, self._tools)
        next(self._steps)

    @property
    def opened(self) -> str:
        """The mark of a call that has just come, and nothing behind it."""
        return self._reader.opened

    @property
    def begun(self) -> int:
        """How many calls there are so far."""
        return self._told.count

    @property
    def ended(self) -> int:
        """How many of them are whole."""
        return self._told.ended

    def read(self, said: Said, *, final: bool = False) -> Said:
        """What the stream has said, its calls apart; what may be the beginning of one is held back until `final`."""
        thinking = ""
        if said.recast:
            thinking = self._heard("", final=True).text
            self._restart()
        heard = self._heard(said.text, final=final)
        return replace(said, text=heard.text, reasoning=thinking + said.reasoning, calls=heard.calls)

    def _heard(self, text: str, *, final: bool) -> Heard:
        self._reader.add(text)
        if final:
            self._reader.end()
        next(self._steps, None)
        return self._told.take(final=final)
