"""Pieces of several sequences as one llama_batch, in memory that is used again and again."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.engine.llama import C

_FLOATS: Any = ctypes.POINTER(ctypes.c_float)


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of a sequence (llama.cpp's seq_id) for its positions `at`, `at` + 1 and so on.

    `ends`: what comes next is to be drawn, from the logits of the last one; where the last tokens are `guesses`, from
    theirs and those of the one before.
    """

    sequence: int
    at: int
    tokens: Sequence[int]
    ends: bool = True
    guesses: int = 0


class Batch:
    """At most `tokens` tokens in all, of at most so many sequences; `pools` makes all of them outputs."""

    def __init__(self, tokens: int, sequences: int, *, pools: bool = False, width: int = 0) -> None:
        self._pools = pools
        self.rows = np.zeros((tokens, width), np.float32)
        """What is decoded beside each token, `width` numbers: written before `filled`."""
        self._tokens, self._positions = np.zeros(tokens, np.int32), np.zeros(tokens, np.int32)
        self._outputs = np.zeros(tokens, np.int8)
        self._names = np.arange(sequences, dtype=np.int32)  # llama.cpp wants a list of sequences for each token
        self._one_each, self._of = np.ones(tokens, np.int32), np.full(tokens, self._names.ctypes.data, np.uintp)
        self._batch: Any = C.llama_batch()
        fields: dict[str, NDArray[Any]] = {"token": self._tokens, "pos": self._positions, "n_seq_id": self._one_each}
        for name, array in {**fields, "seq_id": self._of, "logits": self._outputs}.items():
            kind = type(getattr(self._batch, name))
            setattr(self._batch, name, ctypes.cast(array.ctypes.data, kind))
        if width:
            self._batch.embd = ctypes.cast(self.rows.ctypes.data, _FLOATS)
        self._single, self._token, self._position, self._sequence = _single()

    def filled(self, pieces: Sequence[Piece]) -> Any:
        """The llama_batch of these, in their order; valid until the next call."""
        end = 0
        for piece in pieces:
            start, end = end, end + len(piece.tokens)
            self._tokens[start:end] = piece.tokens
            self._positions[start:end] = range(piece.at, piece.at + end - start)
            self._of[start:end] = self._names.ctypes.data + piece.sequence * self._names.itemsize
            self._outputs[start:end] = self._pools
            self._outputs[end - 1 - piece.guesses : end] = piece.ends
        self._batch.n_tokens = end
        return self._batch

    def single(self, token: int, at: int, sequence: int) -> Any:
        """The llama_batch of one token that has logits: what a Piece of one would be, in a fifth of the time."""
        self._token[0], self._position[0], self._sequence[0] = token, at, sequence
        return self._single


def _single() -> tuple[Any, Any, Any, Any]:
    """(llama_batch of one token, and the arrays with its token, position and sequence)."""
    token, position, sequence = (C.llama_token * 1)(), (C.llama_pos * 1)(), (C.llama_seq_id * 1)()
    of = (ctypes.POINTER(C.llama_seq_id) * 1)(ctypes.cast(sequence, ctypes.POINTER(C.llama_seq_id)))
    one, output = (ctypes.c_int32 * 1)(1), (ctypes.c_int8 * 1)(1)
    return C.llama_batch(1, token, None, position, one, of, output), token, position, sequence
