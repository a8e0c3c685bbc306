"""From token bytes to readable text: whole characters, thinking apart from the answer, stop strings. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from runner.chat import markers
from runner.chat.markers import (
    ADDRESS,
    ALONE,
    FRAMES,
    HEADER,
    HEADER_ENDS,
    MESSAGE_ENDS,
    OPENINGS,
    RECIPIENT,
    THINKING,
    Markers,
)
from runner.types.tools import CallDelta


def held_back(text: str, needles: Sequence[str]) -> int:
    """How many characters at the end of `text` might be the beginning of a needle."""
    longest, heads = max(map(len, needles), default=0) - 1, {needle[:1] for needle in needles}
    for length in range(min(longest, len(text)), 0, -1):
        if text[-length] in heads and any(needle.startswith(text[-length:]) for needle in needles):
            return length
    return 0


def find_first(text: str, needles: Sequence[str], start: int = 0) -> tuple[int, str] | None:
    """The earliest of the needles in `text` from `start` on (the longest of those that begin there)."""
    hits = [(at, -len(needle), needle) for needle in needles if (at := text.find(needle, start)) >= 0]
    return (min(hits)[0], min(hits)[2]) if hits else None


RECAST = "The model closed a thinking that it had not opened: all that it said before was that."


@dataclass(frozen=True, slots=True)
class Said:
    """New text of the answer and of the thinking; `stopped` once a stop string was met (and cut off).

    `recast`: all text before this piece is thinking, for the model has closed what it never opened. `calls` come out of
    the text (runner.chat.tools.parser).
    """

    text: str = ""
    reasoning: str = ""
    stopped: bool = False
    recast: bool = False
    calls: tuple[CallDelta, ...] = ()


class _Mode(Enum):
    START = auto()  # nothing said: a mark may open thinking, a header or a frame
    TEXT = auto()
    THINKING = auto()
    HEADER = auto()  # what a message is: no text


class TextStream:
    """Feeds on token bytes, gives pieces. Holds back what may turn out to be a mark or a stop string.

    Thinking can only open an answer: a fence in the middle of one is text. `thinking` is the fence that the prompt
    has already opened. `fences` false leaves everything as it is. `addresses`: a message to a function has its header
    in the text, from ADDRESS on; `breaks` end thinking that is not closed, and are text. Half a character at the end is
    dropped.
    """

    def __init__(
        self,
        stop: Sequence[str] = (),
        thinking: Markers | None = None,
        fences: bool = True,
        *,
        addresses: bool = False,
        breaks: Sequence[str] = (),
    ) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(stop)
        self._fence = thinking
        self._mode = _Mode.THINKING if thinking else _Mode.START if fences else _Mode.TEXT
        self._frame_end = ""
        self._in_messages = bool(thinking and thinking.end)
        self._openings = (*OPENINGS, *RECIPIENT) if addresses else OPENINGS
        self._addresses, self._breaks = addresses, tuple(breaks)
        self._may_close = fences and not thinking
        self._ticks = 0
        self._header = self._pending = self._last = ""
        self._text, self._reasoning = "", ""  # of the piece that is being made
        self._has_text = self._has_reasoning = self._recast = False
        self.stopped_by: str | None = None
        """The stop string that was met."""

    @property
    def stopped(self) -> bool:
        """Whether the answer is over."""
        return self.stopped_by is not None

    @property
    def is_thinking(self) -> bool:
        """Whether what comes next is no answer, as far as marks have said."""
        return self._mode in (_Mode.THINKING, _Mode.HEADER)

    @property
    def is_whole(self) -> bool:
        """Whether the bytes so far end with a whole character."""
        return not self._decoder.getstate()[0]

    @property
    def fence(self) -> Markers | None:
        """The fence of the thinking that is going on."""
        return self._fence if self._mode is _Mode.THINKING else None

    def feed(self, data: bytes) -> Said:
        """Take the bytes of a token."""
        self._pending += self._decoder.decode(data)
        return self._drain(final=False)

    def finish(self, data: bytes = b"") -> Said:
        """Take the last bytes and give what was held back: the answer is over."""
        self._pending += self._decoder.decode(data)
        if self._mode is _Mode.HEADER and not (self._has_text or self._has_reasoning):
            self._mode, self._pending = _Mode.TEXT, self._header + self._pending  # it was none
        return self._drain(final=True)

    def _drain(self, *, final: bool) -> Said:
        self._text, self._reasoning, self._recast = "", "", False
        while self._pending and not self.stopped:
            self._settle_start()
            needles = self._needles()
            hit = self._hit(needles)
            if hit is None:
                self._take_ready(len(self._pending) if final else self._ready(needles))
                break
            if self._mode is not _Mode.START or hit[1] in self._stop:  # nothing but space is in front of an opening
                self._take(self._pending[: hit[0]])
            self._pending = self._pending[hit[0] + len(hit[1]) :]
            self._cross(hit[1])
        return Said(self._text, self._reasoning, self.stopped, self._recast)

    def _ready(self, needles: tuple[str, ...]) -> int:
        """How many letters are no beginning of a mark; at the start of an answer all may be."""
        return 0 if self._mode is _Mode.START else len(self._pending) - held_back(self._pending, needles)

    def _take_ready(self, count: int) -> None:
        self._take(self._pending[:count])
        self._pending = self._pending[count:]

    def _settle_start(self) -> None:
        """At the start of an answer drop blank lines, and find out whether a mark can still come."""
        if self._mode is _Mode.START:
            self._pending = self._pending.lstrip("\n")
            head = self._pending.lstrip()
            if not any(opening.startswith(head[: len(opening)]) for opening in self._openings):
                self._mode = _Mode.TEXT

    def _needles(self) -> tuple[str, ...]:
        match self._mode:
            case _Mode.THINKING:
                assert self._fence is not None
                return (self._fence.ends_with, *self._breaks)
            case _Mode.HEADER:
                return HEADER_ENDS
            case _Mode.START:
                return (*self._stop, *self._openings)
        ends = (*((self._frame_end,) if self._frame_end else ()), *(MESSAGE_ENDS if self._in_messages else ()))
        return (*self._stop, *ends, *(ALONE if self._may_close else ()))

    def _hit(self, needles: tuple[str, ...]) -> tuple[int, str] | None:
        """The first needle that is meant."""
        start = 0
        while hit := find_first(self._pending, needles, start):
            at, needle = hit
            if self._mode is _Mode.TEXT and needle in ALONE and needle not in self._stop and self._is_prose(at):
                start = at + 1
            else:
                return hit
        return None

    def _is_prose(self, at: int) -> bool:
        """Whether a closing mark here is only spoken of: in code, in quotes, or a word among words."""
        before = (self._last + self._pending[:at])[-1:]
        return before in tuple("`'\"“‘«( ") or (self._ticks + self._pending.count("`", 0, at)) % 2 == 1

    def _take(self, ready: str) -> None:
        """Text up to a mark, or as far as it goes."""
        if not ready:
            return
        if self._mode is _Mode.HEADER:
            self._header += ready
        elif self._mode is _Mode.THINKING:
            self._reasoning += ready
            self._has_reasoning = True
        else:
            self._text += ready
            self._ticks += ready.count("`")
            self._last, self._has_text = ready[-1], True

    def _cross(self, needle: str) -> None:
        """Step over a mark."""
        if self._mode is not _Mode.THINKING and needle in self._stop:
            self.stopped_by = needle
        elif self._mode is _Mode.THINKING and needle in self._breaks:
            self._mode, self._pending = _Mode.TEXT, needle + self._pending
        elif self._mode is _Mode.THINKING:
            self._leave_thinking()
        elif self._mode is _Mode.HEADER:
            self._begin_message(needle)
        elif self._mode is _Mode.START:
            self._open(needle)
        elif needle in ALONE:
            self._recast_all()
        else:  # the end of a frame or of a message
            self._mode, self._header = _Mode.HEADER, ""

    def _leave_thinking(self) -> None:
        assert self._fence is not None
        self._may_close = False
        self._mode, self._header = (_Mode.HEADER if self._in_messages else _Mode.START), ""

    def _begin_message(self, needle: str) -> None:
        """A header is over: it says whether its message is thinking."""
        fence = markers.fence_of_message(self._header, needle)
        if self._addresses and (name := markers.recipient(self._header)):
            self._mode, self._text = _Mode.TEXT, f"{self._text}{ADDRESS}{name}{needle}"
        elif fence is not None:
            self._think(fence)
        else:
            self._mode = _Mode.TEXT
            self._text += "\n\n" if self._has_text else ""

    def _think(self, fence: Markers) -> None:
        self._mode, self._fence = _Mode.THINKING, fence
        self._in_messages, self._may_close = bool(fence.end), False
        self._reasoning += "\n\n" if self._has_reasoning else ""

    def _open(self, needle: str) -> None:
        """What a mark at the start of an answer opens."""
        self._may_close = False
        if needle in (HEADER, *RECIPIENT):
            self._mode, self._header, self._in_messages = _Mode.HEADER, needle.removeprefix(HEADER), True
            return
        for fence in THINKING:
            if fence.opening == needle:
                self._think(fence)
                return
        self._frame_end = next((closing for opening, closing in FRAMES if opening == needle), "")
        self._in_messages = self._in_messages or needle in markers.NOISE
        self._mode = _Mode.TEXT if needle in markers.NOISE else _Mode.START

    def _recast_all(self) -> None:
        """A closing alone: what was said is thinking."""
        self._reasoning, self._text, self._recast = self._text, "", True
        self._has_text, self._has_reasoning, self._may_close = False, True, False
        self._mode = _Mode.START
