"""A model's own heads as a companion: layers that predict one token more (MTP, nextn), in a context of their own.

They read each token together with the hidden state that the model had behind the one before it. Those of the last
tokens of each sequence are kept; what the heads have missed before them they do without. The sequence of calls is that
of llama.cpp's common/speculative.cpp (draft-mtp); of several heads see runner.engine.chained_heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Many
from ctypes import c_bool, c_float, c_int32, c_void_p
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import EngineError, UsageError
from runner.engine.batch import Piece
from runner.engine.breakdown import breakdown
from runner.engine.companion import Companion
from runner.engine.context import Context
from runner.engine.draft_length import DraftLength
from runner.engine.llama import C, ggml
from runner.engine.reading import Text
from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement

KEPT = 512  # hidden states of each sequence
_OUTPUT = 2  # layers that take as long as the output does
Rows = NDArray[np.float32]


def heads_context(first: Context, placement: Placement) -> Context:
    """The context of the heads of a model that was loaded with them. UsageError where it has none."""
    if not first.model.heads:
        raise UsageError("This model has no layers that predict further tokens: --draft mtp is not for it.")
    expose, _, _ = _functions()
    expose(first.handle, True, False)
    context = Context(first.model, placement, first)
    expose(context.handle, True, True)
    return context


def heads_bytes(context: Context) -> tuple[ComponentBytes, ...]:
    """What a context of heads takes; their weights are the model's."""
    return tuple(replace(row, weights=0) for row in breakdown(context.handle))


def _functions() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(set: whether a context tells hidden states, and only of outputs; get: all of a batch; get one): llama-ext.h."""
    try:
        return (
            ggml("_Z26llama_set_embeddings_nextnP13llama_contextbb", None, c_void_p, c_bool, c_bool),
            ggml("_Z26llama_get_embeddings_nextnP13llama_context", c_void_p, c_void_p),
            ggml("_Z30llama_get_embeddings_nextn_ithP13llama_contexti", c_void_p, c_void_p, c_int32),
        )
    except AttributeError as error:
        raise EngineError("This build of llama.cpp does not tell the hidden states that heads read.") from error


class States:
    """Hidden states of a sequence behind its last tokens, those at the positions `base` to `end`."""

    def __init__(self) -> None:
        self.base = 0
        self._rows: list[Rows] = []

    @property
    def end(self) -> int:
        """The position behind the last one."""
        return self.base + len(self._rows)

    def put(self, at: int, rows: Rows) -> None:
        """These, from position `at` on; what was said of it and what comes behind is forgotten."""
        if not self.base <= at <= self.end:
            self.base, self._rows = at, []
        del self._rows[at - self.base :]
        self._rows.extend(rows)
        surplus = max(0, len(self._rows) - KEPT)
        del self._rows[:surplus]
        self.base += surplus

    def of(self, start: int, count: int) -> list[Rows]:
        """So many from position `start` on."""
        return self._rows[start - self.base : start - self.base + count]


class Heads(Companion):
    """Over a context from `heads_context`. It has to `hear` what the `first` one computes."""

    kind = DraftKind.MTP

    def __init__(self, context: Context, first: Context, length: DraftLength, clock: Callable[[], float]) -> None:
        super().__init__(context, first, length, clock)
        self._first = first
        self._ratio = min(0.5, (first.model.heads + _OUTPUT) / C.llama_model_n_layer(first.model.handle))
        self._states = tuple(States() for _ in self.texts)
        self._views: dict[tuple[int, int], Rows] = {}
        _, self._all, self._one = _functions()

    def hear(self, batch: Iterable[tuple[Piece, int]]) -> None:
        """The first context has decoded these, each of a text of so many tokens."""
        start = 0
        for piece, length in batch:
            count = len(piece.tokens)
            if length - piece.at - count < KEPT and not self.is_off:
                rows = self._rows(self._all(self._first.handle), self._first.ubatch)
                self._states[piece.sequence].put(piece.at, rows[start : start + count].copy())
            start += count

    def begins(self, text: Text, known: int) -> int:
        """Where it reads on. What it guessed itself it reads again, for the model's own states are better."""
        return max(min(known, text.sure), self._states[text.sequence].base + 1)

    def _decode(self, text: Text, tokens: Many[int], *, ends: bool) -> None:
        """The last one alone where it ends: of several most graphs tell the state of the first (llama-context.cpp)."""
        if ends and len(tokens) > 1:
            super()._decode(text, tokens[:-1], ends=False)
            tokens = tokens[-1:]
        super()._decode(text, tokens, ends=ends)

    def _compute(self, text: Text, piece: Piece) -> None:
        """Decode with the states behind the tokens before, its own ones where the model has none yet."""
        count = len(piece.tokens)
        if piece.at < text.sure:
            states = self._states[text.sequence].of(piece.at - 1, count)
            if len(states) < count:
                raise EngineError("The heads were not told what the model has computed.")
            self._context.rows[:count] = states
        else:
            self._context.rows[:count] = self._rows(self._one(self._context.handle, -1), 1)
        super()._compute(text, piece)

    def _rows(self, address: int | None, count: int) -> Rows:
        """Of llama.cpp's own memory, until its next decode."""
        if address is None:
            raise EngineError("llama.cpp does not tell the hidden states that heads read.")
        if (address, count) not in self._views:  # a view takes 100 us to make
            memory = (c_float * (count * self._first.model.width)).from_address(address)
            self._views[address, count] = np.ctypeslib.as_array(memory).reshape(count, -1)
        return self._views[address, count]

    @property
    def _goes_back_to_copies(self) -> bool:
        return False  # the heads themselves have no recurrent state

    def _cut(self, text: Text, kept: int) -> None:
        super()._cut(text, kept)
        if text.end < kept:  # what lies between was never heard
            super()._cut(text, 0)
            text.start = kept
