"""A chat template in Jinja, compiled once. Edge: the only module that imports jinja2.

It is a program of somebody else's: it runs in jinja2's sandbox, which lets it reach nothing but what it is given, and
ends when it has said far more than was put in.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.errors import BadFile
from runner.engine.bounds import bounded

_LONGEST, _TIMES_AS_LONG = 1 << 20, 8  # letters, per letter of the conversation
_DATES = {"date_string": "%d %b %Y", "datetime": "%b %d %Y"}  # as llama.cpp gives them: Llama 3.1, Firefunction
_LISTS = ("tools", "documents", "functions")


class BrokenTemplate(ValueError):  # noqa: N818
    """A chat template that fails by itself, whatever it is asked to render."""


class _Generation(Extension):
    """`{% generation %}`, by which transformers finds the assistant's words in training: its body as it is."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class JinjaTemplate:
    """`text` compiled as transformers does it; `given`: bos_token and its like.

    BrokenTemplate where it is no Jinja or fails by itself, BadFile where it exceeds its bounds.
    """

    def __init__(self, text: str, given: Mapping[str, object]) -> None:
        self.text = text
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        own = {"raise_exception": _refuse, "strftime_now": _strftime_now, "tools": None, "documents": None}
        self._given: dict[str, object] = {**own, **given}
        with _telling(len(text)):  # what is constant is worked out by now
            self._template = environment.from_string(text)
            self.reads = frozenset(meta.find_undeclared_variables(environment.parse(text)))

    def render(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, object]) -> str:
        """The prompt. ValueError where the template refuses the conversation; else as the constructor.

        A template made for tools alone may walk over them without a look whether there are any: it gets empty lists.
        """
        dates = {name: _strftime_now(form) for name, form in _DATES.items()}
        asked = {**self._given, **dates, "add_generation_prompt": True, **variables, "messages": messages}
        try:
            return self._bounded(asked, len(repr(messages)))
        except BrokenTemplate:
            with suppress(BrokenTemplate):
                lists = {name: asked.get(name) or [] for name in _LISTS}
                return self._bounded({**asked, **lists}, len(repr(messages)))
            raise

    def _bounded(self, asked: Mapping[str, object], letters: int) -> str:
        with _telling(letters):
            return self._generated(asked, _LONGEST + _TIMES_AS_LONG * letters)

    def _generated(self, asked: Mapping[str, object], most: int) -> str:
        made: list[str] = []
        for piece in self._template.generate(asked):
            made.append(piece)
            most -= len(piece)
            if most < 0:
                raise BadFile("The model's chat template makes far more of a conversation than was said in it.")
        return "".join(made)


@contextmanager
def _telling(letters: int) -> Iterator[None]:
    """Bounds, and what becomes of the errors of a program that is somebody else's."""
    try:
        with bounded(letters):
            yield
    except MemoryError:
        raise BadFile("The model's chat template takes too much memory.") from None
    except (ValueError, BadFile):  # raise_exception is one
        raise
    except jinja2.TemplateSyntaxError as error:
        raise BrokenTemplate(f"it is no Jinja ({_reason(error)})") from error
    except Exception as error:
        raise BrokenTemplate(_reason(error)) from error


def _reason(error: BaseException) -> str:
    where = f"line {error.lineno}: " if isinstance(error, jinja2.TemplateSyntaxError) else ""
    return f"{where}{error}".rstrip(".")


def _refuse(message: object) -> None:
    raise ValueError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers renders JSON for templates: nothing is escaped for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: object) -> list[object]:
    """What a filter like `map` has made, as llama.cpp shows it. TypeError for all else."""
    if not isinstance(value, Iterator):
        raise TypeError(f"{type(value).__name__} is no JSON")
    return list(value)
