"""How a model is told of tools, calls and results: by its template, or in words where that knows none. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.chat.renderer import Renderer, said
from runner.chat.shield import Shield
from runner.chat.tools.families import GENERIC, family_of
from runner.chat.tools.family import Family
from runner.chat.tools.syntax import Form, Syntax, is_object
from runner.types.generation import Message
from runner.types.tools import Calling, Tool, ToolCall, ToolChoice
from runner.types.tools_json import tool_json

IN_WORDS = "The model's chat template knows no tools; they were described to the model in words."
UNKNOWN = "How this model writes its calls is not known; some may come as text."
_NAMES = ("tools", "xml_tools")  # the second: SmolLM3
_PROBE = "kwzx_tool_qvjy"
_TOLD = """\
You may call functions. They are, with their parameters as JSON schemas:
<tools>
{tools}
</tools>
To call one, answer with its name and its arguments as JSON between these marks, and wait for the result:
{call}"""


@dataclass(frozen=True, slots=True)
class Telling:
    """`variables` for the template; `words` for the system prompt; `family`: how the model will write its calls.

    Without a family there are no tools.
    """

    family: Family | None = None
    syntax: Syntax = GENERIC.syntax_in("")  # noqa: RUF009
    variables: Mapping[str, object] = field(default_factory=dict)
    words: str = ""
    notes: tuple[str, ...] = ()


def telling_for(tools: Sequence[Tool], calling: Calling, renderer: Renderer, shield: Shield) -> Telling:
    """How to tell a model with this template of the tools."""
    family = family_of(renderer.text)
    syntax = family.syntax_in(renderer.text)
    if not tools or calling.choice is ToolChoice.NONE:
        return Telling(None, syntax)
    as_json = [shield.cut_all(tool_json(tool)) for tool in tools]
    name = _name_in(renderer)
    if name is None:
        if syntax.form is not Form.JSON:
            family, syntax = GENERIC, GENERIC.syntax_in("")
        return Telling(family, syntax, words=_in_words(as_json, syntax), notes=(IN_WORDS,))
    notes = (UNKNOWN,) if family is GENERIC and not _speaks_json(renderer.text) else ()
    return Telling(family, syntax, {name: as_json}, notes=notes)


def _speaks_json(template: str) -> bool:
    return '"name"' in template and ('"arguments"' in template or '"parameters"' in template)


def _name_in(renderer: Renderer) -> str | None:
    """The variable that a template reads tools from: found by a tool that is seen in what it renders."""
    probe = [tool_json(Tool(_PROBE, _PROBE))]
    for name in _NAMES:
        for in_parts in (False, True):
            messages = said([Message("user", "?")], renderer.text, in_parts=in_parts)
            try:
                if name in renderer.text.lower() and _PROBE in renderer.render(messages, {name: probe}):
                    return name
            except ValueError:
                continue
    return None


def _in_words(tools: Sequence[object], syntax: Syntax) -> str:
    described = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return _TOLD.format(tools=described, call=syntax.written([ToolCall("", "NAME", '{"KEY": VALUE}')]))


def with_words(messages: Sequence[Message], words: str) -> list[Message]:
    """The conversation with these at the end of its system prompt."""
    if not words:
        return list(messages)
    if messages and messages[0].role == "system":
        first = messages[0]
        return [replace(first, content=f"{first.content}\n\n{words}"), *messages[1:]]
    return [Message("system", words), *messages]


def in_words(messages: Sequence[Message], syntax: Syntax) -> list[Message]:
    """Calls and results as plain messages, the calls as the model writes them."""
    return [_in_words_of(message, syntax) for message in messages]


def _in_words_of(message: Message, syntax: Syntax) -> Message:
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.content}\n</tool_response>")
    if not message.calls:
        return message
    written = syntax.written(message.calls)
    return replace(message, content=f"{message.content}\n{written}" if message.content else written, calls=())


def one_call_each(messages: Sequence[Message]) -> list[Message]:
    """Each call in a message of its own, followed by its result."""
    found: list[Message] = []
    calls: list[Message] = []
    results: list[Message] = []
    for message in messages:
        if message.role == "tool" and calls:
            results.append(message)
            continue
        found += _paired(calls, results)
        calls, results = _apart(message), []
        found += [] if calls else [message]
    return [*found, *_paired(calls, results)]


def _apart(message: Message) -> list[Message]:
    """A message for each call; the words stay with the first."""
    if not message.calls:
        return []
    first, *others = message.calls
    return [replace(message, calls=(first,)), *(Message(message.role, "", calls=(call,)) for call in others)]


def _paired(calls: Sequence[Message], results: Sequence[Message]) -> Iterator[Message]:
    left = list(results)
    for call in calls:
        yield call
        result = next((one for one in left if one.answers in (None, call.calls[0].id)), None)
        if result is not None:
            left.remove(result)
            yield result
    yield from left


def shielded_call(call: ToolCall, shield: Shield) -> ToolCall:
    """A call that may go through a template."""
    arguments = call.arguments
    if is_object(arguments):
        text = json.dumps(shield.cut_all(json.loads(arguments)), ensure_ascii=False)
    else:
        text = shield.cut(arguments)
    return replace(call, name=shield.cut(call.name), arguments=text)
