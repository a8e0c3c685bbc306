"""Whether two models speak of the same tokens: only then one can guess what the other will say."""

from __future__ import annotations

from itertools import repeat
from operator import eq

from models.errors import UsageError
from models.headers.vocabularies import MOST_MORE
from runner.engine.llama import C
from runner.engine.model import Model

_FIRST = 5  # those before it are marks, named otherwise in some conversions


def check_alike(model: Model, small: Model) -> None:
    """UsageError where they do not. The rule of llama.cpp (common/speculative.cpp: are_compatible)."""
    if lacking := _difference(model, small):
        raise UsageError(f"The draft model cannot guess for this one: {lacking}. A smaller one of its family can.")


def _difference(model: Model, small: Model) -> str | None:
    ours, theirs = model.vocabulary, small.vocabulary
    if C.llama_vocab_type(ours) != C.llama_vocab_type(theirs):
        return "its vocabulary is of another type"
    for adds, mark, name in (
        (C.llama_vocab_get_add_bos, C.llama_vocab_bos, "begins"),
        (C.llama_vocab_get_add_eos, C.llama_vocab_eos, "ends"),
    ):
        if adds(ours) != adds(theirs) or (adds(ours) and mark(ours) != mark(theirs)):
            return f"it {name} a text with another token"
    if abs(model.tokens - small.tokens) > MOST_MORE:
        return f"its vocabulary has {small.tokens} tokens, and not {model.tokens}"
    both = range(_FIRST, min(model.tokens, small.tokens))
    text = C.llama_vocab_get_text
    alike = map(eq, map(text, repeat(ours), both), map(text, repeat(theirs), both))
    other = next((token for token, is_same in zip(both, alike, strict=True) if not is_same), None)
    return None if other is None else f"its token {other} is {small.text_of(other)!r}, and not {model.text_of(other)!r}"
