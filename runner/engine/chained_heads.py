"""Several heads of a model, of which each predicts one token further than the one before (step35 and others).

Each is a layer with a cache of its own, and one context has the cells of all: so what is read is read under each of
them, and at each step of a guess the next one reads all that was guessed before it once more. The sequence of calls is
that of llama.cpp's common/speculative.cpp (draft-mtp, chain_heads).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Many
from ctypes import c_int32, c_void_p

from models.errors import EngineError
from runner.engine.batch import Piece
from runner.engine.context import Context
from runner.engine.draft_length import DraftLength
from runner.engine.llama import ggml
from runner.engine.mtp import Heads, Rows
from runner.engine.reading import Text


def heads_of(context: Context, first: Context, length: DraftLength, clock: Callable[[], float]) -> Heads:
    """The heads of the model itself as a source of guesses; where this llama.cpp chooses none, the first of them."""
    try:
        return (ChainedHeads if first.model.heads > 1 else Heads)(context, first, length, clock)
    except AttributeError:
        return Heads(context, first, length, clock)


class ChainedHeads(Heads):
    """As many guesses as there are heads, each by its own."""

    def __init__(self, context: Context, first: Context, length: DraftLength, clock: Callable[[], float]) -> None:
        self._choose = ggml("_Z28llama_set_nextn_layer_offsetP13llama_contexti", None, c_void_p, c_int32)
        super().__init__(context, first, length, clock)
        self.most = first.model.heads

    def _guessed(self, text: Text, tokens: Many[int], known: int, count: int) -> Iterator[int]:
        most = min(count, self.most)
        self._catch_up(text, tokens, known, most)
        states, last = self._states[text.sequence].of(text.end - 1, 1), [tokens[-1]]
        for head in range(most):
            state = self._ahead(text, head, last, states)
            if self._context.model.is_end(token := self._drawn()):
                break
            yield token
            last.append(token)
            states.append(state)
        self._context.roll_back(text.end, text.sequence)

    def _catch_up(self, text: Text, tokens: Many[int], known: int, ahead: int) -> None:
        """Read all but the last token, with room for so many."""
        end = len(tokens) - 1
        self._cut(text, min(known, end))
        text.sure = len(tokens)
        self._decode(text, tokens[text.end : end], ends=False)
        self._make_room(text, ahead)

    def _ahead(self, text: Text, head: int, tokens: Many[int], states: Many[Rows]) -> Rows:
        """Let a head read these behind the text, each with the state before it: the state behind them."""
        if len(states) < len(tokens):
            raise EngineError("The heads were not told what the model has computed.")
        self._context.roll_back(text.end, text.sequence)
        self._choose(self._context.handle, head)
        self._context.rows[: len(tokens)] = states
        self._context.decode([Piece(text.sequence, text.end, tokens)])
        behind: Rows = self._rows(self._one(self._context.handle, -1), 1)[0].copy()
        return behind

    def _compute(self, text: Text, piece: Piece) -> None:
        """Under each head, for each has its own cache."""
        for head in range(self.most):
            if head:
                self._context.roll_back(piece.at, piece.sequence)
            self._choose(self._context.handle, head)
            super()._compute(text, piece)
