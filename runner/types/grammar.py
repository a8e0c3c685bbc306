"""What an answer can be held to while it is written: GBNF within bounds, and what of a JSON schema is none. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from models.errors import UsageError
from runner.types.integer_grammar import BOUNDS, bounded_integers

# Letters. 400,000 of alternatives took two minutes a token, and repetitions written out to megabytes llama.cpp's stack.
LONGEST = 1 << 17

# What llama-cpp-python's converter (llama_grammar.SchemaConverter.visit) reads over; integers get their bounds from us.
_READ_OVER = {
    *("contains", "dependentRequired", "dependentSchemas", "dependencies", "else", "exclusiveMaximum"),
    *("exclusiveMinimum", "if", "maxContains", "maxProperties", "maximum", "minContains", "minProperties", "minimum"),
    *("multipleOf", "not", "patternProperties", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
    "uniqueItems",
}
_FORMATS = ("date", "date-time", "time", "uuid")  # those that it knows
_BY_NAME = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_SCHEMAS = {
    *("additionalProperties", "allOf", "anyOf", "contains", "else", "if", "items", "not", "oneOf", "prefixItems"),
    *("propertyNames", "then"),
}


# Where < is a letter like others: texts in quotes, sets of letters, comments.
_NO_TOKEN = r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*'
_TOKEN = r"!?<[^>]*>"


class Grammars(Protocol):
    """Who knows of grammars before a model is loaded."""

    def grammar_of_schema(self, schema: str) -> str:
        """GBNF of a JSON schema (JSON text). UsageError."""

    def understood(self, gbnf: str) -> str:
        """The same GBNF. UsageError where llama.cpp does not understand it."""


def without_tokens(gbnf: str) -> str:
    """The same grammar with a text in the place of each token of a vocabulary (`<think>`, `<[5]>`).

    It is understood without a vocabulary, where the grammar is one at all.
    """
    return re.sub(f"{_NO_TOKEN}|{_TOKEN}", lambda found: '"<"' if found[0][0] in "!<" else found[0], gbnf)


def checked(gbnf: str) -> str:
    """The grammar; UsageError where it is none, or so large that llama.cpp would crash or crawl."""
    if not gbnf.strip():
        raise UsageError("The grammar is empty.")
    if "\0" in gbnf:
        raise UsageError("The grammar has a zero byte in it.")
    if len(gbnf) > LONGEST:
        raise UsageError(f"The grammar has {len(gbnf)} letters; llama.cpp can use {LONGEST}.")
    return gbnf


def alternatives(choices: Sequence[str]) -> str:
    """GBNF of one of these texts."""
    quoted = (choice.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for choice in choices)
    return checked("root ::= " + " | ".join(f'"{choice}"' for choice in quoted))


def unheld(schema: Any) -> tuple[str, ...]:
    """What a schema says that its grammar does not hold an answer to, sorted: keywords, formats by their name."""
    return tuple(sorted(set(_unheld(schema))))


def has_patterns(schema: Any) -> bool:
    """Whether regular expressions may stand in it: to run somebody else's can take for ever."""
    if isinstance(schema, dict):
        return not {"pattern", "patternProperties"}.isdisjoint(schema) or any(map(has_patterns, schema.values()))
    return isinstance(schema, list) and any(map(has_patterns, schema))


def _unheld(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _unheld(one)
    if not isinstance(schema, dict):
        return
    yield from (_READ_OVER & schema.keys()) - (BOUNDS if bounded_integers(schema) is not None else set())
    if (form := schema.get("format")) is not None and form not in _FORMATS:
        yield f"format {form}"
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, dict):
            yield from _unheld(list(value.values()))
        elif key in _SCHEMAS:
            yield from _unheld(value)
