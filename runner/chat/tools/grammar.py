"""Calls as GBNF, in the notation of a family: what an answer is held to where it must call, or has begun to. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from runner.chat.markers import ADDRESS
from runner.chat.tools.schema import Schema, kinds, parameters_of, resolved
from runner.chat.tools.syntax import Form, Syntax
from runner.types.grammar import checked
from runner.types.tools import Calling, Tool

_LINES = '"\\n"? "\\n"?'  # between the end of thinking and a call
_GEMMA = """\
gemma-value ::= gemma-string | gemma-number | "true" | "false" | "null" | gemma-list | gemma-object
gemma-number ::= "-"? [0-9]{1,16} ("." [0-9]{1,16})?
gemma-list ::= "[" (gemma-value ("," gemma-value)*)? "]"
gemma-object ::= "{" (gemma-key ":" gemma-value ("," gemma-key ":" gemma-value)*)? "}"
gemma-key ::= [A-Za-z0-9_]{1,64}
gemma-string ::= %s gemma-text
"""


class Schemas(Protocol):
    """Makes rules of JSON schemas, of one whole grammar."""

    def rule(self, schema: Schema, root: Schema, name: str) -> str:
        """A rule that admits the JSON that fits; `root` has what it refers to. UsageError where that cannot be."""

    def text(self) -> str:
        """All rules made so far."""


def demanded(tools: Sequence[Tool], calling: Calling, syntax: Syntax, schemas: Schemas) -> str:
    """The grammar of an answer that is a call, or several. UsageError where a schema makes none."""
    calls = _Calls(syntax, schemas).some(tools, calling)
    before = f"{_literal(syntax.turn)}?" if syntax.turn else _LINES
    return _grammar(f"{before} {_literal(syntax.lead + syntax.mark)} {calls}", syntax, schemas)


def begun(tools: Sequence[Tool], calling: Calling, syntax: Syntax, schemas: Schemas, opening: str) -> str | None:
    """The grammar of what stands behind the `opening` of a call; None where that is not known to be one."""
    calls = _Calls(syntax, schemas)
    if opening.startswith(ADDRESS):  # the name is in it
        tool = next((tool for tool in tools if opening[len(ADDRESS) :].startswith(f"{tool.name}<")), None)
        return _grammar(calls.arguments(tool), syntax, schemas) if tool else None
    if not opening or opening != syntax.mark:
        return None
    return _grammar(calls.some(tools, calling), syntax, schemas)


def _grammar(root: str, syntax: Syntax, schemas: Schemas) -> str:
    lines = [f"root ::= {root}", schemas.text()]
    if syntax.form is Form.GEMMA:
        quote = syntax.member[0]
        lines += [_GEMMA % _literal(quote), *_up_to("gemma-text", quote)]
    if syntax.form is Form.MEMBERS:
        lines += _up_to("member-text", syntax.member[2])
    return checked("\n".join(lines))


class _Calls:
    def __init__(self, syntax: Syntax, schemas: Schemas) -> None:
        self._syntax, self._schemas = syntax, schemas

    def some(self, tools: Sequence[Tool], calling: Calling) -> str:
        """What stands behind the mark."""
        syntax = self._syntax
        able = [tool for tool in tools if calling.function in (None, tool.name)]
        more = f"({_literal(syntax.joint)} call)*" if calling.parallel and syntax.joint is not None else ""
        calls = f"{_literal(syntax.start)} call {more} {_literal(syntax.end)}"
        return f"{calls}\ncall ::= {' | '.join(map(self._call, able))}"

    def _call(self, tool: Tool) -> str:
        syntax = self._syntax
        head, behind = _literal(f"{syntax.before}{tool.name}{syntax.between}"), _literal(syntax.behind)
        return f"{head} {self.arguments(tool)} {behind}"

    def arguments(self, tool: Tool) -> str:
        """A rule, or some, for all arguments of a tool."""
        schema = parameters_of(tool)
        if self._syntax.form is Form.JSON:
            return self._schemas.rule(_as_object(schema), schema, f"args-{tool.name}")
        required = schema.get("required", ())
        members = [(self._member(tool, key, one, schema), key in required) for key, one in _properties(schema).items()]
        if self._syntax.form is Form.MEMBERS:
            return " ".join(rule if is_required else f"({rule})?" for rule, is_required in members) or '""'
        return f'"{{" {_listed(members)} "}}"'

    def _member(self, tool: Tool, key: str, schema: Schema, root: Schema) -> str:
        """An argument with its key."""
        syntax, value = self._syntax, self._value(tool, key, schema, root)
        if syntax.form is Form.GEMMA:
            return f"{_literal(f'{key}:')} {value}"
        said = "true" if "string=" in syntax.member[1] and kinds(schema, root) == {"string"} else "false"
        attribute = f'{said}">' if "string=" in syntax.member[1] else ""
        return f"{_literal(f'{syntax.member[0]}{key}{syntax.member[1]}{attribute}')} {value}"

    def _value(self, tool: Tool, key: str, schema: Schema, root: Schema) -> str:
        syntax, kind = self._syntax, kinds(schema, root)
        is_members = syntax.form is Form.MEMBERS
        end = _literal(syntax.member[2])
        if choices := _texts(resolved(schema, root)):
            quote = "" if is_members else syntax.member[0]
            words = " | ".join(_literal(f"{quote}{one}{quote}") for one in choices)
            return f"({words}) {end}" if is_members else f"({words})"
        if kind == {"string"} or (is_members and (not kind or "string" in kind)):
            return "member-text" if is_members else "gemma-string"
        if is_members or kind <= {"integer", "number", "boolean", "null"} != frozenset():
            rule = self._schemas.rule(schema, root, f"args-{tool.name}-{key}")
            return f"{rule} {end}" if is_members else rule
        return {frozenset(("array",)): "gemma-list", frozenset(("object",)): "gemma-object"}.get(kind, "gemma-value")


def _as_object(schema: Schema) -> Schema:
    return schema if "type" in schema or "$ref" in schema else {**schema, "type": "object"}


def _properties(schema: Schema) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _texts(schema: Schema) -> list[str]:
    """The only values that there are, where these are texts."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return values if values and all(isinstance(one, str) for one in values) else []


