"""Text that comes piece by piece, for parsers that are written as if all of it was there. Pure.

A parser is a generator of steps: it goes on until it needs more text, and yields. So where the pieces are cut makes no
difference to what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from runner.chat.stream import find_first, held_back

T = TypeVar("T")
Steps = Generator[None, None, T]
Write = Callable[[str], object]


class Broken(Exception):  # noqa: N818
    """What was read is not what it looked like."""


class Cut(Broken):
    """The text has ended too early."""


class Reader:
    """Text that has come and is not read yet."""

    def __init__(self) -> None:
        self._pending, self._is_over = "", False
        self._kept: list[str] | None = None
        self._opening = ""

    def add(self, text: str) -> None:
        """More of it."""
        self._pending += text

    def end(self) -> None:
        """There is no more to come."""
        self._is_over = True

    @property
    def opened(self) -> str:
        """What `keep` was told, as long as nothing has come behind it."""
        return self._opening if self._kept == [] and not self._pending else ""

    def keep(self, opening: str) -> None:
        """Remember what is read from now on, behind an opening."""
        self._kept, self._opening = [], opening

    def kept(self) -> str:
        """What was read since `keep`."""
        found, self._kept = "".join(self._kept or ()), None
        return found

    def skip(self) -> None:
        """Leave out what is there."""
        self._pending = ""

    def take(self, count: int) -> str:
        """Read so many letters, which are there."""
        taken, self._pending = self._pending[:count], self._pending[count:]
        if self._kept is not None:
            self._kept.append(taken)
        return taken

    def some(self) -> Steps[str]:
        """Whatever is there, at least a letter, unread; empty only at the end."""
        while not self._pending and not self._is_over:
            yield
        return self._pending

    def first(self) -> Steps[str]:
        """The next letter, unread. Raises Cut."""
        if not (yield from self.some()):
            raise Cut
        return self._pending[0]

    def space(self) -> Steps[None]:
        """Read over blanks and line ends."""
        while (some := (yield from self.some())) and some[0].isspace():
            self.take(len(some) - len(some.lstrip()))

    def accept(self, *words: str) -> Steps[str]:
        """Read the longest of these words that comes next; empty where none does."""
        while not self._is_over and any(len(self._pending) < len(w) and w.startswith(self._pending) for w in words):
            yield
        found = max((word for word in words if self._pending.startswith(word)), key=len, default="")
        self.take(len(found))
        return found

    def mark(self, *words: str) -> Steps[str]:
        """As `accept`; Cut where the text ends within one of them."""
        found = yield from self.accept(*words)
        if not found and self._pending and any(word.startswith(self._pending) for word in words):
            raise Cut
        return found

    def expect(self, *words: str) -> Steps[str]:
        """The same; Broken where none does."""
        if not (found := (yield from self.accept(*words))):
            raise Broken
        return found

    def until(self, words: Sequence[str], write: Write) -> Steps[str]:
        """Write everything in front of the first of these words, and read it; which one, empty at the end."""
        while some := (yield from self.some()):
            if hit := find_first(some, words):
                if self._may_grow(some, hit[0], words):
                    yield
                    continue
                write(self.take(hit[0]))
                return self.take(len(hit[1]))
            ready = len(some) - (0 if self._is_over else held_back(some, words))
            if ready:
                write(self.take(ready))
            elif not self._is_over:
                yield
        return ""

    def _may_grow(self, some: str, at: int, words: Sequence[str]) -> bool:
        """Whether a longer word, not all of which is there, may begin at this place or before it."""
        longest = max(map(len, words))
        ends = (some[start:] for start in range(max(0, len(some) - longest + 1), at + 1))
        return not self._is_over and any(len(w) > len(end) and w.startswith(end) for end in ends for w in words)

    def before(self, *words: str) -> Steps[str]:
        """Everything up to the first of these words, which is read. Raises Cut."""
        found: list[str] = []
        if not (yield from self.until(words, found.append)):
            raise Cut
        return "".join(found)
