"""When thinking has gone on for long enough, and when an answer leads nowhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from runner.chat.loops import Loops
from runner.chat.stream import TextStream

_ENOUGH = "\n\nI have thought about this for long enough, so I answer now.\n"
BUDGET_SPENT = "The budget for thinking was spent, so the model was told to answer."
THINKS_IN_CIRCLES = "The thinking went round in circles, so the model was told to answer."
TALKS_IN_CIRCLES = "The answer repeats itself over and over, so it was ended; it can be gone on with."


ENDED_THINKING = "The model ended within its thinking, so it was told to answer."


class Move(Enum):
    """What to do after a token."""

    GO_ON = auto()
    CLOSE = auto()  # the block of thinking
    END = auto()  # the answer


class Guide:
    """Watches the answer that goes through `stream`, of which at most `budget` tokens may be thinking.

    `note` says what was decided last. The budget is llama-server's (common/reasoning-budget.cpp): at the limit, but
    never within a character, a sentence and the closing mark are forced.
    """

    def __init__(self, stream: TextStream, budget: int | None, *, minds_loops: bool) -> None:
        self._stream, self._left = stream, budget
        self._loops = Loops() if minds_loops else None
        self._was_inside = stream.fence is not None
        self._may_end_inside = False
        self.note: str | None = None

    @property
    def is_exact(self) -> bool:
        """Whether it has to hear each token by itself."""
        return self._left is not None

    def after(self, tokens: Sequence[int]) -> Move:
        """What to do behind these tokens, which the stream has been fed."""
        circles = self._loops is not None and self._loops.hear(tokens)
        is_inside, self._was_inside = self._was_inside, self._stream.fence is not None
        if not self._was_inside:
            self.note = TALKS_IN_CIRCLES if circles and not self._stream.is_thinking else None
            return Move.END if self.note else Move.GO_ON
        if self._left is not None and is_inside:
            self._left -= len(tokens)
        is_spent = self._left is not None and self._left <= 0
        self.note = BUDGET_SPENT if is_spent else THINKS_IN_CIRCLES if circles else None
        return Move.CLOSE if self.note and self._stream.is_whole else Move.GO_ON

    def at_end(self) -> Move:
        """What to do where the model ends: within its thinking it is told to answer, once."""
        if self._stream.fence is None or self._may_end_inside:
            return Move.END
        self._may_end_inside, self.note = True, ENDED_THINKING
        return Move.CLOSE

    def closing(self) -> str:
        """What ends the block of thinking that is open."""
        fence = self._stream.fence
        assert fence is not None
        if self._loops is not None:
            self._loops.forget()
        return _ENOUGH + fence.closing + ("" if fence.end else "\n\n")
