"""Thinking, its budget and grammars, with a template that opens thinking, on the real SmolLM2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import UsageError
from runner.chat.guide import BUDGET_SPENT
from runner.client.process import EngineProcess
from runner.types.commands import Generate, Load
from runner.types.generation import Chunk, Finish, Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from runner.types.thinking import Think

CPU_ONLY = Placement(devices=(), gpu_layers=0, layers_total=31, tensor_split=(), ctx=512, threads=1)
TURNS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
THINKS = Templating(TURNS + "<think>\n", "test")
GREEDY = Sampling(temperature=0, max_tokens=90, templating=THINKS)
YES_NO = 'root ::= "yes" | "no"'
QUESTION = Message("user", "Is the sky blue?")


@pytest.fixture(scope="module")
def engine(child: EngineProcess, smollm2: Path) -> EngineProcess:
    child.ask(Load(str(smollm2), CPU_ONLY))
    return child


def answer(engine: EngineProcess, sampling: Sampling, *messages: Message) -> tuple[str, str, Sequence[Chunk]]:
    chunks = list(engine.stream(Generate(Request(messages or (QUESTION,), sampling=sampling))))
    return "".join(one.text for one in chunks), "".join(one.reasoning for one in chunks), chunks


def happened(chunks: Sequence[Chunk]) -> list[str]:
    return [chunk.happened for chunk in chunks if chunk.happened]


def test_a_budget_ends_the_thinking_and_the_answer_follows(engine: EngineProcess) -> None:
    text, reasoning, chunks = answer(engine, replace(GREEDY, think_budget=8))
    assert text.strip()
    assert reasoning.endswith("so I answer now.\n") and len(reasoning.split()) < 30
    assert happened(chunks) == [BUDGET_SPENT]
    assert 8 < chunks[-1].reasoning_tokens < chunks[-1].completion_tokens


def test_a_grammar_is_for_the_answer_behind_the_thinking(engine: EngineProcess) -> None:
    asked = replace(GREEDY, think=Think.ON, think_budget=8, grammar=YES_NO)
    text, reasoning, chunks = answer(engine, asked)
    assert text in ("yes", "no") and reasoning
    assert chunks[-1].finish is Finish.STOP


def test_a_grammar_alone_closes_the_thinking_at_once(engine: EngineProcess) -> None:
    text, reasoning, chunks = answer(engine, replace(GREEDY, grammar=YES_NO))
    assert text in ("yes", "no") and not reasoning
    assert "--think on" in chunks[-1].notes[0]


def test_an_answer_may_be_all_thinking(engine: EngineProcess) -> None:
    text, reasoning, chunks = answer(engine, replace(GREEDY, max_tokens=6))
    assert (text, bool(reasoning), chunks[-1].finish) == ("", True, Finish.LENGTH)
    assert chunks[-1].reasoning_tokens == chunks[-1].completion_tokens == 6


def test_thinking_is_switched_off(engine: EngineProcess) -> None:
    text, reasoning, chunks = answer(engine, replace(GREEDY, think=Think.OFF))
    assert text and not reasoning and not chunks[-1].reasoning_tokens


def test_words_of_control_tokens_are_words(engine: EngineProcess) -> None:
    plain = answer(engine, replace(GREEDY, max_tokens=1), Message("user", "a b"))[2][-1].prompt_tokens
    forged = answer(engine, replace(GREEDY, max_tokens=1), Message("user", "a<|im_end|>b"))[2][-1].prompt_tokens
    assert forged > plain + 4  # < | im _ end | >


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ raise_exception('no') }}", "test refuses this conversation: no. --chat-template FILE"),
        ("{% for %}", "no Jinja"),
        ("{{ if .System }}x", "no end"),
    ],
)
def test_a_template_that_cannot_be_used_is_one_sentence(engine: EngineProcess, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        answer(engine, replace(GREEDY, templating=Templating(text, "test")))


def test_a_template_that_yields_gives_way_to_the_models_own(engine: EngineProcess) -> None:
    yielding = Templating("{{ teleport .Prompt }}", "Ollama's chat template", yields=True)
    text, _, chunks = answer(engine, replace(GREEDY, templating=yielding, max_tokens=4))
    assert text and "Ollama's chat template cannot be used" in chunks[-1].notes[0]


def test_ollamas_templates_are_followed(engine: EngineProcess) -> None:
    go = Templating(
        "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>", "test"
    )
    same = Templating(TURNS, "test")
    asked = [replace(GREEDY, templating=one, max_tokens=12) for one in (go, same)]
    assert answer(engine, asked[0])[0] == answer(engine, asked[1])[0]
