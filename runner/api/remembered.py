"""Conversations that a next request may go on from, as long as the server lives."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from runner.types.generation import Message


@dataclass(frozen=True, slots=True)
class Memory:
    """A conversation with its answer, and the JSON that its client got."""

    messages: tuple[Message, ...]
    said: str

    @property
    def letters(self) -> int:
        """How long it is, near enough to bound what all take."""
        return len(self.said) + sum(_letters(one) for one in self.messages)


class Remembered:
    """At most so many, and so many letters in all; what was not gone on from for longest is forgotten first."""

    def __init__(self, count: int, letters: int) -> None:
        self._count, self._most = count, letters
        self._kept: OrderedDict[str, Memory] = OrderedDict()
        self._letters = 0

    def keep(self, name: str, memory: Memory) -> None:
        """Until others take its place."""
        self._kept[name] = memory
        self._letters += memory.letters
        while len(self._kept) > self._count or self._letters > self._most:
            self.forget(next(iter(self._kept)))

    def of(self, name: str) -> Memory | None:
        """It, if it is still kept."""
        if name in self._kept:
            self._kept.move_to_end(name)
        return self._kept.get(name)

    def forget(self, name: str) -> None:
        """Keep it no longer; it is there."""
        self._letters -= self._kept.pop(name).letters


def _letters(one: Message) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in one.calls)
    return len(one.content) + len(one.reasoning or "") + calls
