"""From token bytes to readable text: whole characters, thinking apart from the answer, stop strings. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from runner.chat.markers import OPENINGS, THINKING, Markers


def held_back(text: str, needles: Sequence[str]) -> int:
    """How many characters at the end of `text` might be the beginning of a needle."""
    longest = max((len(needle) for needle in needles), default=0) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(needle.startswith(text[-length:]) for needle in needles):
            return length
    return 0


def find_first(text: str, needles: Sequence[str]) -> tuple[int, str] | None:
    """The earliest of the needles in `text` (the longest of those that start there)."""
    hits = [(at, -len(needle), needle) for needle in needles if (at := text.find(needle)) >= 0]
    return (min(hits)[0], min(hits)[2]) if hits else None


@dataclass(frozen=True, slots=True)
class Piece:
    """New text of the answer and of the thinking; `stopped` once a stop string was met (and cut off)."""

    text: str = ""
    reasoning: str = ""
    stopped: bool = False


class TextStream:
    """Feeds on token bytes, gives pieces. Holds back what may turn out to be a marker or a stop string.

    Thinking can only open an answer: a fence in the middle of one is text. `thinking` is the fence that the prompt
    has already opened. `fences` false leaves everything as it is.
    """

    def __init__(self, stop: Sequence[str] = (), thinking: Markers | None = None, fences: bool = True) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._inside = thinking
        self._pending = ""
        self._at_start = fences
        self.stopped = False

    def feed(self, data: bytes) -> Piece:
        """Take the bytes of a token."""
        self._pending += self._decoder.decode(data)
        return self._drain(final=False)

    def finish(self, data: bytes = b"") -> Piece:
        """Take the last bytes and give what was held back: the answer is over."""
        self._pending += self._decoder.decode(data, final=True)
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> Piece:
        text, reasoning = "", ""
        while self._pending and not self.stopped:
            self._settle_start()
            needles = self._needles()
            hit = find_first(self._pending, needles)
            if hit is None:
                keep = 0 if final else held_back(self._pending, needles)
                at, after = len(self._pending) - keep, len(self._pending) - keep
            else:
                at, after = hit[0], hit[0] + len(hit[1])
            ready, self._pending = self._pending[:at], self._pending[after:]
            if self._inside:
                reasoning += ready
            else:
                text += ready
            if hit is None:
                break
            self._cross(hit[1])
        return Piece(text, reasoning, self.stopped)

    def _settle_start(self) -> None:
        """At the start of an answer drop blank lines, and find out whether a fence can still come."""
        if self._at_start and not self._inside:
            self._pending = self._pending.lstrip("\n")
            head = self._pending.lstrip()
            self._at_start = any(opening.startswith(head[: len(opening)]) for opening in OPENINGS)

    def _needles(self) -> tuple[str, ...]:
        if self._inside:
            return (self._inside.closing,)
        return (*self._stop, *OPENINGS) if self._at_start else self._stop

    def _cross(self, needle: str) -> None:
        """Step over a marker."""
        if self._inside:
            self._inside, self._at_start = None, True
        elif needle in self._stop:
            self.stopped = True
        else:
            self._inside = next((fence for fence in THINKING if fence.opening == needle), None)
