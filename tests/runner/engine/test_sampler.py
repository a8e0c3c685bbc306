"""Our draw against llama.cpp's own chain over the whole vocabulary, on the same logits and with the same seed."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import EngineError, UsageError
from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.candidates import Logits, Shortlist
from runner.engine.context import Context
from runner.engine.llama import C
from runner.engine.logprobs import logprobs_of
from runner.engine.model import Model
from runner.engine.penalties import Penalties
from runner.engine.sampler import Sampler
from runner.types.placement import Placement
from runner.types.sampling import Chain, Sampling
from scripts.synthetic.geometry import Attention
from scripts.synthetic.random_weights import Size, geometry, write

PLACEMENT = Placement((), 0, 0, (), ctx=512, threads=1)
SEED = 11
LETTERS = 'root ::= " "? [a-m]+'
NARROW = 'root ::= " "? ("z" | "q")+'
Source = Callable[[int], Logits]


class Reference:
    """llama.cpp's chain in its usual order, the penalty in it, over all tokens; a grammar as its server applies it."""

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for link in _links(model, sampling):
            C.llama_sampler_chain_add(self._chain, link)
        text = sampling.grammar
        self._grammar = C.llama_sampler_init_grammar(model.vocabulary, text.encode(), b"root") if text else None

    def draw(self, context: Context) -> int:
        """The token, accepted."""
        if self._grammar is None:
            return int(C.llama_sampler_sample(self._chain, context.handle, -1))
        token, _ = self._apply(_entries(context), self._chain)
        _, logit = self._apply(_entries(context)[token : token + 1], self._grammar)
        if math.isinf(logit):
            token, _ = self._apply(_entries(context), self._grammar, self._chain)
        C.llama_sampler_accept(self._chain, token)
        C.llama_sampler_accept(self._grammar, token)
        return token

    def close(self) -> None:
        """Free all."""
        C.llama_sampler_free(self._chain)
        if self._grammar:
            C.llama_sampler_free(self._grammar)

    @staticmethod
    def _apply(entries: Any, *samplers: Any) -> tuple[int, float]:
        """What the last of them drew, or the first, with its logit."""
        array = C.llama_token_data_array((C.llama_token_data * len(entries)).from_buffer(entries), len(entries), -1)
        for sampler in samplers:
            C.llama_sampler_apply(sampler, ctypes.byref(array))
        found = array.data[max(0, array.selected)]
        return int(found.id), float(found.logit)


