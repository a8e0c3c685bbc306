"""How the next token is drawn: llama.cpp's chain of samplers, over the tokens that can still win."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from models.errors import EngineError
from runner.engine.bounds import bounded_work
from runner.engine.candidates import Candidates, Logits, Shortlist, Tokens
from runner.engine.context import Context
from runner.engine.llama import C, grammar_sampler
from runner.engine.logprobs import logprobs_of
from runner.engine.model import Model
from runner.engine.penalties import Penalties
from runner.types.generation import TokenLogprobs
from runner.types.sampling import Chain, Sampling

_TRIED = 256  # likeliest tokens that a grammar is asked about before it is asked about all: half a microsecond each
_NO_TIE = 1e-3  # below a floor that float arithmetic may round


class Sampler:
    """llama.cpp's order: penalties, top-k, top-p, min-p, temperature, draw; greedy at temperature 0.

    Penalties are arithmetic on the few tokens that they are for, greedy is the maximum, and the chain gets those tokens
    only that top-k or min-p can leave. Same seed, same token as of the chain over the whole vocabulary, but where
    logits are exactly equal. A grammar is asked about the drawn token, and where it forbids that one, tokens that it
    allows are drawn from, as llama.cpp's server does (common/sampling.cpp: common_sampler_sample).
    """

    def __init__(self, model: Model, sampling: Sampling, seed: int) -> None:
        self._model, self._settings = model, sampling.chain
        self._wanted = sampling.logprobs
        self._penalties = Penalties(self._settings, sampling.logit_bias, model.tokens)
        self._grammar = None if sampling.grammar is None else grammar_sampler(sampling.grammar, model.vocabulary)
        self._chain = chain_of(self._settings, seed)
        self._candidates = Candidates(model.tokens)
        self._shortlist = Shortlist(model.tokens, self._settings.top_k)
        self._logprobs: list[TokenLogprobs] = []
        self.binds = True
        """Whether the grammar binds what comes next."""

    def bind(self, grammar: str) -> None:
        """Hold what comes next to this grammar, and to no other before it."""
        assert self._grammar is None
        self._grammar, self.binds = grammar_sampler(grammar, self._model.vocabulary), True

    def draw(self, context: Context, at: int = -1) -> int:
        """The next token, already accepted, from the logits `at` a place of the last batch, which change: only once."""
        logits, wanted = context.logits(at), self._wanted
        before = None if wanted is None else logits.copy()
        self._penalties.apply(logits)
        token = self._free(logits)
        if self._grammar and self.binds and not self._allows(token):
            token = self._allowed(logits)
        self.accept((token,))
        if before is not None and wanted is not None:
            self._logprobs.append(logprobs_of(self._model, before, token, wanted))
        return token

    @property
    def may_end(self) -> bool:
        """Whether what was said is all that a grammar wants: it lets the answer end here."""
        end = self._model.end
        return not self._grammar or end is None or self._allows(end)

    def accept(self, tokens: Iterable[int]) -> None:
        """Take tokens as if they had been sampled: the penalty and a grammar go on behind them."""
        for token in tokens:
            self._penalties.accept(token)
            if self._grammar and self.binds:
                with bounded_work():
                    C.llama_sampler_accept(self._grammar, token)

    def take_logprobs(self) -> tuple[TokenLogprobs, ...]:
        """Of the tokens drawn since the last call; none unless they were asked for."""
        taken = tuple(self._logprobs)
        self._logprobs.clear()
        return taken

    def close(self) -> None:
        """Free the chain with its members, and the grammar."""
        C.llama_sampler_free(self._chain)
        if self._grammar:
            C.llama_sampler_free(self._grammar)

    def _free(self, logits: Logits) -> int:
        """A token, whatever the grammar."""
        if self._is_greedy:
            return int(logits.argmax())
        self._candidates.fill(logits, self._winnable(logits))
        return self._drawn()

    def _winnable(self, logits: Logits) -> Tokens:
        """Tokens that the chain can leave, and those that it needs to know to weigh them."""
        asked = self._settings
        if asked.top_k <= 0 and asked.top_p >= 1 and asked.min_p > 0:
            floor = logits.max() + np.log(asked.min_p) - _NO_TIE
            return np.flatnonzero(logits >= floor)
        return self._shortlist.of(logits)

    def _allows(self, token: int) -> bool:
        self._candidates.fill_with(token)
        with bounded_work():
            self._candidates.apply(self._grammar)
        return self._candidates.possible > 0

    def _allowed(self, logits: Logits) -> int:
        """A token that the grammar allows: of the likeliest where these are enough to decide it, else of all."""
        enough = 1 if self._is_greedy else self._settings.top_k or logits.size
        few = Shortlist(logits.size, _TRIED).exactly(logits)
        for tokens in (few, np.arange(logits.size)):
            self._candidates.fill(logits, tokens)
            with bounded_work():
                self._candidates.apply(self._grammar)
            if self._candidates.possible >= enough:
                break
        if not self._candidates.possible:
            raise EngineError("The grammar leaves no token to go on with.")
        return self._candidates.best if self._is_greedy else self._drawn()

    def _drawn(self) -> int:
        self._candidates.apply(self._chain)
        return self._candidates.chosen

    @property
    def _is_greedy(self) -> bool:
        return self._settings.temperature <= 0


def chain_of(settings: Chain, seed: int) -> Any:
    """llama.cpp's own samplers, to be freed by who asks for them."""
    chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
    for link in _links(settings, seed):
        C.llama_sampler_chain_add(chain, link)
    return chain


def _links(chain: Chain, seed: int) -> Iterator[Any]:
    yield C.llama_sampler_init_top_k(chain.top_k)
    yield C.llama_sampler_init_top_p(chain.top_p, 1)
    yield C.llama_sampler_init_min_p(chain.min_p, 1)
    yield C.llama_sampler_init_temp(chain.temperature)
    yield C.llama_sampler_init_dist(seed)
