"""Ollama's chat templates: Go's text/template, with the values and rules of Ollama (its template/template.go). Pure.

A template that goes over .Messages is run once. One of the older kind, with .System, .Prompt and .Response, is run for
each question with its answer, and for the last question up to the place of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner.chat.go_syntax import Call, Control, FieldPath, Jump, Literal, Node, Pipeline, Show, Term, Text, parse
from runner.chat.renderer import Said

_ANSWER = Show(Pipeline((FieldPath(None, ("Response",)),)))
_LONGEST = 1 << 24  # letters
_NAMES = {"enable_thinking": "Think", "reasoning_effort": "ThinkLevel"}  # what transformers' templates call it -> here


class _Left(Exception):  # noqa: N818
    """break or continue."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class GoTemplate:
    """`text` parsed; ValueError where it is none. Ollama puts no begin token into it: llama.cpp does."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._nodes = parse(text)
        self._is_whole = ".Messages" in text
        if not self._is_whole and ".Response" not in text:
            self._nodes = (*self._nodes, _ANSWER)
        self.reads = frozenset(name for name, own in _NAMES.items() if f".{own}" in text)

    def render(self, messages: Sequence[Said], variables: Mapping[str, object]) -> str:
        """The prompt. ValueError where the template fails."""
        told = {own: variables[name] for name, own in _NAMES.items() if name in variables}
        told |= {"IsThinkSet": "Think" in told, "Tools": variables.get("tools")}
        try:
            runs = [self._all(messages)] if self._is_whole else _exchanges(messages)
            return "".join(self._run({**told, **values}) for values in runs)
        except (_Left, TypeError, IndexError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"it fails ({error})") from error

    def _all(self, messages: Sequence[Said]) -> dict[str, Any]:
        system = "\n\n".join(_words(one) for one in messages if one["role"] == "system")
        last = next((_words(one) for one in reversed(messages) if one["role"] == "user"), "")
        return {"System": system, "Prompt": last, "Response": "", "Messages": [_message(one) for one in messages]}

    def _run(self, values: dict[str, Any]) -> str:
        nodes = self._nodes if values.get("Response") or self._is_whole else tuple(_until_answer(self._nodes))
        scope = _Scope(values, {"$": values})
        scope.run(nodes)
        return "".join(scope.made)


def _words(message: Said) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _message(message: Said) -> dict[str, Any]:
    thinking = next((message[key] for key in ("reasoning_content", "reasoning", "thinking") if key in message), "")
    return {"Role": message["role"], "Content": _words(message), "Thinking": thinking}


def _exchanges(messages: Sequence[Said]) -> Iterator[dict[str, Any]]:
    """Each question with its answer, and the system's words before it; the last one without an answer."""
    empty = {"System": "", "Prompt": "", "Response": ""}
    names = {"system": "System", "user": "Prompt", "assistant": "Response"}
    order = list(names.values())
    values = dict(empty)
    for message in messages:
        name = names.get(message["role"], "Prompt")
        if any(values[later] for later in order[order.index(name) :]):
            yield values
            values = dict(empty)
        values[name] = _words(message)
    yield values
    if values["Response"]:
        yield empty


def _until_answer(nodes: Sequence[Node]) -> Iterator[Node]:
    """The nodes before the place of the answer; a branch that has the place ends all."""
    for node in nodes:
        if node == _ANSWER:
            return
        if isinstance(node, Control):
            body = tuple(_until_answer(node.body))
            otherwise = tuple(_until_answer(node.otherwise))
            yield replace(node, body=body, otherwise=otherwise)
            if (body, otherwise) != (node.body, node.otherwise):
                return
        else:
            yield node


@dataclass(slots=True)
class _Scope:
    dot: Any
    variables: dict[str, Any]
    made: list[str] = field(default_factory=list)
    size: int = 0

    def run(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            match node:
                case Text(text):
                    self._show(text)
                case Show(pipeline):
                    value = self._value(pipeline)
                    if not pipeline.names:
                        self._show(_shown(value))
                case Jump(word):
                    raise _Left(word)
                case Control("range"):
                    self._range(node)
                case Control():
                    self._choose(node)

    def _show(self, text: str) -> None:
        self.size += len(text)
        if self.size > _LONGEST:
            raise ValueError("it does not end")
        self.made.append(text)

    def _choose(self, node: Control) -> None:
        before, outer = dict(self.variables), self.dot
        value = self._value(node.pipeline)
        if value and node.word == "with":
            self.dot = value
        self.run(node.body if value else node.otherwise)
        self.dot = outer
        self.variables = {name: self.variables[name] for name in before}  # what was declared inside ends here

    def _range(self, node: Control) -> None:
        outer, names = self.dot, node.pipeline.names
        items = self._value(replace(node.pipeline, names=()))
        pairs = list(items.items() if isinstance(items, Mapping) else enumerate(items or ()))
        before = dict(self.variables)
        for key, item in pairs:
            self.dot = item
            self.variables |= dict(zip(names, (key, item)[-len(names) :] if names else (), strict=True))
            try:
                self.run(node.body)
            except _Left as left:
                if left.word == "break":
                    break
        self.dot = outer
        self.variables = {name: self.variables[name] for name in before}
        if not pairs:
            self.run(node.otherwise)

    def _value(self, term: Term, *more: Any) -> Any:
        match term:
            case Literal(value):
                return value
            case FieldPath(variable, fields, of):
                return self._chain(variable, fields, of)
            case Call(name, arguments):
                return self._call(name, arguments, more)
        value, has_value = None, False
        for command in term.commands:
            value = self._value(command, *((value,) if has_value else ()))
            has_value = True
        for name in term.names[-1:]:
            self.variables[name] = value
        return value

    def _chain(self, variable: str | None, fields: tuple[str, ...], of: Pipeline | None) -> Any:
        found = self._value(of) if of else self.variables[variable] if variable else self.dot
        for name in fields:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    def _call(self, name: str, arguments: Sequence[Term], more: Sequence[Any]) -> Any:
        if name in ("and", "or"):  # they stop where the answer is known
            value = None
            for argument in arguments:
                value = self._value(argument)
                if bool(value) is (name == "or"):
                    return value
            return more[0] if more else value
        if name not in _FUNCTIONS:
            raise ValueError(f"it calls {name}, which Ollama's templates do not have")
        return _FUNCTIONS[name](*(self._value(argument) for argument in arguments), *more)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _eq(first: Any, *others: Any) -> bool:
    return any((first or "") == (other or "") if isinstance(other, str) else first == other for other in others)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key] if isinstance(value, Sequence) else value.get(key)
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _printf(form: str, *values: Any) -> str:
    return form.replace("%v", "%s").replace("%q", '"%s"') % values


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "not": lambda value: not value,
    "eq": _eq,
    "ne": lambda first, other: not _eq(first, other),
    "lt": lambda first, other: first < other,
    "le": lambda first, other: first <= other,
    "gt": lambda first, other: first > other,
    "ge": lambda first, other: first >= other,
    "len": lambda value: len(value or ()),
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "print": lambda *values: "".join(map(_shown, values)),
    "println": lambda *values: " ".join(map(_shown, values)) + "\n",
    "printf": _printf,
    "json": _json,
}
