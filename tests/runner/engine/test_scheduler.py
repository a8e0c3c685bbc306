"""Several requests in one engine: each gets what it would get alone, and nobody waits longer than need be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from models.errors import EngineError, PromptTooLong, UsageError
from runner.client.process import EngineProcess
from runner.types.commands import Count, Generate, Grammar, Load, Unload
from runner.types.generation import Chunk, Finish, Message, Phase, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from tests.support.alike import check_alike
from tests.support.waiting import joined, thread

ALONE = Placement((), 0, 31, (), ctx=2048, threads=1)
FOUR = replace(ALONE, sequences=4, outputs=4)
GREEDY = Sampling(temperature=0, max_tokens=24, logprobs=2)
BEGINNINGS = ("The sea is", "Three primary colours are", "The capital of France is", "One two three")
STORY = Request(raw="The sea", sampling=Sampling(temperature=0), ignore_end=True)


def ask(text: str, sampling: Sampling = GREEDY) -> Request:
    return Request(raw=text, sampling=sampling, ignore_end=True)


def chunks_of(engine: EngineProcess, request: Request) -> list[Chunk]:
    return list(engine.stream(Generate(request)))


def told(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def together(engine: EngineProcess, *requests: Request) -> list[list[Chunk]]:
    """All at once, each from a thread of its own."""
    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(lambda request: chunks_of(engine, request), requests))


@pytest.fixture(scope="module")
def alone(child: EngineProcess, smollm2: Path) -> list[list[Chunk]]:
    """How each beginning goes on when nobody else asks."""
    child.ask(Load(str(smollm2), ALONE))
    return [chunks_of(child, ask(text)) for text in BEGINNINGS]


@pytest.fixture(scope="module")
def engine(child: EngineProcess, smollm2: Path, alone: list[list[Chunk]]) -> EngineProcess:
    """For four at a time."""
    assert alone
    child.ask(Load(str(smollm2), FOUR))
    return child


def test_each_gets_the_answer_that_it_gets_alone(engine: EngineProcess, alone: list[list[Chunk]]) -> None:
    for found, expected in zip(together(engine, *map(ask, BEGINNINGS)), alone, strict=True):
        check_alike(found, expected)
        assert (found[-1].phase, found[-1].completion_tokens) == (Phase.DONE, 24)


def test_each_keeps_its_own_settings(engine: EngineProcess) -> None:
    gbnf = engine.ask(Grammar('{"type": "integer"}'))
    requests = (
        replace(ask("A dog has as many legs as", Sampling(temperature=0, grammar=gbnf)), ignore_end=False),
        ask(BEGINNINGS[0], replace(GREEDY, temperature=1.0, seed=7)),
        ask("1, 2, 3, 4,", replace(GREEDY, stop=("9",))),
        ask(BEGINNINGS[2], replace(GREEDY, max_tokens=3)),
    )
    number, story, counted, capital = together(engine, *requests)
    assert int(told(number)) >= 0
    assert story[-1].seed == 7
    assert (told(counted), counted[-1].finish) == (" 5, 6, 7, 8, ", Finish.STOP)
    assert (capital[-1].completion_tokens, capital[-1].finish) == (3, Finish.LENGTH)
    assert [len([one for chunk in chunks for one in chunk.logprobs]) for chunks in (number, capital)] == [0, 3]


class Story:
    """An answer without end, in a thread of its own; `until` waits for something in it."""

    def __init__(self, engine: EngineProcess, request: Request = STORY) -> None:
        self._engine, self.command = engine, Generate(request)
        self.chunks: list[Chunk] = []
        self.times: list[float] = []
        self._came = threading.Condition()
        self._thread = thread(self._hear)

    def until(self, seen: Callable[[Chunk], bool]) -> Chunk:
        """The first chunk like that."""
        with self._came:
            assert self._came.wait_for(lambda: any(map(seen, self.chunks)), 60)
            return next(filter(seen, self.chunks))

    def close(self) -> None:
        """Stop it and wait for its end."""
        self._engine.stop(self.command)
        joined(self._thread)

    def _hear(self) -> None:
        for chunk in self._engine.stream(self.command):
            with self._came:
                self.chunks.append(chunk)
                self.times.append(time.monotonic())
                self._came.notify_all()


def is_decoding(chunk: Chunk) -> bool:
    return chunk.phase is Phase.DECODE


def test_one_is_stopped_and_the_others_go_on(engine: EngineProcess, alone: list[list[Chunk]]) -> None:
    with closing(Story(engine)) as stopped, closing(Story(engine)) as other:
        stopped.until(is_decoding)
        other.until(is_decoding)
        asked = time.monotonic()
        stopped.close()
        assert time.monotonic() - asked < 1
        assert stopped.chunks[-1].finish is Finish.INTERRUPTED
        check_alike(chunks_of(engine, ask(BEGINNINGS[2])), alone[2])
        count = len(other.chunks)
        other.until(lambda chunk: chunk.completion_tokens > other.chunks[count - 1].completion_tokens)
        assert other.chunks[-1].finish is None


def test_whoever_leaves_early_leaves_the_others_alone(engine: EngineProcess) -> None:
    with closing(Story(engine)) as other:
        leaving = engine.stream(Generate(STORY))
        assert any(chunk.phase is Phase.DECODE for chunk in leaving)
        leaving.close()
        count = len(other.chunks)
        other.until(lambda chunk: chunk.completion_tokens > other.chunks[count - 1].completion_tokens)


def test_other_commands_are_carried_out_between_two_steps(engine: EngineProcess) -> None:
    with closing(Story(engine)) as story:
        story.until(is_decoding)
        assert engine.ask(Count(raw="One two")) > 1
        with pytest.raises(PromptTooLong):
            chunks_of(engine, ask("word " * 4000))
        with pytest.raises(UsageError, match="grammar"):
            chunks_of(engine, ask("x", Sampling(grammar="root ::= (")))
        assert story.chunks[-1].finish is None


def test_a_long_prompt_stalls_nobody(engine: EngineProcess) -> None:
    """The bar of 0.1 s is a benchmark's."""
    prompt = Request(raw="one two three four " * 100, sampling=replace(GREEDY, max_tokens=1), reuse=False)
    alone = chunks_of(engine, prompt)
    assert alone[-1].prefill_tps is not None
    whole_s = alone[-1].prompt_tokens / alone[-1].prefill_tps
    with closing(Story(engine)) as story:
        story.until(is_decoding)
        began = time.monotonic()
        chunks_of(engine, prompt)
        stalls = [after - before for before, after in pairwise(story.times) if before > began]
    assert len(stalls) > 2
    assert max(stalls) < whole_s / 2


