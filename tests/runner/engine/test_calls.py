"""Grammars of calls as llama.cpp understands them, and calls of the real SmolLM2, held to the schemas of its tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from models.errors import UsageError
from runner.chat.stream import Said
from runner.chat.tools.families import FAMILIES, GENERIC
from runner.chat.tools.family import Family
from runner.chat.tools.grammar import begun, demanded
from runner.chat.tools.parser import CallParser
from runner.chat.tools.syntax import Form, Syntax
from runner.client.process import EngineProcess
from runner.engine import llama
from runner.engine.candidates import Candidates
from runner.engine.llama import C, SchemaRules
from runner.engine.model import Model
from runner.types.commands import Generate, Load
from runner.types.generation import Chunk, Finish, Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from runner.types.tools import Calling, Tool, ToolCall, ToolChoice, with_delta

CPU_ONLY = Placement(devices=(), gpu_layers=0, layers_total=31, tensor_split=(), ctx=1024, threads=1)
CITY, DAYS = {"enum": ["Paris", "Rome"]}, {"$ref": "#/$defs/days"}
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": CITY,
        "days": DAYS,
        "note": {"type": "string", "maxLength": 8},
        "plain": {"type": "boolean"},
    },
    "required": ["city", "days"],
    "$defs": {"days": {"type": "integer"}},
}
# Its definition has the name of the other's, and is another one.
OTHER = {"type": "object", "properties": {"x": {"$ref": "#/$defs/days"}}, "$defs": {"days": {"enum": ["mon", "tue"]}}}
TOOLS = (
    Tool("get_weather", "The weather of a city", json.dumps(WEATHER)),
    Tool("plan", "A plan", json.dumps(OTHER)),
    Tool("now", "The time"),
)
SHORT = (
    Tool("get_weather", parameters=json.dumps({**WEATHER, "properties": {"city": CITY, "days": DAYS}})),
    *TOOLS[1:],
)
SYNTAXES = [(family, syntax) for family in (*FAMILIES, GENERIC) for _, syntax in family.syntaxes]
CALLS = (ToolCall("", "get_weather", '{"city": "Rome", "days": 3, "note": "<b>\\n"}'), ToolCall("", "now", "{}"))


@pytest.fixture(scope="module")
def vocabulary(smollm2: Path) -> Model:
    llama.start(lambda *_: None, lambda *_: None)
    return Model(str(smollm2), CPU_ONLY, rehearse=True)


def admits(model: Model, grammar: str, text: str) -> bool:
    """Whether llama.cpp's grammar lets a model say exactly this, and end."""
    sampler = C.llama_sampler_init_grammar(model.vocabulary, grammar.encode(), b"root")
    assert sampler, grammar
    candidates = Candidates(model.tokens)
    end = C.llama_vocab_eos(model.vocabulary)
    try:
        for token in (*model.tokenize(text, special=False), end):
            candidates.fill_with(token)
            candidates.apply(sampler)
            if not candidates.possible:
                return False
            C.llama_sampler_accept(sampler, token)
        return True
    finally:
        C.llama_sampler_free(sampler)


def test_where_a_schema_names_no_kind_any_value_is_admitted(vocabulary: Model) -> None:
    for schema in ('{"minimum": 1}', '{"properties": {"a": {"title": "Anything"}}, "required": ["a"]}'):
        grammar = llama.grammar_of_schema(schema)
        for value in ("-2.5", '"x"', "[null]", '{"b": true}'):
            assert admits(vocabulary, grammar, value if "minimum" in schema else f'{{"a": {value}}}')


def written(syntax: Syntax, calls: Sequence[ToolCall]) -> str:
    """Calls in a notation; what the parsers read back."""
    return syntax.written([ToolCall("", one.name, _noted(syntax, json.loads(one.arguments))) for one in calls])


def _noted(syntax: Syntax, values: dict[str, Any]) -> str:
    if syntax.form is Form.JSON:
        return json.dumps(values)
    if syntax.form is Form.GEMMA:
        return "{" + ",".join(f"{key}:{_in_marks(syntax, value)}" for key, value in values.items()) + "}"
    before, between, behind = syntax.member
    heads = {key: f"{before}{key}{between}{_attribute(between, value)}" for key, value in values.items()}
    return "".join(f"{heads[key]}{_bare(value)}{behind}" for key, value in values.items())


def _in_marks(syntax: Syntax, value: object) -> str:
    return f"{syntax.member[0]}{value}{syntax.member[0]}" if isinstance(value, str) else json.dumps(value)


