"""What a JSON schema says, and what of it a grammar holds an answer to while it is written. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runner.types.integer_grammar import BOUNDS, bounded_integers

_BY_NAME = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
_WITHIN = {
    *("additionalProperties", "allOf", "anyOf", "contains", "else", "if", "items", "not", "oneOf", "prefixItems"),
    *("propertyNames", "then"),
}
# Keywords that an answer can break, but for `format`, whose value decides.
_BREAKABLE = (
    _WITHIN
    | BOUNDS
    | {
        *("$ref", "const", "dependencies", "dependentRequired", "dependentSchemas", "enum", "maxContains", "maxItems"),
        *(
            "maxLength",
            "maxProperties",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
            "multipleOf",
            "pattern",
        ),
        *(
            "patternProperties",
            "properties",
            "required",
            "type",
            "unevaluatedItems",
            "unevaluatedProperties",
            "uniqueItems",
        ),
    }
)
_FORMATS = ("date", "date-time", "time", "uuid")
_OBJECT, _ARRAY, _TEXT = ({None, kind} for kind in ("object", "array", "string"))


def unheld(schema: Any) -> tuple[str, ...]:
    """What a schema says that its grammar does not hold an answer to, sorted: keywords, formats by their name."""
    return tuple(sorted(set(_unheld(schema))))


def names_kind(schema: Mapping[str, Any]) -> bool:
    """Whether a schema says of a kind of value; if not, its grammar is that of any value."""
    return not schema or bool(_held(schema))


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
    held = _held(schema)
    is_open = {key for key in ("additionalProperties", "items") if schema.get(key) in (True, {})}
    yield from (_BREAKABLE & schema.keys()) - held - is_open
    if "format" in schema and "format" not in held:
        yield f"format {schema['format']}"
    for key, value in schema.items():
        if key in _BY_NAME and isinstance(value, dict):
            yield from _unheld(list(value.values()))
        elif key in _WITHIN:
            yield from _unheld(value)


def _held(schema: Mapping[str, Any]) -> set[str]:
    """Keywords that a grammar of ours takes from a schema.

    Source: SchemaConverter.visit of llama-cpp-python's llama_grammar, which goes by the first that it finds in this
    order, and reads over all others; integers get their bounds from us.
    """
    kind = schema.get("type")
    for alone in ("$ref", "oneOf", "anyOf"):
        if alone in schema:
            return {alone}
    if isinstance(kind, list):
        return {"type"}
    for exact in ("const", "enum"):
        if exact in schema:
            return {exact, "type"}
    return _held_by(kind, schema) or ({"type"} if kind is not None else set())


def _held_by(kind: str | None, schema: Mapping[str, Any]) -> set[str]:
    """The same, of a schema with one `type` or none, where that is not all."""
    held: set[str] = set()
    if kind in _OBJECT and ("properties" in schema or schema.get("additionalProperties", True) is not True):
        known = set(schema.get("properties", ())).issuperset(schema.get("required", ()))
        held = {"type", "properties", "additionalProperties", *(["required"] if known else [])}
    elif kind in _OBJECT and "allOf" in schema:
        held = {"type", "allOf"}
    elif kind in _ARRAY and not {"items", "prefixItems"}.isdisjoint(schema):
        counts = ["minItems", "maxItems"] if isinstance(schema.get("items"), dict) else []
        held = {"type", "items", "prefixItems", *counts}
    elif kind in _TEXT and "pattern" in schema:
        held = {"type", "pattern"}
    elif kind in _TEXT and schema.get("format") in _FORMATS:
        held = {"type", "format"}
    elif kind == "string":
        held = {"type", "minLength", "maxLength"}
    elif kind == "integer" and bounded_integers(schema) is not None:
        held = {"type", *BOUNDS}
    return held
