"""What a parser of calls has made of what it has read: text, and pieces of calls. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runner.types.tools import CallDelta


@dataclass(frozen=True, slots=True)
class Heard:
    """What is new: text of the answer, and pieces of calls."""

    text: str = ""
    calls: tuple[CallDelta, ...] = ()


class Told:
    """Gathers what is new. `new_id` makes the id of call number so much; behind `most` whole calls nothing counts.

    Space in front of a call is no text, and neither is what is left when the answer ends behind one.
    """

    def __init__(self, new_id: Callable[[int], str], most: int | None = None) -> None:
        self._new_id, self._most = new_id, most
        self._text, self._space = "", ""
        self._calls: list[CallDelta] = []
        self._argued = False
        self.count = 0
        """Calls that were begun."""
        self.ended = 0
        """Calls that are whole, or will never be."""

    def say(self, text: str) -> None:
        """Text of the answer."""
        if self._is_full:
            return
        text = self._space + text
        ready = text.rstrip()
        self._text, self._space = self._text + ready, text[len(ready) :]

    def begin(self, name: str) -> None:
        """A call of this function."""
        if self._is_full:
            return
        self._space = ""
        self._calls.append(CallDelta(self.count, self._new_id(self.count), name))
        self.count, self._argued = self.count + 1, False

    def argue(self, text: str) -> None:
        """More of the arguments of the last call, as JSON."""
        if text and not self._is_full:
            self._calls.append(CallDelta(self.count - 1, arguments=text))
            self._argued = True

    def end(self) -> None:
        """The last call is over; one without arguments has none."""
        if self.ended < self.count:
            if not self._argued:
                self.argue("{}")
            self.ended = self.count

    def take(self, *, final: bool) -> Heard:
        """What is new since the last time."""
        rest = self._space if final and not self.count else ""
        heard = Heard(self._text + rest, _joined(self._calls))
        self._text, self._calls = "", []
        return heard

    @property
    def _is_full(self) -> bool:
        return self._most is not None and self.ended >= self._most


def _joined(deltas: list[CallDelta]) -> tuple[CallDelta, ...]:
    """One piece for each call."""
    found: dict[int, CallDelta] = {}
    for delta in deltas:
        before = found.get(delta.index, CallDelta(delta.index))
        arguments = before.arguments + delta.arguments
        found[delta.index] = CallDelta(delta.index, before.id or delta.id, before.name or delta.name, arguments)
    return tuple(found.values())
