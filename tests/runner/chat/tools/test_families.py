"""What models of each family say is read as the same text and calls, wherever its bytes are cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import pytest

from runner.chat.stream import TextStream
from runner.chat.tools import (
    deepseek,
    dsml,
    gemma,
    glm,
    granite,
    harmony,
    hermes,
    llama,
    mistral,
    qwen,
)
from runner.chat.tools.families import FAMILIES, GENERIC, family_of
from runner.chat.tools.family import Family
from runner.chat.tools.parser import CallParser
from runner.types.tools import Tool, ToolCall, with_delta

_SHORT = 44  # bytes: so many are cut at every pair of places

_WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "units": {"enum": ["C", "F"]}},
    "required": ["city"],
}
_WRITE = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "text": {"type": "string"},
        "mode": {"$ref": "#/$defs/mode"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "line": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "force": {"type": "boolean"},
    },
    "$defs": {"mode": {"type": ["string", "null"]}},
}
TOOLS = (
    Tool("get_weather", "Weather of a city", json.dumps(_WEATHER)),
    Tool("write_file", "Write a file", json.dumps(_WRITE)),
    Tool("now", "The time"),
)


@dataclass(frozen=True, slots=True)
class Read:
    """What came of an answer; arguments as values where they are JSON."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, object], ...]
    ended: int


def stream_for(family: Family) -> TextStream:
    return TextStream(addresses=family.addresses, breaks=family.breaks)


def read(family: Family, data: bytes, cuts: Iterable[int] = (), *, most: int | None = None) -> Read:
    stream, parser = stream_for(family), CallParser(family, TOOLS, "id{}".format, most=most)
    text, reasoning = "", ""
    calls: tuple[ToolCall, ...] = ()
    edges = [0, *cuts, len(data)]
    pieces = [parser.read(stream.feed(data[start:end])) for start, end in pairwise(edges)]
    for said in (*pieces, parser.read(stream.finish(), final=True)):
        if said.recast:
            text, reasoning = "", reasoning + text
        text, reasoning = text + said.text, reasoning + said.reasoning
        for delta in said.calls:
            calls = with_delta(calls, delta)
    assert [call.id for call in calls] == [f"id{index}" for index in range(len(calls))]
    return Read(text, reasoning, tuple((call.name, _value(call.arguments)) for call in calls), parser.ended)


def _value(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


PARIS = ("get_weather", {"city": "Paris"})
ROME = ("get_weather", {"city": "Rome", "days": 3})
NOW: tuple[str, object] = ("now", {})
# Braces, brackets, quotes, marks of families, line ends and letters of several bytes, all within strings.
NASTY = '<b class="x">{"a": [1, "}"]}</tool_call>\n\t\\ “é” 😀</b>'
FILE = ("write_file", {"path": "a.html", "text": NASTY, "tags": ["x", "]"], "force": True})


def of_json(name: str, arguments: object, key: str = "arguments") -> str:
    return json.dumps({"name": name, key: arguments}, ensure_ascii=False)


def xml(name: str, *pairs: tuple[str, str]) -> str:
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in pairs)
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"


def glm_call(name: str, *pairs: tuple[str, str]) -> str:
    inner = "".join(f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in pairs)
    return f"<tool_call>{name}\n{inner}</tool_call>"


def seek(name: str, arguments: object) -> str:
    return f"{deepseek.CALL}{name}{deepseek.SEPARATOR}{json.dumps(arguments)}{deepseek.CALL_END}"


def seek3(name: str, arguments: object) -> str:
    inner = f"```json\n{json.dumps(arguments)}\n```"
    return f"{deepseek.CALL}function{deepseek.SEPARATOR}{name}\n{inner}{deepseek.CALL_END}"


def sml(name: str, *pairs: tuple[str, str, str]) -> str:
    inner = "".join(
        f'{dsml.PARAMETER}{key}" string="{is_text}">{value}{dsml.PARAMETER_END}\n' for key, is_text, value in pairs
    )
    return f'{dsml.INVOKE}{name}">\n{inner}{dsml.INVOKE_END}\n'


THOUGHT = "<|channel|>analysis<|message|>hm<|end|>"


def message(header: str) -> str:
    return f"<|start|>assistant{header}<|message|>"