# ---- what two have in common, and what is still there


def test_a_beginning_that_several_have_in_common_is_read_once(engine: EngineProcess) -> None:
    lesson = "A sailor knows that the wind and the water are never the same twice. " * 8
    requests = [ask(lesson + one) for one in BEGINNINGS]
    apart = [chunks_of(engine, replace(one, reuse=False)) for one in requests]
    together(engine, *(replace(STORY, raw=text, sampling=GREEDY, reuse=False) for text in BEGINNINGS))
    answers = together(engine, *requests)
    for found, expected in zip(answers, apart, strict=True):
        check_alike(found, expected)
    first, *others = sorted(chunks[-1].cached_tokens for chunks in answers)
    assert first < 10 and min(others) > 100


def test_several_conversations_each_keep_what_they_have_read(engine: EngineProcess) -> None:
    questions = ("Tell me about the sea.", "Name three primary colours.", "What is the capital of France?")
    history = {question: [Message("user", question)] for question in questions}
    for messages in history.values():
        reply = told(chunks_of(engine, Request(tuple(messages), sampling=GREEDY)))
        messages += [Message("assistant", reply), Message("user", "And why?")]
    for messages in history.values():
        last = chunks_of(engine, Request(tuple(messages), sampling=GREEDY))[-1]
        assert last.prompt_tokens - last.cached_tokens < 25


# ---- room


@pytest.fixture
def narrow(child: EngineProcess, smollm2: Path, engine: EngineProcess) -> Iterator[EngineProcess]:
    """Two at a time, if they are short."""
    child.ask(Load(str(smollm2), replace(ALONE, ctx=256, sequences=2, outputs=2)))
    yield child
    child.ask(Load(str(smollm2), FOUR))


def test_a_request_without_room_waits_and_says_for_how_long(narrow: EngineProcess, alone: list[list[Chunk]]) -> None:
    large = replace(STORY, sampling=replace(GREEDY, max_tokens=240))
    with closing(Story(narrow, large)) as running:
        running.until(is_decoding)
        with closing(Story(narrow, ask(BEGINNINGS[0]))) as waiting:
            assert waiting.until(lambda chunk: chunk.phase is Phase.WAITING).waited_s < 1
            waiting.until(lambda chunk: chunk.waited_s > 1)
            running.close()
            waiting.until(lambda chunk: chunk.finish is Finish.LENGTH)
    check_alike(waiting.chunks, alone[0])
    assert waiting.chunks[-1].waited_s > 1


def test_a_waiting_request_can_be_stopped(narrow: EngineProcess) -> None:
    with closing(Story(narrow, replace(STORY, sampling=replace(GREEDY, max_tokens=240)))) as running:
        running.until(is_decoding)
        with closing(Story(narrow, ask(BEGINNINGS[0], replace(GREEDY, max_tokens=200)))) as waiting:
            waiting.until(lambda chunk: chunk.phase is Phase.WAITING)
        assert waiting.chunks[-1].finish is Finish.INTERRUPTED
        assert running.chunks[-1].finish is None


def test_answers_of_unknown_length_share_the_pool_and_lose_no_word(narrow: EngineProcess) -> None:
    """Together they outgrow it: one waits, is read again and goes on."""
    endless = [ask(text, replace(GREEDY, max_tokens=None)) for text in BEGINNINGS[:2]]
    apart = [chunks_of(narrow, replace(one, sampling=replace(GREEDY, max_tokens=160))) for one in endless]
    answers = together(narrow, *endless)
    assert {chunks[-1].finish for chunks in answers} == {Finish.LENGTH}
    assert all(chunks[-1].prompt_tokens + chunks[-1].completion_tokens == 256 for chunks in answers)
    assert any(chunk.phase is Phase.WAITING and chunk.completion_tokens for chunks in answers for chunk in chunks)
    for found, expected in zip(answers, apart, strict=True):
        check_alike(found, expected)


def test_unloading_tells_those_who_wait_for_an_answer(
    child: EngineProcess, smollm2: Path, engine: EngineProcess
) -> None:
    errors: list[EngineError] = []

    def listen() -> None:
        try:
            chunks_of(engine, STORY)
        except EngineError as error:
            errors.append(error)

    with closing(Story(engine, replace(STORY, sampling=GREEDY))) as first:
        first.until(is_decoding)
        waiting = thread(listen)
        first.until(lambda chunk: chunk.finish is not None)
        child.ask(Unload())
        joined(waiting)
    assert [str(error) for error in errors] == ["The model was unloaded before its answer ended."]
    child.ask(Load(str(smollm2), FOUR))
