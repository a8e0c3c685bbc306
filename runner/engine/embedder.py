"""From texts to vectors and scores: several texts go through the model at once, each a sequence of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from ctypes import POINTER, c_float, cast
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import BadFile, EngineError
from models.headers.pooling import Pooling
from runner.engine.batch import Piece
from runner.engine.breakdown import breakdown, on_each
from runner.engine.llama import C
from runner.engine.loading import opened
from runner.engine.texts import Frame, Framed, Pairs
from runner.types.commands import Embed, Score
from runner.types.engine import Loaded
from runner.types.placement import Placement
from runner.types.vectors import Made, numbers_of

# Tokens. Attention looks at every pair of them, of whichever texts they are: a processor computes 888 a second so, of
# 512 at once 621, of 1024 413 (6 layers of 384 in Q8_0). A device wants more at once.
_ON_CPU, _ON_DEVICES = 128, 512
_UNENDED = (
    "This model makes a vector of a text's last token, and its file does not say that an end token belongs there "
    "(tokenizer.ggml.add_eos_token): where its maker puts one, vectors are worse without."
)

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A text as it is read; of `whole` tokens, none where it is refused."""

    tokens: Sequence[int]
    whole: int
    refusal: str | None = None

    def made(self, vector: Vector) -> Made:
        return Made(len(self.tokens), self.whole, numbers_of(vector.tobytes()))


class Embedder:
    """One loaded model that answers nothing. `cancelled` is asked between batches, and within them by llama.cpp."""

    def __init__(
        self, path: str, placement: Placement, progress: Callable[[float], bool], cancelled: Callable[[], bool]
    ) -> None:
        """Load, or raise: BadFile for a file that llama.cpp refuses, OutOfMemory where memory does not suffice."""
        started = time.perf_counter()
        self._cancelled = cancelled
        self._model, self._context, notes = opened(path, placement, progress)
        self._memory = C.llama_get_memory(self._context.handle)
        self._ranks = placement.pooling is Pooling.RANK
        self._width = 1 if self._ranks else int(C.llama_model_n_embd_out(self._model.handle))
        self._frame = Frame(self._model, self._longest())
        self._at_once = min(_ON_DEVICES if placement.devices else _ON_CPU, self._context.ubatch)
        if placement.pooling is Pooling.LAST and not self._frame.end:
            notes = (*notes, _UNENDED)
        self.loaded = Loaded(
            ctx=self._frame.most,
            load_s=time.perf_counter() - started,
            memory=on_each(breakdown(self._context.handle), placement),
            template="",
            notes=notes,
        )

    def close(self) -> None:
        """Free everything."""
        self._context.close()
        self._model.close()

    def _longest(self) -> int:
        """Tokens of the longest text: a model without a memory has no positions beyond those that it was trained on."""
        trained = int(C.llama_model_n_ctx_train(self._model.handle))
        return int(self._context.size if self._memory else min(self._context.ubatch, trained))

    def embed(self, command: Embed) -> Iterator[tuple[Made, ...]]:
        """The vectors, in order; a step for each batch. Where it is cancelled, those that are there by then."""
        if self._ranks:
            raise EngineError("This model ranks texts; it makes no vectors.")
        yield from self._made(self._asked(self._frame.framed(text), command.truncate) for text in command.texts)

    def score(self, command: Score) -> Iterator[tuple[Made, ...]]:
        """How well each text answers the query, likewise."""
        if not self._ranks:
            raise EngineError("This model makes vectors; it ranks no texts.")
        pairs = Pairs(self._model, self._frame, command.query)
        yield from self._made(self._asked(pairs.framed(text), command.truncate) for text in command.texts)

    def _asked(self, text: Framed, truncate: bool) -> _Asked:
        most, count = self._frame.most, len(text.tokens)
        whole = max(count, most + 1) if text.goes_on else count
        if not count:
            return _Asked((), 0, "The text is empty.")
        if text.head + text.tail >= most:
            return _Asked(
                (), whole, f"The query alone has {text.head + text.tail} tokens; the model takes {most} here."
            )
        if whole > most and not truncate:
            more = "more than " if text.goes_on else ""
            return _Asked((), whole, f"The text has {more}{count} tokens; the model takes {most} here.")
        return _Asked(text.cut(most), whole)

    def _made(self, asked: Iterable[_Asked]) -> Iterator[tuple[Made, ...]]:
        self._context.interrupt_with(self._cancelled)
        try:
            for group in self._groups(asked):
                vectors = self._vectors([one.tokens for one in group if not one.refusal])
                if vectors is None:
                    return
                rows = iter(vectors)
                yield tuple(
                    Made(0, one.whole, refusal=one.refusal) if one.refusal else one.made(next(rows)) for one in group
                )
        finally:
            self._context.interrupt_with(None)

    def _groups(self, asked: Iterable[_Asked]) -> Iterator[list[_Asked]]:
        """As many in a row as fit one batch; a text that is longer than that is alone."""
        group: list[_Asked] = []
        room = most = self._at_once
        for one in asked:
            if group and (len(one.tokens) > room or len(group) == self._context.sequences):
                yield group
                group, room = [], most
            group.append(one)
            room -= len(one.tokens)
        if group:
            yield group

    def _vectors(self, texts: Sequence[Sequence[int]]) -> list[Vector] | None:
        """What the model makes of these; None where it was cancelled."""
        if self._cancelled():
            return None
        C.llama_memory_clear(self._memory, False)
        ubatch = self._context.ubatch
        longest = max(map(len, texts), default=0)
        for start in range(0, longest, ubatch):
            parts = [text[start : start + ubatch] for text in texts]
            if not self._context.decode([Piece(number, start, part) for number, part in enumerate(parts)]):
                return None
        return [self._vector(number) for number in range(len(texts))]

    def _vector(self, sequence: int) -> Vector:
        """The vector of a text, of length 1; or its score."""
        address = C.llama_get_embeddings_seq(self._context.handle, sequence)
        if not address:
            raise EngineError("llama.cpp made no vector of the text.")
        vector = np.ctypeslib.as_array(cast(address, POINTER(c_float)), (self._width,)).copy()
        length = float(np.sqrt(np.square(vector, dtype=np.float64).sum()))
        if not np.isfinite(length):
            raise EngineError(
                "The model's numbers are broken: llama.cpp computes infinities or nothing at all. "
                "The file is damaged, or this device cannot compute its types."
            )
        if self._ranks:
            return vector
        if not length:
            raise BadFile("The model's file has the right size but no weights in it (a vector is all zeros).")
        return (vector / np.float32(length)).astype(np.float32)
