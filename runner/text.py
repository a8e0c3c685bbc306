"""From token bytes to readable text: whole characters, thinking apart from the answer, stop strings. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Markers:
    """How a model family fences its thinking: the text between `opening` and `closing` is not the answer."""

    opening: str
    closing: str


# <think> is DeepSeek's, Qwen's and most others'; the channel form is gpt-oss's (OpenAI's harmony format).
THINKING = (
    Markers("<think>", "</think>"),
    Markers("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    Markers("[THINK]", "[/THINK]"),
)
# The frame around an answer that comes without any thinking before it.
NOISE = ("<|channel|>final<|message|>",)


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
        self._fences = THINKING if fences else ()
        self._pending = ""
        self._at_start = fences
        self.stopped = False

    def feed(self, data: bytes) -> Piece:
        """Take the bytes of a token."""
        self._pending += self._decoder.decode(data)
        return self._drain(final=False)

    def finish(self) -> Piece:
        """Give what was held back: the turn is over."""
        self._pending += self._decoder.decode(b"", final=True)
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> Piece:
        text, reasoning = "", ""
        while self._pending and not self.stopped:
            needles = self._needles()
            hit = find_first(self._pending, needles)
            if hit is None:
                keep = 0 if final else held_back(self._pending, needles)
                ready, self._pending = (
                    self._pending[: len(self._pending) - keep],
                    self._pending[len(self._pending) - keep :],
                )
            else:
                ready, self._pending = self._pending[: hit[0]], self._pending[hit[0] + len(hit[1]) :]
            if self._inside:
                reasoning += ready
            else:
                text += self._trimmed(ready)
            if hit is None:
                break
            self._cross(hit[1])
        return Piece(text, reasoning, self.stopped)

    def _needles(self) -> tuple[str, ...]:
        if self._inside:
            return (self._inside.closing,)
        if not self._at_start:
            return self._stop
        return (*self._stop, *(fence.opening for fence in self._fences), *NOISE)

    def _cross(self, needle: str) -> None:
        """Step over a marker."""
        if self._inside:
            self._inside, self._at_start = None, True
        elif needle in self._stop:
            self.stopped = True
        else:
            self._inside = next((fence for fence in self._fences if fence.opening == needle), None)

    def _trimmed(self, ready: str) -> str:
        """Drop the blank lines that models put between thinking and answer; keep all other white space."""
        if not self._at_start:
            return ready
        self._at_start = not ready.strip()
        return ready.lstrip("\n")


def opened_thinking(prompt: str) -> Markers | None:
    """The fence that the prompt's own end has opened (templates of always-thinking models do that)."""
    tail = prompt.rstrip()
    return next((fence for fence in THINKING if tail.endswith(fence.opening)), None)
