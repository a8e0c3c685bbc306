"""How the next token is drawn: llama.cpp's chain of samplers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.errors import UsageError
from runner.engine.context import Context
from runner.engine.llama import C
from runner.engine.model import Model
from runner.types.sampling import Sampling


class Sampler:
    """llama.cpp's sampler chain in its usual order; greedy at temperature 0."""

    def __init__(self, model: Model, sampling: Sampling, seed: int) -> None:
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for link in _links(model, sampling, seed):
            C.llama_sampler_chain_add(self._chain, link)

    def draw(self, context: Context) -> int:
        """The next token, already accepted by the chain."""
        return int(C.llama_sampler_sample(self._chain, context.handle, -1))

    def accept(self, tokens: Iterable[int]) -> None:
        """Take tokens as if they had been sampled: a grammar goes on behind them."""
        for token in tokens:
            C.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        """Free the chain and its members."""
        C.llama_sampler_free(self._chain)


def _links(model: Model, sampling: Sampling, seed: int) -> Iterable[Any]:
    if sampling.grammar is not None:
        yield _grammar(model, sampling.grammar)
    if sampling.repeat_penalty != 1.0:
        size = C.llama_vocab_n_tokens(model.vocabulary)
        yield C.llama_sampler_init_penalties(size, 64, sampling.repeat_penalty, 0.0, 0.0)
    if sampling.temperature <= 0:
        yield C.llama_sampler_init_greedy()
        return
    yield C.llama_sampler_init_top_k(sampling.top_k)
    yield C.llama_sampler_init_top_p(sampling.top_p, 1)
    yield C.llama_sampler_init_min_p(sampling.min_p, 1)
    yield C.llama_sampler_init_temp(sampling.temperature)
    yield C.llama_sampler_init_dist(seed)


def _grammar(model: Model, text: str) -> Any:
    sampler = C.llama_sampler_init_grammar(model.vocabulary, text.encode(), b"root")
    if not sampler:
        raise UsageError("llama.cpp does not understand the grammar; it must be GBNF with a rule named root.")
    return sampler
