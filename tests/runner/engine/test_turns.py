"""Whose turn it is, counted in steps of the engine: who is gone, who waits, and that nobody has more than others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.context import Context
from runner.engine.generator import Generator
from runner.types.generation import Chunk, Finish, Phase, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

TWO = Placement((), 0, 0, (), ctx=2048, ubatch=128, threads=1, sequences=2, outputs=2)
STORY = Request(raw="The sea is", sampling=Sampling(temperature=0, max_tokens=400), ignore_end=True)
LONG = replace(STORY, raw="one two three four " * 100, reuse=False)


class Asker:
    """Who has asked, and may be gone."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self.last = Chunk(Phase.WAITING)

    def tell(self, chunk: Chunk) -> None:
        self.last = chunk

    def fail(self, error: LocalrunError) -> None:
        raise error

    def has_begun(self) -> bool:
        """Whether it has a place."""
        return self.last.phase is not Phase.WAITING

    @property
    def tokens(self) -> int:
        """All that were drawn for it; only once its answer has ended."""
        assert self.last.finish is not None
        return self.last.completion_tokens


class Turns:
    """A model for two at a time. `pulsed` is called now and then in the midst of a step that reads a prompt."""

    def __init__(self, path: Path) -> None:
        self.pulsed: Callable[[], None] = lambda: None
        self.generator = Generator(str(path), TWO, lambda _done: True, self._pulse)

    def _pulse(self) -> None:
        self.pulsed()

    def close(self) -> None:
        self.generator.close()

    def ask(self, request: Request = STORY) -> Asker:
        asker = Asker()
        self.generator.begin(request, asker)
        return asker

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.generator.step()

    def end(self, *askers: Asker) -> None:
        for asker in askers:
            asker.is_cancelled = True
        self.steps(1)


@pytest.fixture(scope="module")
def loaded(smollm2: Path) -> Iterator[Turns]:
    llama.start(lambda _level, _line: None, lambda _text: None)
    with closing(Turns(smollm2)) as turns:
        yield turns


@pytest.fixture
def turns(loaded: Turns) -> Iterator[Turns]:
    loaded.pulsed = lambda: None
    yield loaded
    assert not loaded.generator.is_busy, "somebody still asks"


def test_nothing_is_computed_for_one_who_is_gone_and_the_next_one_begins_at_once(turns: Turns) -> None:
    gone, stays = turns.ask(), turns.ask()
    turns.steps(10)
    waits = turns.ask()
    turns.steps(1)
    assert not waits.has_begun()
    gone.is_cancelled = True
    turns.steps(1)
    assert (gone.last.finish, gone.tokens) == (Finish.INTERRUPTED, 11)
    assert waits.has_begun(), "its place is not free"
    turns.end(stays, waits)
    assert stays.tokens == 12


def test_the_step_under_way_is_the_last_for_one_who_leaves_in_it(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    leaves, step = turns.ask(), Context.step
    computed: list[int] = []
    turns.steps(5)

    def left(context: Context, token: int, at: int, sequence: int) -> None:
        leaves.is_cancelled = True
        computed.append(token)
        step(context, token, at, sequence)

    monkeypatch.setattr(Context, "step", left)
    turns.steps(2)
    assert (leaves.last.finish, leaves.tokens, len(computed)) == (Finish.INTERRUPTED, 6, 1)


def test_a_prompt_is_given_up_in_the_midst_of_a_step(turns: Turns) -> None:
    reads = turns.ask(LONG)
    turns.steps(1)
    assert reads.last.prefilled == TWO.ubatch < reads.last.prompt_tokens // 2

    def leave() -> None:
        reads.is_cancelled = True

    turns.pulsed = leave
    turns.steps(1)
    turns.pulsed = lambda: None
    turns.steps(1)
    assert (reads.last.finish, reads.last.prefilled) == (Finish.INTERRUPTED, TWO.ubatch)


def test_all_who_have_begun_get_a_token_in_each_step_and_the_others_begin_in_their_order(turns: Turns) -> None:
    """Whoever asks: two of these may be one client's. A prompt that is read beside an answer takes nothing from it."""
    first, second = turns.ask(), turns.ask(replace(STORY, raw="Three primary colours are"))
    third, fourth = turns.ask(LONG), turns.ask()
    turns.steps(12)
    assert not (third.has_begun() or fourth.has_begun())
    first.is_cancelled = True
    turns.steps(20)
    assert third.has_begun() and not fourth.has_begun()
    turns.end(second, third)
    assert (first.tokens, second.tokens) == (12, 32)
    assert fourth.has_begun()
    turns.end(fourth)
