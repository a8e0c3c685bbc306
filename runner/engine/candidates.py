"""Which tokens can still be drawn: a short table for llama.cpp's samplers instead of the whole vocabulary."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.engine.llama import C

Logits = NDArray[np.float32]
"""One per token of the vocabulary, token 0 first."""
Tokens = NDArray[np.intp]

_COLUMNS = 4096
_MOST = _COLUMNS // 8  # likeliest tokens; for more of them too many columns have to be looked into
_FEWEST_ROWS = 4
_TOGETHER = 4  # columns whose maxima are compared among each other first: a partition of a quarter takes a quarter
_ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Shortlist:
    """Finds the `count` likeliest tokens in one pass over the vocabulary.

    Written in rows, the vocabulary has some 4096 columns. The maximum of four columns is reached by a token of theirs,
    so what the `count` greatest of these maxima reach is reached by so many tokens at least: the likeliest are among
    those that reach it, too, and lie in columns whose maxima do, or in what the rows leave over. Calls are few: numpy's
    cost more than what they do, the more so behind a decode that emptied the caches.
    """

    def __init__(self, vocabulary: int, count: int) -> None:
        self._count = count
        self._rows = _rows(vocabulary)
        self.is_short = 0 < count <= _MOST and self._rows >= _FEWEST_ROWS
        if not self.is_short:
            self._all = np.arange(vocabulary)
            return
        self._columns = vocabulary // self._rows
        self._even = self._rows * self._columns
        groups = -(-self._columns // _TOGETHER)
        padded = np.full(groups * _TOGETHER, -np.inf, np.float32)
        self._maxima, self._grouped = padded[: self._columns], padded.reshape(_TOGETHER, groups)
        self._greatest = np.empty(groups, np.float32)

    def of(self, logits: Logits) -> Tokens:
        """The likeliest and as likely ones, and perhaps some more; all where that is no short list."""
        if not self.is_short:
            return self._all
        table = logits[: self._even].reshape(self._rows, self._columns)
        np.maximum.reduce(table, axis=0, out=self._maxima)
        np.maximum.reduce(self._grouped, axis=0, out=self._greatest)
        self._greatest.partition(-self._count)
        floor = self._greatest[-self._count]
        columns = (~(self._maxima < floor)).nonzero()[0]  # with what is no number: somebody has to hear
        rows, which = (~(table.take(columns, axis=1) < floor)).nonzero()
        tokens: Tokens = rows * self._columns + columns.take(which)
        if self._even < logits.size:
            left_over = (~(logits[self._even :] < floor)).nonzero()[0]
            tokens = np.concatenate((tokens, left_over + self._even))
        return tokens

    def exactly(self, logits: Logits) -> Tokens:
        """The likeliest alone, those first."""
        tokens = self.of(logits)
        found = logits[tokens]
        if 0 < self._count < tokens.size:
            best = found.argpartition(-self._count)[-self._count :]
            tokens, found = tokens[best], found[best]
        return tokens[np.argsort(-found, kind="stable")][: self._count]


class Candidates:
    """The table that llama.cpp's samplers work on (llama_token_data_array), in memory that is used again and again."""

    def __init__(self, vocabulary: int) -> None:
        self._entries = np.zeros(vocabulary, _ENTRY)
        self._ids, self._logits = self._entries["id"], self._entries["logit"]
        self._array: Any = C.llama_token_data_array()
        self._array.data = (C.llama_token_data * vocabulary).from_buffer(self._entries.data)
        self._reference = ctypes.byref(self._array)

    def fill(self, logits: Logits, tokens: Tokens) -> None:
        """Take these tokens."""
        count = tokens.size
        self._ids[:count] = tokens
        self._logits[:count] = logits if count == logits.size else logits.take(tokens)
        self._array.size, self._array.selected, self._array.sorted = count, -1, False

    def fill_with(self, token: int) -> None:
        """Take this one token, whatever its logit."""
        self._entries[0] = token, 1.0, 0.0
        self._array.size, self._array.selected, self._array.sorted = 1, -1, False

    def apply(self, sampler: Any) -> None:
        """Let a sampler sort, cut, change, choose."""
        C.llama_sampler_apply(sampler, self._reference)

    @property
    def possible(self) -> int:
        """How many of them no sampler has forbidden."""
        return int(np.count_nonzero(self._logits[: self._array.size] > -np.inf))

    @property
    def best(self) -> int:
        """The likeliest."""
        return int(self._ids[self._logits[: self._array.size].argmax()])

    @property
    def chosen(self) -> int:
        """The one that the last of the samplers has drawn."""
        return int(self._ids[self._array.selected])


def _rows(vocabulary: int) -> int:
    """How many rows of some 4096 it makes, with nothing left over where such a number divides it."""
    rows = vocabulary // _COLUMNS
    near = range(max(rows // 2, _FEWEST_ROWS), 2 * rows + 1)
    return min((n for n in near if vocabulary % n == 0), key=lambda n: abs(n - rows), default=rows)
