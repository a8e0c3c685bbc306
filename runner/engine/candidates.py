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
_ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Shortlist:
    """Finds the `count` likeliest tokens in one pass over the vocabulary.

    Written in rows of some 4096, the vocabulary has so many columns. Every token outside of the `count` columns with
    the largest maxima is at most as likely as each of these maxima, so that those columns hold the likeliest tokens,
    none of them below the least of these maxima. What the rows leave over, less than one for each row, is looked at,
    too. Memory is used again and again: numpy calls cost more than what they do, the more so behind a decode that
    emptied the caches.
    """

    def __init__(self, vocabulary: int, count: int) -> None:
        self._count = count
        self._rows = rows = vocabulary // _COLUMNS
        self.is_short = 0 < count <= _MOST and rows >= _FEWEST_ROWS
        if not self.is_short:
            self._tokens = np.arange(vocabulary)
            return
        self._columns = vocabulary // rows
        self._even, table = rows * self._columns, rows * count
        self._maxima = np.empty(self._columns, np.float32)
        self._starts = np.arange(0, self._even, self._columns).reshape(rows, 1)
        self._tokens = np.concatenate((np.zeros(table, np.intp), np.arange(self._even, vocabulary)))
        self._table = self._tokens[:table].reshape(rows, count)

    def of(self, logits: Logits) -> Tokens:
        """The likeliest and as likely ones; all where that is no short list."""
        if self.is_short:
            table = logits[: self._even].reshape(self._rows, self._columns)
            np.maximum.reduce(table, axis=0, out=self._maxima)
            columns = self._maxima.argpartition(-self._count)[-self._count :]
            np.add(self._starts, columns, out=self._table)
            below = logits.take(self._tokens) < self._maxima[columns[0]]  # where a partition has the least of them
            kept: Tokens = self._tokens.take((~below).nonzero()[0])  # with what is no number: somebody has to hear
            return kept
        return self._tokens

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