def wrapped(*calls: str) -> str:
    return f"{deepseek.OPENING}{''.join(calls)}{deepseek.CLOSING}"


def tagged(*calls: str) -> str:
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)


GOOD: list[tuple[Family, str, str, Sequence[tuple[str, object]]]] = [
    (hermes.FAMILY, tagged(of_json(*PARIS)), "", [PARIS]),
    (hermes.FAMILY, "Let me look.\n\n" + tagged(of_json(*PARIS), of_json(*ROME)), "Let me look.", [PARIS, ROME]),
    (hermes.FAMILY, tagged(of_json(*FILE)), "", [FILE]),
    (hermes.FAMILY, '<tool_call>{"name":"now","arguments":{}}</tool_call>', "", [NOW]),
    (hermes.FAMILY, '<tool_call>{"arguments": {"city": "Paris"}, "name": "get_weather"}</tool_call>', "", [PARIS]),
    (hermes.FAMILY, f"<tool_call>[{of_json(*PARIS)}, {of_json(*NOW)}]</tool_call>", "", [PARIS, NOW]),
    (
        hermes.FAMILY,
        '<tool_call>{"name":"get_weather","arguments":"{\\"city\\":\\"Paris\\"}"}</tool_call>',
        "",
        [PARIS],
    ),
    (hermes.FAMILY, '<tool_call>{"name":"now"}</tool_call> That is all.', " That is all.", [NOW]),
    (hermes.FAMILY, f"<tool_call>{of_json('no_such', {'a': None})}</tool_call>", "", [("no_such", {"a": None})]),
    (hermes.FAMILY, '<tool_call>{"type":"function","function":{"name":"now","arguments":null}}</tool_call>', "", [NOW]),
    (qwen.FAMILY, xml("get_weather", ("city", "Paris")), "", [PARIS]),
    (
        qwen.FAMILY,
        "Sure.\n" + xml("get_weather", ("city", "Rome"), ("days", "3")) + "\n" + xml("now"),
        "Sure.",
        [ROME, NOW],
    ),
    (
        qwen.FAMILY,
        xml("write_file", ("path", "a.html"), ("text", NASTY), ("tags", '["x", "]"]'), ("force", "True")),
        "",
        [FILE],
    ),
    (
        qwen.FAMILY,
        xml("write_file", ("path", "7"), ("mode", "null"), ("line", "7"), ("text", "a\n\nb\n")),
        "",
        [("write_file", {"path": "7", "mode": None, "line": 7, "text": "a\n\nb\n"})],
    ),
    (qwen.FAMILY, "<function=now>\n</function>\n</tool_call>", "", [NOW]),
    (qwen.FAMILY, "<think>\nIt is\n" + xml("now"), "", [NOW]),
    (qwen.FAMILY, "#include <functional>", "#include <functional>", []),
    (qwen.FAMILY, "Write <function=name> there.", "Write <function=name> there.", []),
    (glm.FAMILY, glm_call("get_weather", ("city", "Paris")), "", [PARIS]),
    (glm.FAMILY, "<think>hm</think>\nSo:\n" + glm_call("get_weather", ("city", "Rome"), ("days", "3")), "So:", [ROME]),
    (glm.FAMILY, "<tool_call>now</tool_call>\n" + glm_call("get_weather", ("city", "Paris")), "", [NOW, PARIS]),
    (
        glm.FAMILY,
        glm_call("write_file", ("path", "a.html"), ("text", NASTY), ("tags", '["x", "]"]'), ("force", "true")),
        "",
        [FILE],
    ),
    (mistral.FAMILY, f"[TOOL_CALLS][{of_json(*PARIS)}]", "", [PARIS]),
    (mistral.FAMILY, f"[TOOL_CALLS] [{of_json(*FILE)}, {of_json(*ROME)}]", "", [FILE, ROME]),
    (mistral.FAMILY, '[TOOL_CALLS][{"name": "now", "arguments": {}, "id": "abcdefghi"}]', "", [NOW]),
    (mistral.FAMILY, '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', "", [PARIS]),
    (
        mistral.FAMILY,
        'I look.[TOOL_CALLS]now[CALL_ID]abcdefghi[ARGS]{}[TOOL_CALLS]get_weather{"city": "Paris"}',
        "I look.",
        [NOW, PARIS],
    ),
    (mistral.FAMILY, f"[TOOL_CALLS]write_file[ARGS]{json.dumps(FILE[1])}", "", [FILE]),
    (gemma.FAMILY, '<|tool_call>call:get_weather{city:<|"|>Paris<|"|>}<tool_call|>', "", [PARIS]),
    (
        gemma.FAMILY,
        'Yes.<|tool_call>call:now{}<tool_call|><|tool_call>call:get_weather{city:<|"|>Rome<|"|>,days:3}<tool_call|>',
        "Yes.",
        [NOW, ROME],
    ),
    (
        gemma.FAMILY,
        f'<|tool_call>call:write_file{{force:true,path:<|"|>a.html<|"|>,tags:[<|"|>x<|"|>,<|"|>]<|"|>],text:<|"|>{NASTY}<|"|>}}<tool_call|>',
        "",
        [FILE],
    ),
    (
        gemma.FAMILY,
        '<|tool_call>call:f{a:{b:[{c:null,<|"|>d<|"|>:-1.5e3}],e:{}}}<tool_call|>',
        "",
        [("f", {"a": {"b": [{"c": None, "d": -1500.0}], "e": {}}})],
    ),
    (
        gemma.FAMILY,
        "<start_function_call>call:get_weather{city:<escape>Paris<escape>}<end_function_call>",
        "",
        [PARIS],
    ),
    (
        harmony.FAMILY,
        '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Paris"}',
        "",
        [PARIS],
    ),
    (
        harmony.FAMILY,
        THOUGHT
        + message("<|channel|>commentary")
        + "Let me see.<|end|>"
        + message(" to=functions.write_file<|channel|>commentary json")
        + json.dumps(FILE[1]),
        "Let me see.",
        [FILE],
    ),
    (harmony.FAMILY, " to=functions.now<|channel|>commentary json<|message|>{}", "", [NOW]),
    (
        harmony.FAMILY,
        "<|channel|>commentary to=functions.now<|message|>{}<|end|>"
        + message("<|channel|>analysis to=functions.get_weather code")
        + '{"city":"Paris"}',
        "",
        [NOW, PARIS],
    ),
    (harmony.FAMILY, "<|channel|>final<|message|>to=functions.now is how.", "to=functions.now is how.", []),
    (deepseek.FAMILY, wrapped(seek(*PARIS)), "", [PARIS]),
    (deepseek.FAMILY, "One moment.\n" + wrapped(seek3(*ROME), "\n" + seek3(*FILE)), "One moment.", [ROME, FILE]),
    (deepseek.FAMILY, "<think>hm</think>" + wrapped(seek(*FILE), seek(*NOW)), "", [FILE, NOW]),
    (deepseek.FAMILY, f"<｜tool▁calls｜>{seek(*NOW)}", "", [NOW]),
    (
        dsml.FAMILY,
        f"Yes.\n\n{dsml.AROUND[0]}\n"
        + sml("get_weather", ("city", "true", "Rome"), ("days", "false", "3"))
        + sml("now")
        + dsml.AROUND[1],
        "Yes.",
        [ROME, NOW],
    ),
    (
        dsml.FAMILY,
        sml(
            "write_file",
            ("path", "true", "a.html"),
            ("text", "true", NASTY),
            ("tags", "false", '["x", "]"]'),
            ("force", "false", "true"),
        ),
        "",
        [FILE],
    ),
    (granite.FAMILY, f"<|tool_call|>[{of_json(*PARIS)}]", "", [PARIS]),
    (granite.FAMILY, f"<|tool_call|> [{of_json(*FILE)}, {of_json(*ROME)}]\nDone.", "\nDone.", [FILE, ROME]),
    (granite.FAMILY, f"<|tool_call|>{of_json(*NOW)}<|/tool_call|>", "", [NOW]),
    (llama.FAMILY, of_json(*PARIS, key="parameters"), "", [PARIS]),
    (llama.FAMILY, f"{of_json(*NOW, key='parameters')}; {of_json(*ROME, key='parameters')}", "", [NOW, ROME]),
    (llama.FAMILY, "<|python_tag|>" + of_json(*FILE, key="parameters"), "", [FILE]),
    (llama.FAMILY, '{"type": "function", "name": "now", "parameters": {}}', "", [NOW]),
    (llama.FAMILY, 'So.\n<function=get_weather>{"city": "Paris"}</function>', "So.", [PARIS]),
    (llama.FAMILY, '{"name": "Ada", "parameters": {}} is JSON.', '{"name": "Ada", "parameters": {}} is JSON.', []),
    (llama.FAMILY, '{"answer": {"name": "now"}}\n', '{"answer": {"name": "now"}}\n', []),
    (GENERIC, tagged(of_json(*PARIS), of_json(*FILE)), "", [PARIS, FILE]),
    (GENERIC, f"Sure:\n```json\n{of_json(*ROME)}\n```\n", "Sure:", [ROME]),
    (GENERIC, f"[{of_json(*NOW)},\n {of_json(*PARIS)}]", "", [NOW, PARIS]),
    (GENERIC, "I call it.\n" + of_json(*FILE) + "\nand wait", "I call it.\nand wait", [FILE]),
    (
        GENERIC,
        "[a link](x) and [1]\n{\n  'no': 1\n}\n```py\nf()\n```",
        "[a link](x) and [1]\n{\n  'no': 1\n}\n```py\nf()\n```",
        [],
    ),
    *(
        (family, " plain {text} [of] <words>\n ", " plain {text} [of] <words>\n ", [])
        for family in (*FAMILIES, GENERIC)
    ),
]

