"""Texts as the tokens that a model for vectors or scores reads: the model's own marks around what is never a mark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.engine.llama import C
from runner.engine.model import Model

_LETTERS = 64  # for a token: a text of more than so many is too long, and is not read to its end
_PLACES = re.compile(r"(\{query\}|\{document\})")


@dataclass(frozen=True, slots=True)
class Framed:
    """Tokens, of which `head` at the start and `tail` at the end are marks, and the query's.

    `goes_on`: the text is far too long, and was not read to its end.
    """

    tokens: Sequence[int]
    head: int
    tail: int
    goes_on: bool

    def cut(self, most: int) -> Sequence[int]:
        """At most so many: what is left out is the end of what lies between head and tail."""
        if len(self.tokens) <= most:
            return self.tokens
        return (*self.tokens[: most - self.tail], *self.tokens[len(self.tokens) - self.tail :])


class Frame:
    """What a vocabulary puts around a text; a text may have `most` tokens with that."""

    def __init__(self, model: Model, most: int) -> None:
        self.most = most
        self._model = model
        marked, plain = model.marked("a"), model.tokenize("a", special=False)
        places = range(len(marked) - len(plain) + 1)
        first = next((at for at in places if marked[at : at + len(plain)] == plain), len(marked))
        self.begin, self.end = marked[:first], marked[first + len(plain) :]

    def framed(self, text: str) -> Framed:
        """A text between its marks."""
        return self.between(self.begin, text)

    def between(self, head: Sequence[int], text: str) -> Framed:
        """A text behind other tokens."""
        tokens = (*head, *self.read(text), *self.end)
        return Framed(tokens, len(head), len(self.end), self.is_far_too_long(text))

    def read(self, text: str) -> list[int]:
        """The tokens of a text alone."""
        return self._model.tokenize(self.start_of(text), special=False)

    def start_of(self, text: str) -> str:
        """As much of a text as is read."""
        return text[: self.most * _LETTERS]

    def is_far_too_long(self, text: str) -> bool:
        """Whether that is not all of it."""
        return len(text) > self.most * _LETTERS


class Pairs:
    """Texts behind one query, as a model that ranks reads them.

    As the template in its file says where there is one, else between the vocabulary's marks (both as in llama.cpp's
    examples/embedding.cpp).
    """

    def __init__(self, model: Model, frame: Frame, query: str) -> None:
        self._model, self._frame, self._query = model, frame, query
        template = C.llama_model_chat_template(model.handle, b"rerank")
        self._template = _PLACES.split(template.decode("utf-8", "replace")) if template else []
        self._head = (*frame.begin, *frame.read(query), *self._separators())
        self._query_has_marks = self._has_marks(query)

    def framed(self, text: str) -> Framed:
        """The query and a text."""
        return self._by_template(text) if self._template else self._frame.between(self._head, text)

    def _separators(self) -> list[int]:
        vocabulary = self._model.vocabulary
        separator, end = C.llama_vocab_sep(vocabulary), C.llama_vocab_eos(vocabulary)
        ends = [end if end >= 0 else separator] if C.llama_vocab_get_add_eos(vocabulary) else []
        return [*ends, *([separator] if C.llama_vocab_get_add_sep(vocabulary) else [])]

    def _by_template(self, text: str) -> Framed:
        filled = {"{query}": self._query, "{document}": self._frame.start_of(text)}
        parts = [(filled.get(part, part), part in filled) for part in self._template]
        if self._query_has_marks or self._has_marks(filled["{document}"]):
            # Each by itself, so that what looks like a mark is none.
            pieces = [self._model.tokenize(part, special=not theirs) for part, theirs in parts]
            tokens = [token for piece in pieces for token in piece]
        else:  # in one, for at the seams words join
            tokens = self._model.tokenize("".join(part for part, _ in parts), special=True)
        tail = len(self._model.tokenize(self._template[-1], special=True))
        head = max(0, len(tokens) - len(self._frame.read(text)) - tail)
        return Framed(tokens, head, tail, self._frame.is_far_too_long(text))

    def _has_marks(self, text: str) -> bool:
        """Whether control tokens would be read in a text."""
        return self._model.tokenize(text, special=True) != self._model.tokenize(text, special=False)
