"""Answers with guesses are the answers without, whatever the cache, and wherever a guess is cut short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import EngineError, LocalrunError
from runner.engine import llama, lookup, rollback
from runner.engine.context import Context
from runner.engine.draft_length import Choice, DraftLength
from runner.engine.generator import Generator
from runner.engine.odds import Odds
from runner.engine.partial_state import PartialState
from runner.types.generation import Chunk, Finish, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write
from tests.support.alike import check_alike

PLAIN = Placement((), 0, 0, (), ctx=1024, threads=1, checkpoints=16 << 20)
DRAFTED = replace(PLAIN, drafts=15, outputs=16)
GREEDY = Sampling(temperature=0, repeat_penalty=1.001, max_tokens=30, logprobs=2)
SENTENCE = "The keeper of the light has two chairs, a dog and a shelf of books."
AGAIN = " ".join([SENTENCE] * 4)


class Asker:
    """Who hears an answer, and wants no more than so many tokens of it."""

    def __init__(self, most: int | None = None) -> None:
        self.chunks: list[Chunk] = []
        self._most = most

    @property
    def is_cancelled(self) -> bool:
        return self._most is not None and bool(self.chunks) and self.chunks[-1].completion_tokens >= self._most

    def tell(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)

    def fail(self, error: LocalrunError) -> None:
        raise error


class Hurt(Asker):
    """Who hears of an error."""

    error: LocalrunError | None = None

    def fail(self, error: LocalrunError) -> None:
        self.error = error


def answers(generator: Generator, *requests: Request, most: int | None = None) -> list[list[Chunk]]:
    """All at once."""
    askers = [Asker(most) for _ in requests]
    for request, asker in zip(requests, askers, strict=True):
        generator.begin(request, asker)
    while generator.is_busy:
        generator.step()
    return [asker.chunks for asker in askers]


def answer(generator: Generator, request: Request, most: int | None = None) -> list[Chunk]:
    return answers(generator, request, most=most)[0]


@contextmanager
def loaded(path: Path, placement: Placement) -> Iterator[Generator]:
    generator = Generator(str(path), placement, lambda _done: True, lambda: None)
    with closing(generator):
        yield generator


@pytest.fixture(autouse=True)
def bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is guessed that can be, whatever it takes: what a step takes is no matter of these tests."""
    monkeypatch.setattr(DraftLength, "choose", lambda _self, odds, *_: Choice(len(odds), 1.0))


def ask(text: str, sampling: Sampling = GREEDY, *, ignore_end: bool = True) -> Request:
    return Request(raw=text, sampling=sampling, ignore_end=ignore_end)


def said(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def accepted(chunks: list[Chunk]) -> int:
    return 0 if (draft := chunks[-1].draft) is None else draft.accepted


@pytest.fixture(scope="module")
def drafting(smollm2: Path) -> Iterator[Generator]:
    """SmolLM2 with room for two answers, each of them drafted."""
    llama.start(lambda _level, _line: None, lambda _text: None)
    with loaded(smollm2, replace(DRAFTED, sequences=2)) as generator:
        yield generator


@pytest.fixture(scope="module")
def plain(smollm2: Path) -> Iterator[Generator]:
    with loaded(smollm2, PLAIN) as generator:
        yield generator


class Told:
    """Guesses an answer that it was told, but every fifth token of it wrong."""

    answer: tuple[int, ...] = ()

    def __init__(self, _odds: Odds) -> None:
        self._start: int | None = None

    def catch_up(self, _tokens: Sequence[int], _slot: int) -> float:
        return 0.0

    def chances(self, tokens: Sequence[int], most: int) -> list[float]:
        self._start = len(tokens) - 1 if self._start is None else self._start
        self._at = len(tokens) - self._start
        return [0.8] * max(0, min(most, len(self.answer) - self._at))

    def guess(self, tokens: Sequence[int], count: int) -> list[int]:
        ahead = range(self._at, self._at + count)
        return [self.answer[place] + (place % 5 == 4) for place in ahead]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Chunk]], None]:
    """Let the next answers be guessed to be like this one, which was asked for with logprobs."""
    monkeypatch.setattr(lookup, "Following", Told)

    def tell(chunks: list[Chunk]) -> None:
        monkeypatch.setattr(Told, "answer", tuple(one.drawn.id for chunk in chunks for one in chunk.logprobs))

    return tell


Tell = Callable[[list[Chunk]], None]
DRAWN = replace(GREEDY, temperature=0.8, seed=5)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_the_answer_is_that_of_plain_decoding(
    drafting: Generator, plain: Generator, sampling: Sampling, told: Tell
) -> None:
    told(expected := answer(plain, ask(AGAIN, sampling)))
    found = answer(drafting, ask(AGAIN, sampling))
    check_alike(found, expected)
    assert len([one for chunk in found for one in chunk.logprobs]) == found[-1].completion_tokens == 30
    assert expected[-1].draft is None and accepted(found) > 10
    going_on = ask(AGAIN + said(found), replace(sampling, max_tokens=2))
    again = answer(drafting, going_on)
    assert again[-1].cached_tokens > 80, "the cache holds what was said and no more"
    check_alike(again, answer(plain, going_on))


