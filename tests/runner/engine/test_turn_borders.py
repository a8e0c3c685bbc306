"""Conversations with models whose caches cannot be rolled back: what did not change is not read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.client.process import EngineProcess
from runner.types.commands import Count, Generate, KeepState, Load, RestoreState
from runner.types.generation import Chunk, Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write

PLACEMENT = Placement((), 0, 0, (), ctx=4096, threads=1, checkpoints=64 << 20)
TURNS = Templating("{% for m in messages %}|{{ m.role }}:{{ m.content }}\n{% endfor %}|assistant:", "test")
THINKS = Templating(f"{TURNS.text}<think>\n", "test")
GREEDY = Sampling(temperature=0, max_tokens=24, templating=TURNS)
FEW = 64  # tokens of what stands around messages, and of an answer


def said(tokens: int, seed: int) -> str:
    return prompt(512, tokens, seed)


SYSTEM, QUESTION = Message("system", said(1500, 1)), Message("user", said(80, 2))
LONG = (
    SYSTEM,
    *(Message("user" if turn % 2 == 0 else "assistant", said(160, 3 + turn)) for turn in range(8)),
    Message("user", said(150, 20)),
)


@pytest.fixture(scope="module", params=["tiny-window", "tiny-hybrid"])
def weights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("weights") / "x.gguf", GEOMETRIES[request.param], "F16")


@pytest.fixture
def engine(child: EngineProcess, weights: Path) -> EngineProcess:
    """With an empty cache."""
    child.ask(Load(str(weights), PLACEMENT))
    return child


def answer(engine: EngineProcess, *messages: Message, reuse: bool = True, sampling: Sampling = GREEDY) -> Chunk:
    """The last chunk, with the whole text."""
    request = Request(messages, sampling=sampling, ignore_end=True, reuse=reuse)
    chunks = list(engine.stream(Generate(request)))
    return replace(chunks[-1], text="".join(chunk.reasoning + chunk.text for chunk in chunks))


def size(engine: EngineProcess, *messages: Message) -> int:
    return engine.ask(Count(messages, sampling=Sampling(templating=TURNS)))


def read_anew(last: Chunk) -> int:
    return last.prompt_tokens - last.cached_tokens


def check_as_read_anew(engine: EngineProcess, last: Chunk, *messages: Message) -> None:
    whole = answer(engine, *messages, reuse=False)
    assert (whole.cached_tokens, whole.text) == (0, last.text)


def test_another_last_question_is_all_that_is_read(engine: EngineProcess) -> None:
    first = answer(engine, *LONG)
    assert first.prompt_tokens > 2900
    edited = (*LONG[:-1], Message("user", said(140, 30)))
    turn = size(engine, *edited) - size(engine, *edited[:-1])
    last = answer(engine, *edited)
    assert 0 < read_anew(last) <= turn and last.cached_tokens <= last.shared_tokens
    check_as_read_anew(engine, last, *edited)


def test_an_answer_is_drawn_again_and_a_conversation_branches(engine: EngineProcess) -> None:
    first = answer(engine, SYSTEM, QUESTION)
    again = answer(engine, SYSTEM, QUESTION)
    assert read_anew(again) < FEW and again.text == first.text
    begun = (SYSTEM, QUESTION, Message("assistant", said(100, 40)))
    answer(engine, *begun, Message("user", said(90, 41)))
    branch = (*begun[:2], Message("assistant", said(90, 42)), QUESTION)
    last = answer(engine, *branch)
    assert read_anew(last) <= 90 + 80 + FEW
    check_as_read_anew(engine, last, *branch)


def test_thinking_leaves_the_history(engine: EngineProcess) -> None:
    thinking = replace(GREEDY, templating=THINKS, max_tokens=100)
    answer(engine, SYSTEM, QUESTION, sampling=thinking)
    more = (SYSTEM, QUESTION, Message("assistant", said(50, 50)), Message("user", said(60, 51)))
    last = answer(engine, *more, sampling=thinking)
    assert read_anew(last) <= 50 + 60 + FEW


def test_the_end_of_a_long_question_is_another(engine: EngineProcess) -> None:
    long = said(1400, 60)
    answer(engine, Message("user", f"{long} {said(10, 61)}"))
    last = answer(engine, Message("user", f"{long} {said(10, 62)}"))
    assert read_anew(last) <= 512 + FEW


def test_a_text_without_turns_is_gone_on_with(engine: EngineProcess) -> None:
    text = said(900, 70)
    ask = Generate(Request(raw=text, sampling=GREEDY, ignore_end=True))
    list(engine.stream(ask))
    last = list(engine.stream(replace(ask, request=replace(ask.request, raw=f"{text} {said(20, 71)}"))))[-1]
    assert read_anew(last) <= 20 + 8


def test_what_cannot_be_gone_back_to_is_told(child: EngineProcess, weights: Path) -> None:
    child.ask(Load(str(weights), replace(PLACEMENT, checkpoints=0)))
    answer(child, SYSTEM, Message("user", said(700, 80)))
    last = answer(child, SYSTEM, QUESTION)
    assert last.cached_tokens == 0 and last.shared_tokens > 1400


def test_several_sequences_each_have_theirs(child: EngineProcess, weights: Path) -> None:
    child.ask(Load(str(weights), replace(PLACEMENT, sequences=2, outputs=2)))
    others = (Message("system", said(800, 90)), QUESTION)
    for conversation in ((SYSTEM, QUESTION), others):
        answer(child, *conversation)
    edited = Message("user", said(70, 91))
    lasts = [answer(child, system, edited) for system in (SYSTEM, others[0])]
    assert max(map(read_anew, lasts)) <= 70 + FEW
    for last, system in zip(lasts, (SYSTEM, others[0]), strict=True):
        check_as_read_anew(child, last, system, edited)


def test_what_was_kept_on_disk_can_be_gone_back_to(engine: EngineProcess, weights: Path, tmp_path: Path) -> None:
    path, edited = tmp_path / "a.state", (*LONG[:-1], Message("user", said(140, 95)))
    history = (*LONG, Message("assistant", answer(engine, *LONG).text))
    kept = KeepState(str(path), "me", history, templating=TURNS)
    whole = engine.ask(kept)
    assert 0 < engine.ask(replace(kept, path=str(tmp_path / "b"), most=whole - 20_000)) < whole  # without the oldest
    engine.ask(Load(str(weights), PLACEMENT))
    assert engine.ask(RestoreState(str(path), "me")) > 2900
    last = answer(engine, *edited)
    turn = size(engine, *edited) - size(engine, *edited[:-1])
    assert 0 < read_anew(last) <= turn
    check_as_read_anew(engine, last, *edited)