BROKEN: list[tuple[Family, str, str, Sequence[tuple[str, object]]]] = [
    (hermes.FAMILY, "<tool_call>none of it</tool_call>", "<tool_call>none of it", []),
    (hermes.FAMILY, '<tool_call>{"name": "get_wea', '<tool_call>{"name": "get_wea', []),
    (hermes.FAMILY, '<tool_call>{"name": "now", "arguments": {"a": [1, "b', "", [("now", '{"a": [1, "b')]),
    (hermes.FAMILY, '<tool_call>{"name": "now", "arguments": {"a": 1}\n</tool_call>ok', "ok", [("now", {"a": 1})]),
    (hermes.FAMILY, '<tool_call>{"name": "now", "arguments": {"a": 1\n</tool_call>', "", [("now", '{"a": 1\n')]),
    (hermes.FAMILY, '<tool_call>{"name": "now"}} rest', "} rest", [("now", {})]),
    (hermes.FAMILY, '<tool_call>{"name": "now", "arguments": {"a": "x\ny"}}', "", [("now", {"a": "x\ny"})]),
    (hermes.FAMILY, "<tool_call>", "<tool_call>", []),
    (hermes.FAMILY, "a <tool_", "a <tool_", []),
    (qwen.FAMILY, "<tool_call>\n<function=now>\n<parameter=a>\n1", "", [("now", '{"a": ')]),
    (qwen.FAMILY, "<tool_call>\n<function=now>\n</func", "", [NOW]),
    (qwen.FAMILY, "<tool_call>\n<function=now", "<tool_call>\n<function=now", []),
    (qwen.FAMILY, "<tool_call>\n<function=now>\n</tool_call>", "", [NOW]),
    (glm.FAMILY, "<tool_call>no name at all</tool_call>", "<tool_call>no name at all</tool_call>", []),
    (glm.FAMILY, "<tool_call>now\n<arg_key>a</arg_key>\nx", "x", [("now", '{"a": ')]),
    (mistral.FAMILY, "[TOOL_CALLS] is a mark.", "[TOOL_CALLS] is a mark.", []),
    (mistral.FAMILY, '[TOOL_CALLS]now[ARGS]{"a": "', "", [("now", '{"a": "')]),
    (gemma.FAMILY, '<|tool_call>call:now{a:<|"|>x', "", [("now", '{"a": "x')]),
    (gemma.FAMILY, "<|tool_call>of what?", "<|tool_call>of what?", []),
    (deepseek.FAMILY, wrapped(f"{deepseek.CALL}now{deepseek.SEPARATOR}nothing"), "", [("now", "nothing")]),
    (granite.FAMILY, "<|tool_call|>[1]", "<|tool_call|>[1]", []),
    (llama.FAMILY, '{"name": "now", "parameters": {"a"', "", [("now", '{"a"')]),
    (llama.FAMILY, '{"name": "no', '{"name": "no', []),
    (GENERIC, "```json\n", "```json\n", []),
    (GENERIC, '{"name": "now"', "", [NOW]),
]


