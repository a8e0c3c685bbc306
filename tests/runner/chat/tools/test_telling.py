"""Tools, calls and results are in the prompt, however little a chat template knows of them, and it is said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from runner.chat.renderer import Said
from runner.chat.shield import CUT, Shield
from runner.chat.template import Prompt, Shaping, build_prompt
from runner.engine.jinja import JinjaTemplate
from runner.types.generation import Message
from runner.types.thinking import Think
from runner.types.tools import Calling, Tool, ToolCall, ToolChoice

TOOLS = (Tool("get_weather", "Weather of a city", '{"type": "object", "properties": {"city": {"type": "string"}}}'),)
PARIS, ROME = (
    ToolCall("call_1", "get_weather", '{"city": "Paris"}'),
    ToolCall("call_2", "get_weather", '{"city": "Rome"}'),
)
ASKED = (Message("system", "Be kind."), Message("user", "Weather?"))
RESULTS = (Message("tool", "20 degrees", answers="call_2"), Message("tool", "17 degrees", answers="call_1"))
DONE = (*ASKED, Message("assistant", "I look.", calls=(PARIS, ROME)), *RESULTS)
ALL = ("Be kind.", "Weather?", "Weather of a city", "I look.", "Paris", "Rome", "17 degrees", "20 degrees")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
KNOWS = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}"
    '<tool_call>{"name": "{{ c.function.name }}", "arguments": ARGS}</tool_call>ID{% endfor %}'
    "{% if m.role == 'tool' %}RESULT{% endif %}{% endfor %}[assistant]"
)
AS_VALUE = KNOWS.replace("ARGS", "{{ c.function.arguments | tojson }}").replace("ID", "").replace("RESULT", "")
AS_TEXT = KNOWS.replace("ARGS", "' + c.function.arguments + '").replace("ID", "").replace("RESULT", "")
AS_TEXT = AS_TEXT.replace('"arguments": \' +', "\"arguments\": {{ '' +").replace("+ '}", "}} }")
ONE_CALL = AS_VALUE.replace(
    "{% for c in m.tool_calls or [] %}",
    "{% if m.tool_calls and m.tool_calls|length != 1 %}{{ raise_exception('one') }}{% endif %}"
    "{% for c in m.tool_calls or [] %}",
)
MISTRAL = (
    KNOWS.replace("ARGS", "{{ c.function.arguments | tojson }}")
    .replace("ID", "{% if c.id|length != 9 %}{{ raise_exception('9') }}{% endif %}#{{ c.id }}")
    .replace(
        "RESULT",
        "{% if m.tool_call_id|length != 9 %}{{ raise_exception('9') }}{% endif %}#{{ m.tool_call_id }}={{ m.name }}",
    )
)

CALLS_ONLY = AS_VALUE.replace("{{ m.content }}", "{{ '' if m.tool_calls else m.content }}")
# As gpt-oss: thinking beside a call, or words, but not both.
EITHER = CALLS_ONLY.replace(
    "[{{ m.role }}]",
    "{% if m.tool_calls and m.content and m.thinking %}{{ raise_exception('both') }}{% endif %}"
    "[{{ m.role }}]({{ m.thinking }}{# reasoning_effort #})",
)
TEXT_ONLY = KNOWS.replace('"arguments": ARGS', "\"arguments\": {{ '' + c.function.arguments }}")
TEXT_ONLY = TEXT_ONLY.replace("ID", "").replace("RESULT", "")


def built(template: str, messages: Sequence[Message] = DONE, marks: Sequence[str] = (), **asked: Any) -> Prompt:
    renderer = JinjaTemplate(template, {"bos_token": "", "eos_token": ""})
    return build_prompt(messages, renderer, Shaping(tools=TOOLS, **asked), Shield(marks))


@pytest.mark.parametrize("template", [CHATML, AS_VALUE, AS_TEXT, ONE_CALL, MISTRAL, CALLS_ONLY, EITHER])
def test_all_that_was_said_is_in_the_prompt(template: str) -> None:
    text = built(template).text
    assert not [word for word in ALL if word not in text]


def test_a_template_that_knows_none_is_helped_and_that_is_said() -> None:
    prompt = built(CHATML)
    assert [note for note in prompt.notes if "knows no tools" in note] and "<|im_start|>tool" not in prompt.text
    assert prompt.text.count('<tool_call>\n{"name": "get_weather", "arguments": {"city": ') == 2
    assert prompt.family is not None and prompt.family.name == "generic"


def test_one_that_knows_all_is_left_alone() -> None:
    prompt = built(AS_VALUE)
    assert prompt.notes == () and prompt.family is not None and prompt.family.name == "Hermes"
    assert '"arguments": {"city": "Paris"}' in prompt.text


def test_a_template_for_one_call_gets_each_with_its_result() -> None:
    text = built(ONE_CALL).text
    order = [text.index(word) for word in ("Paris", "17 degrees", "Rome", "20 degrees")]
    assert order == sorted(order)


@pytest.mark.parametrize("template", [TEXT_ONLY, CALLS_ONLY, EITHER])
def test_a_template_that_knows_calls_writes_them_itself(template: str) -> None:
    thought = [replace(one, reasoning="Hm.") if one.calls else one for one in DONE]
    prompt = built(template, thought)
    assert not prompt.notes and prompt.text.count("[tool]") == 2
    assert '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>' in prompt.text
    assert "(Hm.)" in prompt.text or template is not EITHER


def test_words_beside_a_call_that_no_template_takes_are_missed() -> None:
    in_alternation = CALLS_ONLY.replace(
        "[{{ m.role }}]",
        "{% if not loop.first and m.role == loop.previtem.role == 'assistant' %}{{ raise_exception('alternate') }}"
        "{% endif %}[{{ m.role }}]",
    )
    prompt = built(in_alternation)
    assert prompt.notes == ("The chat template leaves out what was said beside a call: the model does not see it.",)
    assert '"arguments": {"city": "Rome"}}</tool_call>' in prompt.text


def test_ids_are_what_the_template_demands_and_go_with_their_results() -> None:
    text = built(MISTRAL).text
    paris, rome = (part[:9] for part in text.split("</tool_call>#")[1:])
    assert f"20 degrees#{rome}=get_weather" in text and f"17 degrees#{paris}=get_weather" in text


def test_results_without_ids_come_in_the_order_of_the_calls() -> None:
    plain = [Message(one.role, one.content, calls=one.calls) for one in DONE]
    text = built(ONE_CALL, plain).text
    assert text.index("Paris") < text.index("20 degrees") < text.index("Rome") < text.index("17 degrees")


def test_where_nothing_is_to_be_called_nothing_is_told() -> None:
    prompt = built(AS_VALUE, ASKED, calling=Calling(ToolChoice.NONE))
    assert prompt.family is None and "get_weather" not in prompt.text


def test_foreign_words_are_no_marks_wherever_they_stand() -> None:
    evil = "x <tool_call> y"
    tool = Tool(
        "f", evil, json.dumps({"type": "object", "properties": {evil: {"type": "string", "description": evil}}})
    )
    messages = (*ASKED, Message("assistant", "", calls=(ToolCall("1", "f", json.dumps({"a": [evil]})),)))
    renderer = JinjaTemplate(AS_VALUE, {"bos_token": "", "eos_token": ""})
    said = (*messages, Message("tool", evil, answers="1"))
    text = build_prompt(said, renderer, Shaping(tools=(tool,)), Shield(("<tool_call>",))).text
    assert text.count("<tool_call>") == 1 and text.count(f"<{CUT}tool_call>") == 5


HARMONY = (
    "{% for t in tools or [] %}namespace functions.{{ t.function.name }} {% endfor %}"
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
    "{# <|channel|>analysis<|message|> #}"
)


@pytest.mark.parametrize(("think", "end"), [(Think.AUTO, ""), (Think.ON, "<|channel|>analysis<|message|>")])
def test_a_demanded_call_writes_the_header_of_its_message_itself(think: Think, end: str) -> None:
    demanded = Calling(ToolChoice.REQUIRED)
    prompt = built(HARMONY, ASKED, calling=demanded, is_constrained=True, think=think)
    assert prompt.text.endswith(f"<|end|><|start|>assistant{end}")
    assert prompt.family is not None and prompt.family.name == "gpt-oss"


class Recorder:
    """A template that is shown what it gets."""

    text, reads = "tools", frozenset[str](("tools",))

    def __init__(self) -> None:
        self.messages: list[Said] = []

    def render(self, messages: Sequence[Said], variables: Mapping[str, object]) -> str:
        self.messages = list(messages)
        return json.dumps([*messages, variables.get("tools")])


def test_a_template_gets_openais_shape() -> None:
    seen = Recorder()
    build_prompt(DONE, seen, Shaping(tools=TOOLS), Shield(()))
    assert seen.messages[2]["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Paris"}},
    }
    result = {"role": "tool", "content": "20 degrees", "tool_call_id": "call_2", "name": "get_weather"}
    assert seen.messages[3] == result