def _entries(context: Context) -> Any:
    """llama_token_data of the whole vocabulary."""
    logits = np.ctypeslib.as_array(C.llama_get_logits_ith(context.handle, -1), (context.model.tokens,))
    entries = np.zeros(logits.size, [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    entries["id"], entries["logit"] = np.arange(logits.size), logits
    return entries


def _links(model: Model, sampling: Sampling) -> Iterator[Any]:
    chain = sampling.chain
    if bias := sampling.logit_bias:
        biases = (C.llama_logit_bias * len(bias))(*(C.llama_logit_bias(*one) for one in bias))
        yield C.llama_sampler_init_logit_bias(model.tokens, len(bias), biases)
    if chain.repeat_penalty != 1:
        yield C.llama_sampler_init_penalties(model.tokens, 64, chain.repeat_penalty, 0.0, 0.0)
    if chain.frequency_penalty or chain.presence_penalty:
        counted = chain.frequency_penalty, chain.presence_penalty
        yield C.llama_sampler_init_penalties(model.tokens, 4096, 1.0, *counted)
    if chain.temperature <= 0:
        yield C.llama_sampler_init_greedy()
        return
    yield C.llama_sampler_init_top_k(chain.top_k)
    yield C.llama_sampler_init_top_p(chain.top_p, 1)
    yield C.llama_sampler_init_min_p(chain.min_p, 1)
    yield C.llama_sampler_init_temp(chain.temperature)
    yield C.llama_sampler_init_dist(SEED)


def _opened(path: Path) -> Iterator[Context]:
    llama.start(lambda _level, _line: None, lambda _text: None)
    with closing(Model(str(path), PLACEMENT)) as model, closing(Context(model, PLACEMENT)) as context:
        decode(context, [1])
        yield context


def decode(context: Context, tokens: list[int]) -> None:
    """Behind those before."""
    assert context.decode([Piece(0, context.positions(), tokens)])


def _random_model(folder: Path, vocabulary: int) -> Path:
    size = Size(256, 1, 256, vocabulary)
    return write(folder / "model.gguf", geometry("random", size, Attention(4, 2, 64)), "Q4_K_M")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A vocabulary of 128k that is no multiple of any power of two."""
    yield from _opened(_random_model(tmp_path_factory.mktemp("wide"), 128_257))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    yield from _opened(_random_model(tmp_path_factory.mktemp("small"), 512))


@pytest.fixture(scope="module")
def real(smollm2: Path) -> Iterator[Context]:
    yield from _opened(smollm2)


def random_logits(size: int, spread: float, seed: int = 3) -> Source:
    """The same for four steps, so that a penalty meets the token that it is for."""

    def at(step: int) -> Logits:
        return np.random.default_rng((seed, step // 4)).normal(-3, spread, size).astype(np.float32)

    return at


def differing(context: Context, sampling: Sampling, logits: Source, steps: int) -> list[tuple[int, int, int]]:
    """Steps at which ours and llama.cpp's chain draw different tokens from these logits."""
    found = []
    sampler = Sampler(context.model, sampling, SEED)
    with closing(Reference(context.model, sampling)) as reference, closing(sampler) as ours:
        for step in range(steps):
            context.logits()[:] = logits(step)
            expected, token = reference.draw(context), ours.draw(context)
            if token != expected:
                found.append((step, expected, token))
    return found


SETTINGS = [
    Sampling(),
    Sampling(temperature=0),
    Sampling(temperature=3.0),
    Sampling(top_k=1),
    Sampling(top_k=256, temperature=1.5),
    Sampling(top_k=400, temperature=1.5),
    Sampling(top_k=0),
    Sampling(top_k=0, top_p=1.0, min_p=0.02),
    Sampling(top_k=0, top_p=1.0, min_p=0.0),
    Sampling(top_p=0.3),
    Sampling(top_p=1.0, min_p=0.0),
    Sampling(min_p=0.5),
    Sampling(repeat_penalty=1.3),
    Sampling(repeat_penalty=0.7),
    Sampling(repeat_penalty=1.3, temperature=0),
    Sampling(repeat_penalty=5.0, top_k=200, temperature=2.0),
    Sampling(frequency_penalty=0.4, presence_penalty=1.5, temperature=0),
    Sampling(frequency_penalty=-0.5, repeat_penalty=1.2, logit_bias=((3, 4.0), (9, -100.0))),
]
BOUND = [
    Sampling(grammar=LETTERS),
    Sampling(grammar=LETTERS, temperature=0),
    Sampling(grammar=LETTERS, temperature=0, repeat_penalty=1.5),
    Sampling(grammar=LETTERS, top_k=5),
    Sampling(grammar=NARROW),
    Sampling(grammar=NARROW, temperature=0),
]


@pytest.mark.parametrize("spread", [0.7, 2.5, 6.0])
@pytest.mark.parametrize("sampling", SETTINGS)
def test_random_logits_give_the_tokens_of_the_whole_chain(wide: Context, sampling: Sampling, spread: float) -> None:
    assert differing(wide, sampling, random_logits(wide.model.tokens, spread), steps=24) == []


@pytest.mark.parametrize("sampling", SETTINGS)
def test_so_do_those_of_a_small_vocabulary(small: Context, sampling: Sampling) -> None:
    assert differing(small, sampling, random_logits(small.model.tokens, 2.0), steps=100) == []


@pytest.mark.parametrize("sampling", BOUND)
def test_a_grammar_leaves_the_tokens_that_llama_cpps_server_draws(wide: Context, sampling: Sampling) -> None:
    assert differing(wide, sampling, random_logits(wide.model.tokens, 4.0), steps=4) == []


@pytest.mark.parametrize("sampling", BOUND)
def test_so_it_does_in_a_small_vocabulary(small: Context, sampling: Sampling) -> None:
    assert differing(small, sampling, random_logits(small.model.tokens, 2.0), steps=60) == []


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0), Sampling(repeat_penalty=1.2, temperature=1)])
def test_a_real_model_says_the_same(real: Context, sampling: Sampling) -> None:
    real.keep(0)
    decode(real, real.model.tokenize("The sea is", special=False))
    sampler = Sampler(real.model, sampling, SEED)
    with closing(Reference(real.model, sampling)) as reference, closing(sampler) as ours:
        for _ in range(32):
            expected, token = reference.draw(real), ours.draw(real)
            assert token == expected
            decode(real, [token])


@pytest.mark.parametrize("penalty", [0.0, 1e-39, 1.0])
def test_a_repeat_penalty_of_nothing_is_none(penalty: float) -> None:
    """Divided by it a logit is infinite, and the model's numbers would be taken for broken."""
    penalties = Penalties(Chain(repeat_penalty=penalty), (), 4)
    logits = np.array([0.5, 1, -1, 2], np.float32)
    for token in (1, 2):
        penalties.accept(token)
        penalties.apply(logits)
    assert logits.tolist() == [0.5, 1, -1, 2]


def test_asking_the_grammar_afterwards_changes_no_frequency(small: Context) -> None:
    """Nothing cut off: what it leaves is drawn as often as its share of the allowed probability says."""
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, grammar="root ::= [a-e] [a-e]")
    logits = random_logits(small.model.tokens, 1.0)(0)
    letters = [small.model.tokenize(letter, special=False)[0] for letter in "abcde"]
    logits[letters] = [5.0, 4.5, 4.0, 3.0, 2.0]
    counts: Counter[int] = Counter()
    for seed in range(3000):
        with closing(Sampler(small.model, sampling, seed)) as sampler:
            small.logits()[:] = logits
            counts[sampler.draw(small)] += 1
    shares = np.exp(logits[letters]) / np.exp(logits[letters]).sum()
    found = np.array([counts[letter] for letter in letters])
    assert found.sum() == 3000
    assert float(((found - 3000 * shares) ** 2 / (3000 * shares)).sum()) < 18.5  # chi-square, 4 degrees, p = 0.001