def _bare(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _attribute(between: str, value: object) -> str:
    return f'{str(isinstance(value, str)).lower()}">' if "string=" in between else ""


def read(family: Family, text: str) -> list[tuple[str, object]]:
    if family.addresses:  # what a stream makes of such a header
        text = text.replace("<|channel|>commentary to=", "<|start|>assistant to=").replace(" <|constrain|>json", "")
    parser = CallParser(family, TOOLS, str)
    none: tuple[ToolCall, ...] = ()
    calls = reduce(with_delta, parser.read(Said(text), final=True).calls, none)
    return [(call.name, json.loads(call.arguments)) for call in calls]


@pytest.mark.parametrize(("family", "syntax"), SYNTAXES, ids=lambda one: getattr(one, "name", ""))
def test_a_demanded_call_is_one_that_the_family_reads(vocabulary: Model, family: Family, syntax: Syntax) -> None:
    calls = CALLS if syntax.joint is not None else CALLS[:1]
    text = written(syntax, calls)
    assert read(family, text) == [(call.name, json.loads(call.arguments)) for call in calls]
    grammar = demanded(TOOLS, Calling(ToolChoice.REQUIRED), syntax, SchemaRules())
    assert admits(vocabulary, grammar, text) and admits(vocabulary, grammar, f"{syntax.turn or chr(10)}{text}")
    for wrong in (text.replace("Rome", "Oslo"), text.replace("get_weather", "get_all"), f"Well. {text}", text[:-8]):
        assert not admits(vocabulary, grammar, wrong), wrong
    one = demanded(TOOLS, Calling(ToolChoice.REQUIRED, "now", parallel=False), syntax, SchemaRules())
    assert admits(vocabulary, one, written(syntax, CALLS[1:]))
    assert not admits(vocabulary, one, text)


@pytest.mark.parametrize(("family", "syntax"), SYNTAXES, ids=lambda one: getattr(one, "name", ""))
def test_a_call_that_has_begun_is_held_from_its_mark_on(vocabulary: Model, family: Family, syntax: Syntax) -> None:
    text = written(syntax, CALLS[:1])
    parser = CallParser(family, TOOLS, str)
    shown = next((at for at in range(len(text)) if _opens(parser, family, text[at])), None)
    grammar = begun(TOOLS, Calling(), syntax, SchemaRules(), parser.opened)
    if shown is None:  # Llama 3 has no mark, and gpt-oss a header
        assert grammar is None and not syntax.mark.startswith("<tool")
        return
    assert grammar is not None
    assert admits(vocabulary, grammar, text[shown + 1 :])
    assert not admits(vocabulary, grammar, text[shown + 1 :].replace("Rome", "Oslo"))


def _opens(parser: CallParser, family: Family, letter: str) -> bool:
    parser.read(Said(letter))
    return bool(parser.opened)


def test_a_message_to_a_function_is_held_to_its_schema(vocabulary: Model) -> None:
    family = next(one for one in FAMILIES if one.addresses)
    parser = CallParser(family, TOOLS, str)
    parser.read(Said("<|start|>assistant to=functions.get_weather<|message|>"))
    grammar = begun(TOOLS, Calling(), family.syntax_in(""), SchemaRules(), parser.opened)
    assert grammar is not None
    assert admits(vocabulary, grammar, '{"city": "Rome", "days": 1}')
    assert not admits(vocabulary, grammar, '{"city": "Rome"}')


def test_schemas_that_make_no_grammar_are_refused_where_a_call_is_demanded() -> None:
    tool = Tool("f", parameters='{"type": "object", "properties": {"a": {"$ref": "#/$defs/no"}}}')
    with pytest.raises(UsageError, match="not there"):
        demanded((tool,), Calling(ToolChoice.REQUIRED), GENERIC.syntax_in(""), SchemaRules())


@pytest.fixture(scope="module")
def engine(child: EngineProcess, smollm2: Path) -> EngineProcess:
    child.ask(Load(str(smollm2), CPU_ONLY))
    return child


BRIEF = (
    "{% for t in tools or [] %}{{ t.function.name }} {% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
CODER = BRIEF + "{# <function= <parameter= #}"


def asked(calling: Calling, template: str = BRIEF, **settings: Any) -> Sampling:
    templating = Templating(template, "test", tools=SHORT)
    return Sampling(temperature=0, max_tokens=160, templating=templating, calling=calling, **settings)


def answer(engine: EngineProcess, sampling: Sampling, *messages: Message) -> tuple[str, tuple[ToolCall, ...], Chunk]:
    told = messages or (Message("user", "Weather in Rome?"),)
    chunks = list(engine.stream(Generate(Request(told, sampling=sampling))))
    none: tuple[ToolCall, ...] = ()
    calls = reduce(with_delta, (delta for one in chunks for delta in one.calls), none)
    return "".join(one.text for one in chunks), calls, chunks[-1]


@pytest.mark.parametrize("template", [BRIEF, CODER], ids=["json", "marks"])
def test_a_named_function_is_called_with_what_fits_its_schema(engine: EngineProcess, template: str) -> None:
    calling = Calling(ToolChoice.REQUIRED, "get_weather", parallel=False)
    text, calls, last = answer(engine, asked(calling, template))
    assert (text, last.finish, len(calls)) == ("", Finish.CALLS, 1), calls
    validate(json.loads(calls[0].arguments), WEATHER)
    assert calls[0].name == "get_weather" and len(calls[0].id) == 9 and calls[0].id.isalnum()


def test_any_function_will_do_where_a_call_is_required(engine: EngineProcess) -> None:
    _, calls, last = answer(engine, asked(Calling(ToolChoice.REQUIRED, parallel=False)))
    assert last.finish is Finish.CALLS and calls[0].name in [tool.name for tool in TOOLS]


def test_a_call_of_the_models_own_is_held_to_the_schema(engine: EngineProcess) -> None:
    """What it has seen in the conversation, which it repeats, has a city that the schema forbids."""
    oslo = ToolCall("1", "get_weather", '{"city": "Oslo", "days": 1}')
    turns = [Message("user", "Oslo?"), Message("assistant", "", calls=(oslo,)), Message("tool", "cold", answers="1")]
    _, calls, last = answer(engine, asked(Calling()), *turns, *turns, *turns, turns[0])
    assert last.finish is Finish.CALLS
    validate(json.loads(calls[0].arguments), WEATHER)
    assert "Oslo" not in calls[0].arguments


def test_without_calls_an_answer_is_what_it_was(engine: EngineProcess) -> None:
    none = replace(asked(Calling(ToolChoice.NONE)), max_tokens=20)
    text, calls, last = answer(engine, none, Message("user", "Say hello."))
    assert text.strip() and not calls and last.finish is not Finish.CALLS
    plain = Sampling(temperature=0, max_tokens=20, templating=Templating(BRIEF, "test"))
    assert answer(engine, plain, Message("user", "Say hello."))[0] == text