TEMPLATES = [
    (harmony.FAMILY, "<|start|>assistant to=functions.{{ name }}<|channel|>commentary json<|message|>"),
    (gemma.FAMILY, "<|tool_call>call:{{ name }}{ }<tool_call|>"),
    (dsml.FAMILY, "{%- set dsml_token = '｜DSML｜' -%}<{{ dsml_token }}invoke name="),
    (deepseek.FAMILY, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ name }}<｜tool▁sep｜>"),
    (mistral.FAMILY, "[TOOL_CALLS]{{ name }}[ARGS]"),
    (glm.FAMILY, "<tool_call>{{ name }}<arg_key>{{ k }}</arg_key><arg_value>"),
    (qwen.FAMILY, "<tool_call>\n<function={{ name }}>\n<parameter={{ k }}>"),
    (granite.FAMILY, "respond only with <|tool_call|> followed by a JSON list"),
    (llama.FAMILY, 'Environment: ipython {"name": function name, "parameters": dictionary}'),
    (hermes.FAMILY, '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'),
    (GENERIC, "{% for message in messages %}{{ message.content }}{% endfor %}"),
]


def cases(table: Sequence[tuple[Family, str, str, Sequence[tuple[str, object]]]]) -> list[object]:
    return [pytest.param(*row, id=f"{row[0].name}-{number}") for number, row in enumerate(table)]


