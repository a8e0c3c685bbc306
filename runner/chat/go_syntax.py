"""Go's text/template as a tree: as much of it as Ollama's chat templates use. Pure.

https://pkg.go.dev/text/template: actions between {{ and }}, of which - trims the space beside them; pipelines of
commands; if, range and with, else and end; variables. No nested templates (define, template, block).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ACTION = re.compile(r"(\{\{-(?=\s)|\{\{)(.*?)((?<=\s)-\}\}|\}\})", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign>:=|=|\||\(|\)|,)"""
    r"""|(?P<chain>(?:\$\w*)?(?:\.\w+)+|\$\w*|\.)|(?P<word>\w+))"""
)


@dataclass(frozen=True, slots=True)
class Literal:
    """Text, a number, true, false or nil."""

    value: object


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`$x.A.B`, `.A`, `.`: a variable (none: the dot) and fields of it; `of` is what stands in parentheses before."""

    variable: str | None
    fields: tuple[str, ...]
    of: Pipeline | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, the value of each being the last argument of the next. What is declared or set takes the result."""

    commands: tuple[Term, ...]
    names: tuple[str, ...] = ()


Term = Literal | FieldPath | Call | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """What is no action."""

    text: str


@dataclass(frozen=True, slots=True)
class Show:
    """A pipeline whose value is shown unless it has a name."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Control:
    """if, with or range, and what comes instead."""

    word: str
    pipeline: Pipeline
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Jump:
    """break or continue."""

    word: str


Node = Text | Show | Control | Jump


def looks_like_go(text: str) -> bool:
    """Whether a chat template is one of Go and none of Jinja."""
    return "{%" not in text and bool(re.search(r"\{\{-?\s*(?:(?:if|range|with|end|else)\b|\.|\$|/\*)", text))


def parse(text: str) -> tuple[Node, ...]:
    """The tree of a template. ValueError."""
    items = list(_items(text))
    nodes, rest = _nodes(items, 0)
    if rest != len(items):
        raise ValueError(f"{{{{ {items[rest]} }}}} ends nothing")
    return nodes


def _items(text: str) -> Iterator[Text | str]:
    """Texts, trimmed where an action wants it, and what is in actions."""
    at, trims = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trims else before
        before = before.rstrip() if found[1] == "{{-" else before
        if before:
            yield Text(before)
        at, trims = found.end(), found[3] == "-}}"
        if not (inner := found[2].strip()).startswith("/*"):
            yield inner
    if rest := text[at:].lstrip() if trims else text[at:]:
        yield Text(rest)


def _nodes(items: list[Text | str], at: int) -> tuple[tuple[Node, ...], int]:
    """Nodes up to an else, an end or the end of all; where that is."""
    nodes: list[Node] = []
    while at < len(items):
        item = items[at]
        if isinstance(item, Text):
            nodes.append(item)
            at += 1
            continue
        word = item.split(None, 1)[0] if item else ""
        if word in ("end", "else"):
            break
        if word in ("if", "with", "range"):
            branch, at = _branch(items, at, word, item.removeprefix(word))
            nodes.append(branch)
        else:
            nodes.append(Jump(word) if word in ("break", "continue") else Show(_pipeline_of(item)))
            at += 1
    return tuple(nodes), at


def _branch(items: list[Text | str], at: int, word: str, condition: str) -> tuple[Control, int]:
    body, at = _nodes(items, at + 1)
    if at == len(items):
        raise ValueError(f"{{{{ {word} }}}} has no end")
    closing = str(items[at])
    if closing == "end":
        return Control(word, _pipeline_of(condition), body), at + 1
    _, _, chained = closing.partition(" ")
    if chained:
        inner = chained.split(None, 1)[0]
        nested, at = _branch(items, at, inner, chained.removeprefix(inner))
        return Control(word, _pipeline_of(condition), body, (nested,)), at
    otherwise, at = _nodes(items, at + 1)
    if at == len(items) or items[at] != "end":
        raise ValueError(f"{{{{ {word} }}}} has no end")
    return Control(word, _pipeline_of(condition), body, otherwise), at + 1


def _pipeline_of(text: str) -> Pipeline:
    tokens = _Tokens(text)
    pipeline = tokens.pipeline()
    if tokens.left:
        raise ValueError(f"{{{{ {text.strip()} }}}} is not understood")
    return pipeline


class _Tokens:
    def __init__(self, text: str) -> None:
        self.left: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise ValueError(f"{{{{ {text.strip()} }}}} is not understood")
            self.left.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()

    def pipeline(self) -> Pipeline:
        names = self._names()
        commands = [self._command()]
        while self._takes("|"):
            commands.append(self._command())
        return Pipeline(tuple(commands), names)

    def _names(self) -> tuple[str, ...]:
        """`$a :=`, `$a, $b :=` or `$a =` in front of a pipeline."""
        for count, signs in ((1, (":=", "=")), (3, (":=",))):
            if len(self.left) > count and self.left[count][1] in signs and self.left[0][1].startswith("$"):
                names = tuple(token for _, token in self.left[:count:2])
                del self.left[: count + 1]
                return names
        return ()

    def _command(self) -> Term:
        first = self._term()
        arguments: list[Term] = []
        while self.left and self.left[0][1] not in ("|", ")", ","):
            arguments.append(self._term())
        if isinstance(first, Call):
            return Call(first.name, tuple(arguments))
        if arguments:
            raise ValueError("only functions take arguments")
        return first

    def _term(self) -> Term:
        if not self.left:
            raise ValueError("an action is empty")
        kind, token = self.left.pop(0)
        match kind:
            case "text":
                return Literal(token[1:-1] if token[0] == "`" else _unquoted(token[1:-1]))
            case "number":
                return Literal(float(token) if "." in token else int(token))
            case "chain":
                variable, *fields = token.split(".")
                return FieldPath(variable or None, tuple(filter(None, fields)))
            case "word":
                constants = {"true": True, "false": False, "nil": None}
                return Literal(constants[token]) if token in constants else Call(token, ())
        if token != "(":
            raise ValueError(f"{token} is in no place for it")
        inner = self.pipeline()
        if not self._takes(")"):
            raise ValueError("a parenthesis is not closed")
        if self.left and self.left[0][0] == "chain" and self.left[0][1].startswith(".") and self.left[0][1] != ".":
            return FieldPath(None, tuple(self.left.pop(0)[1].split(".")[1:]), inner)
        return inner

    def _takes(self, sign: str) -> bool:
        if self.left and self.left[0][1] == sign:
            self.left.pop(0)
            return True
        return False


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)