def test_a_grammar_that_leaves_nothing_is_an_error(small: Context) -> None:
    with closing(Sampler(small.model, Sampling(grammar=LETTERS), 1)) as sampler:
        small.logits()[:] = -np.inf
        small.logits()[small.model.tokenize("z", special=False)] = 0
        with pytest.raises(EngineError, match="leaves no token"):
            sampler.draw(small)


@pytest.mark.parametrize("size", [3, 512, 16_384, 49_152, 128_257, 262_208])
@pytest.mark.parametrize("count", [1, 40, 256, 512, 1000])
def test_the_likeliest_are_on_the_list_with_few_others(size: int, count: int) -> None:
    for seed in range(3):
        logits = np.random.default_rng((size, seed)).normal(0, 2.5, size).astype(np.float32)
        expected = np.sort(logits)[::-1][:count]
        shortlist = Shortlist(size, count)
        found = shortlist.of(logits)
        assert np.sort(logits[found])[::-1][:count].tolist() == expected.tolist()
        assert len(found) == len(set(found)) <= size
        assert len(found) < 2 * count + 2 or not shortlist.is_short
        assert logits[shortlist.exactly(logits)].tolist() == expected.tolist()


@pytest.mark.parametrize("count", [1, 40, 512])
def test_a_list_that_is_used_again_finds_the_likeliest_of_whatever_comes(count: int) -> None:
    size, chance = 128_257, np.random.default_rng(count)
    shortlist = Shortlist(size, count)
    for step in range(60):
        logits = chance.normal(0, 2.5, size).astype(np.float32)
        logits *= chance.uniform(0.7, 1.3)
        logits[chance.integers(size, size=step)] += chance.uniform(0, 20)
        if step % 20 == 19:
            logits[chance.integers(size, size=300)] = -np.inf
        found = shortlist.of(logits)
        assert np.sort(logits[found])[::-1][:count].tolist() == np.sort(logits)[::-1][:count].tolist()
        assert len(found) == len(set(found)) < 5 * count + 2


def test_equal_logits_and_logits_that_are_no_numbers() -> None:
    shortlist, logits = Shortlist(16_390, 40), np.full(16_390, np.nan, np.float32)
    assert len(shortlist.exactly(logits)) == 40
    logits[:] = 0
    assert len(set(shortlist.exactly(logits))) == 40
    logits[[7, 16_389]] = 1
    assert shortlist.exactly(logits)[:2].tolist() == [7, 16_389]


def test_logprobs_are_the_models_own(real: Context) -> None:
    real.keep(0)
    decode(real, real.model.tokenize("The capital of France is", special=False))
    logits = real.logits().astype(np.float64)
    expected = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    asked = Sampling(temperature=0, repeat_penalty=2.0, logprobs=5)
    with closing(Sampler(real.model, asked, 1)) as sampler:
        sampler.accept([int(expected.argmax())])  # so that another one is drawn
        token = sampler.draw(real)
        (told,), none = sampler.take_logprobs(), sampler.take_logprobs()
    assert token != expected.argmax() and none == ()
    assert (told.drawn.id, bytes(told.drawn.bytes)) == (token, real.model.piece(token))
    assert told.drawn.logprob == pytest.approx(expected[token], abs=1e-4)
    assert [one.id for one in told.top] == list(np.argsort(-expected)[:5])
    assert [one.logprob for one in told.top] == pytest.approx(np.sort(expected)[:-6:-1], abs=1e-4)


def test_logprobs_of_none_but_the_drawn_and_of_an_impossible_token(small: Context) -> None:
    logits = np.full(small.model.tokens, -np.inf, np.float32)
    logits[[3, 4]] = 0
    told = logprobs_of(small.model, logits, 5, 0)
    assert (told.top, told.drawn.logprob) == ((), -9999.0)
    assert [one.logprob for one in logprobs_of(small.model, logits, 3, 2).top] == pytest.approx([math.log(0.5)] * 2)


def test_a_bias_of_no_token_is_refused(small: Context) -> None:
    with pytest.raises(UsageError, match=r"logit_bias names the token 512; the vocabulary ends with 511\."):
        Sampler(small.model, Sampling(logit_bias=((512, 1.0),)), 1)


def test_no_logprobs_are_gathered_unless_asked_for(small: Context) -> None:
    with closing(Sampler(small.model, replace(Sampling(), logprobs=None), 1)) as sampler:
        sampler.draw(small)
        assert sampler.take_logprobs() == ()