@pytest.mark.parametrize(("family", "said", "text", "calls"), cases([*GOOD, *BROKEN]))
def test_an_answer_is_read_the_same_wherever_it_is_cut(
    family: Family, said: str, text: str, calls: Sequence[tuple[str, object]]
) -> None:
    data = said.encode()
    whole = read(family, data)
    assert (whole.text, list(whole.calls)) == (text, list(calls))
    for cut in range(1, len(data)):
        assert read(family, data, [cut]) == whole, data[:cut]
    for pair in combinations(range(1, len(data)), 2) if len(data) <= _SHORT else ():
        assert read(family, data, pair) == whole, pair
    assert read(family, data, range(1, len(data))) == whole


@pytest.mark.parametrize("family", [*FAMILIES, GENERIC], ids=lambda family: family.name)
def test_behind_the_one_call_that_is_wanted_nothing_counts(family: Family) -> None:
    """A token may end a call and begin what follows it, and guesses come several tokens at a time."""
    for said in (row[1] for row in GOOD if row[0] is family and row[3]):
        data, whole = said.encode(), read(family, said.encode())
        for cut in range(len(data)):
            found = read(family, data + b"\n<more", [cut], most=1)
            assert found.calls == whole.calls[:1]
            assert whole.text.startswith(found.text)


def test_brackets_without_an_end_end_a_call_and_nothing_else() -> None:
    said = "<|tool_call>call:now{a:" + "[" * 5000
    assert read(gemma.FAMILY, said.encode()).calls[0][0] == "now"
    assert read(hermes.FAMILY, ("<tool_call>" + '{"function": ' * 5000).encode()).calls == ()


@pytest.mark.parametrize("family", [*FAMILIES, GENERIC], ids=lambda family: family.name)
def test_arguments_come_as_they_are_written(family: Family) -> None:
    """Not before half of them are there, but not only when all are."""
    said = next(row[1] for row in GOOD if row[0] is family and FILE in row[3])
    stream, parser = stream_for(family), CallParser(family, TOOLS, "id{}".format)
    pieces = [parser.read(stream.feed(said[at : at + 8].encode())).calls for at in range(0, len(said), 8)]
    assert sum(bool(piece) for piece in pieces) > len(said) / 8 / 3


def test_templates_are_told_apart() -> None:
    shown = {family.name: family_of(template).name for family, template in TEMPLATES}
    assert shown == {family.name: family.name for family, _ in TEMPLATES}