def _listed(members: Sequence[tuple[str, bool]]) -> str:
    """Members with commas between them; one that is not required may be left out."""
    needed = [rule for rule, is_required in members if is_required]
    others = [rule for rule, is_required in members if not is_required]
    text = ' "," '.join(needed)
    if not others:
        return text or '""'
    if needed:
        return text + _optional(others)
    chains = [first + _optional(others[at + 1 :]) for at, first in enumerate(others)]
    return f"({' | '.join(chains)})?"


def _optional(rules: Sequence[str]) -> str:
    return "".join(f' ("," {rule})?' for rule in rules)


def _up_to(name: str, end: str) -> Iterator[str]:
    """Rules for any text up to `end`, which is read: one for each part of it that may just have come."""
    letters = sorted(set(end))
    for count in range(len(end)):
        own = name if count == 0 else f"{name}-{count}"
        arms = [f"[^{''.join(map(_in_class, letters))}] {name}"]
        for letter in letters:
            follows = _overlap(end[:count] + letter, end)
            rest = "" if follows == len(end) else f" {name}" if follows == 0 else f" {name}-{follows}"
            arms.append(f"{_literal(letter)}{rest}")
        yield f"{own} ::= {' | '.join(arms)}"


def _overlap(said: str, end: str) -> int:
    """How much of `end` the text so far ends with."""
    return next(size for size in range(min(len(said), len(end)), -1, -1) if said.endswith(end[:size]))


def _in_class(letter: str) -> str:
    return _ESCAPES.get(letter, f"\\{letter}" if letter in "]^-" else letter)


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "]": "\\]", "[": "\\["}


def _literal(text: str) -> str:
    """A text as GBNF; nothing for an empty one."""
    if not text:
        return ""
    return '"' + "".join(_ESCAPES[one] if one in '\\"\n\r\t' else one for one in text) + '"'
