"""What of a JSON schema its grammar holds an answer to."""

from typing import Any

import pytest

from runner.types.schema_keywords import names_kind, unheld


@pytest.mark.parametrize(
    ("schema", "left"),
    [
        ({"type": "object", "properties": {"minimum": {"type": "integer"}}, "required": ["minimum"]}, ()),
        ({"type": "integer", "minimum": 1, "maximum": 9}, ()),
        ({"minimum": 1, "maximum": 9}, ("maximum", "minimum")),
        ({"type": ["integer", "null"], "exclusiveMaximum": 9}, ("exclusiveMaximum",)),
        ({"type": "integer", "enum": [1, 2], "minimum": 2}, ("minimum",)),
        ({"properties": {"a": {"items": {"multipleOf": 2}}}}, ("multipleOf",)),
        ({"$defs": {"x": {"not": {"const": 1}}}, "anyOf": [{"uniqueItems": True}]}, ("not", "uniqueItems")),
        ({"type": "string", "format": "email"}, ("format email",)),
        ({"type": "string", "format": "uuid"}, ()),
        (
            {"items": [{"if": {"minItems": 1}, "then": {"contains": {}}}]},
            ("contains", "if", "minItems", "then"),
        ),
        ({"type": "array", "minItems": 1}, ("minItems",)),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1}, ()),
        ({"type": "object", "required": ["a"], "additionalProperties": True}, ("required",)),
        ({"properties": {"a": {"type": "null"}}, "required": ["a", "b"]}, ("required",)),
        ({"type": "string", "minLength": 3}, ()),
        ({"minLength": 3}, ("minLength",)),
        ({"type": "string", "pattern": "^a*$", "minLength": 3}, ("minLength",)),
        ({"type": ["string", "null"], "enum": ["a", None]}, ("enum",)),
        ({"$ref": "#/$defs/x", "type": "object", "$defs": {"x": {}}}, ("type",)),
        ({"title": "Anything"}, ()),
    ],
)
def test_what_no_grammar_holds_an_answer_to(schema: Any, left: tuple[str, ...]) -> None:
    assert unheld(schema) == left


@pytest.mark.parametrize(
    ("schema", "is_named"),
    [
        ({}, True),  # the converter reads it as an object
        ({"type": "null"}, True),
        ({"pattern": "^a*$"}, True),
        ({"format": "date"}, True),
        ({"format": "email"}, False),
        ({"title": "Anything"}, False),
        ({"minimum": 1, "maximum": 9}, False),
        ({"additionalProperties": True}, False),
        ({"additionalProperties": False}, True),
    ],
)
def test_whether_a_schema_says_of_a_kind_of_value(schema: dict[str, Any], is_named: bool) -> None:
    assert names_kind(schema) == is_named