def test_a_guess_is_cut_short(drafting: Generator, plain: Generator, told: Tell) -> None:
    told(whole := answer(plain, ask(AGAIN)))
    word = said(whole).split()[9]
    stopped = answer(drafting, ask(AGAIN, replace(GREEDY, stop=(word,))))
    assert (said(stopped), stopped[-1].finish) == (said(whole)[: said(whole).index(word)], Finish.STOP)
    short = answer(drafting, ask(AGAIN, replace(GREEDY, max_tokens=9)))
    assert (short[-1].completion_tokens, short[-1].finish) == (9, Finish.LENGTH)
    bound = ask(AGAIN, replace(GREEDY, grammar=llama.grammar_of_schema('{"enum": ["two chairs and a dog"]}')))
    told(expected := answer(plain, replace(bound, ignore_end=False)))
    found = answer(drafting, replace(bound, ignore_end=False))
    assert (said(found), found[-1].finish) == (said(expected), Finish.STOP)
    assert accepted(stopped) and accepted(short) and accepted(found)


def test_an_answer_is_stopped_between_two_guesses(drafting: Generator, plain: Generator, told: Tell) -> None:
    told(expected := answer(plain, ask(AGAIN)))
    last = answer(drafting, ask(AGAIN), most=8)[-1]
    assert last.finish is Finish.INTERRUPTED and last.completion_tokens < 30
    check_alike(answer(drafting, ask(AGAIN)), expected)


def test_an_answer_that_has_ended_hears_so_where_another_breaks_the_step(
    drafting: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is told behind the step, which the other one's numbers spoil: none of its own is lost by that."""
    ended, broken = Asker(), Hurt()
    drafting.begin(ask(AGAIN, replace(GREEDY, max_tokens=1)), ended)
    drafting.begin(ask(AGAIN + " And"), broken)
    spoiled = iter([True, False])
    monkeypatch.setattr(Context, "is_number", lambda *_: next(spoiled))
    with pytest.raises(EngineError) as raised:
        while drafting.is_busy:
            drafting.step()
    drafting.fail(raised.value)
    assert (ended.chunks[-1].finish, broken.error) == (Finish.LENGTH, raised.value)


def test_two_answers_at_once(drafting: Generator, plain: Generator) -> None:
    """With guesses of the text itself."""
    asked = [ask(AGAIN), ask(" ".join(["One two three four five six."] * 6))]
    for ours, one in zip(answers(drafting, *asked), asked, strict=True):
        check_alike(ours, answer(plain, one))
        assert ours[-1].draft is not None


# ---- caches of all kinds, with weights that say nothing but take no time


@pytest.mark.parametrize(
    ("model", "placement"),
    [
        ("tiny-dense", DRAFTED),
        ("tiny-window", DRAFTED),
        ("tiny-hybrid", replace(DRAFTED, rollback=3)),
        ("tiny-hybrid", DRAFTED),
    ],
    ids=["cells", "window", "states on the way", "copies"],
)
def test_every_cache_goes_back(tmp_path: Path, model: str, placement: Placement, told: Tell) -> None:
    """The window has moved on by then. Numbers differ as those of short and long batches do, by 0.001 at most."""
    path = write(tmp_path / "x.gguf", GEOMETRIES[model], "F16")
    asked = ask(prompt(512, 700, 1), replace(GREEDY, max_tokens=60))
    with loaded(path, replace(placement, drafts=0, rollback=0)) as generator:
        told(expected := answer(generator, asked))
    with loaded(path, placement) as generator:
        found = answer(generator, asked)
    ours, theirs = ([one.drawn.logprob for chunk in chunks for one in chunk.logprobs] for chunks in (found, expected))
    assert said(found) == said(expected) and ours == pytest.approx(theirs, abs=0.01)
    assert accepted(found) > 20


@pytest.mark.parametrize("fails", ["copy", "restore"])
def test_a_state_that_cannot_go_back_ends_all_guesses_and_every_answer_says_so(
    tmp_path: Path, told: Tell, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """llama.cpp tells no copy of it, or does not take that back: the answer is the same, the prompt is read anew."""
    path = write(tmp_path / "x.gguf", GEOMETRIES["tiny-hybrid"], "F16")
    asked = ask(prompt(512, 300, 1), replace(GREEDY, max_tokens=20))
    with loaded(path, PLAIN) as generator:
        told(expected := answer(generator, asked))
    if fails == "copy":
        monkeypatch.setattr(rollback, "partial_state", lambda *_: None)
    else:
        monkeypatch.setattr(PartialState, "restore", lambda _self: False)
    with loaded(path, replace(DRAFTED, checkpoints=0)) as generator:
        for _ in range(2):
            check_alike(found := answer(generator, asked), expected)
            assert found[-1].notes == (rollback.NO_WAY_BACK,) and expected[-1].notes == ()
    assert found[-1].draft is None


def test_what_is_drawn_is_distributed_as_without(tmp_path: Path, told: Tell) -> None:
    """Of a vocabulary of 512 two can be drawn each time: how often each is in four places of 100 answers."""
    path = write(tmp_path / "x.gguf", GEOMETRIES["tiny-dense"], "F16")
    asked = ask("a b c", Sampling(temperature=2.0, top_k=2, max_tokens=4, repeat_penalty=1, logprobs=0))
    counts, guesses = [], 0
    for placement, first in ((PLAIN, 0), (DRAFTED, 1000)):
        found: Counter[tuple[int, int]] = Counter()
        with loaded(path, placement) as generator:
            for seed in range(first, first + 100):
                chunks = answer(generator, replace(asked, sampling=replace(asked.sampling, seed=seed)))
                found.update(enumerate(one.drawn.id for chunk in chunks for one in chunk.logprobs))
                guesses += accepted(chunks)
        told(chunks)
        counts.append(found)
    plain, drafted = counts
    assert guesses > 5
    apart = sum(abs(plain[one] - drafted[one]) for one in plain | drafted) / 2
    assert apart < 0.15 * plain.total()
