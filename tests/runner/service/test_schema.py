"""Answers that have to fit a JSON schema."""

import json
from contextlib import nullcontext
from typing import Any

import pytest

from models.errors import EngineError, UsageError
from runner.service.schema import check_answer, read_schema


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("true", "must be an object"),
        ('{"type": "nothing"}', "no JSON schema: 'nothing' is not valid"),
        ('{"minimum": "x"}', "no JSON schema: 'x' is not of type 'number'"),
        ('{"properties": {"a": {"format": "tongue"}}}', "format tongue can be neither held to nor checked"),
    ],
)
def test_what_is_no_schema_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_schema(text)


@pytest.mark.parametrize(
    ("schema", "good", "bad", "sentence"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "5", "12", "12 is greater than the maximum of 9"),
        ({"uniqueItems": True}, "[1, 2]", "[1, 1]", "non-unique elements"),
        ({"multipleOf": 5}, "10", "11", "11 is not a multiple of 5"),
        ({"not": {"const": 1}}, "2", "1", "should not be valid"),
        ({"format": "email"}, '"a@b"', '"ab"', "'ab' is not a 'email'"),
        ({"properties": {"a": {"exclusiveMinimum": 0}}}, '{"a": 1}', '{"a": 0}', r"\(\$\.a\)"),
        ({"patternProperties": {"^n": {"type": "null"}}}, '{"n": null}', '{"n": 1}', "is not of type 'null'"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"maxProperties": 1}}}, "{}", '{"a": 1, "b": 2}', "too many properties"),
        ({}, "1", "no json", "cannot be held against the schema"),
    ],
)
def test_a_finished_answer_is_held_against_all_of_it(schema: Any, good: str, bad: str, sentence: str) -> None:
    text = read_schema(json.dumps(schema))
    check_answer(good, text)
    with pytest.raises(EngineError, match=sentence):
        check_answer(bad, text)


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        ("", False),
        ('{"a": 1', False),
        ("12", False),
        ('"x"', True),
        ("true", True),
        ('{"a": 1}', True),
    ],
)
def test_a_cut_answer_fits_where_no_more_could_have_come(text: str, is_whole: bool) -> None:
    with nullcontext() if is_whole else pytest.raises(EngineError, match="was cut before it was whole"):
        check_answer(text, "{}", is_cut=True)


def test_nothing_is_fetched_for_a_schema() -> None:
    with pytest.raises(EngineError, match="cannot be held against the schema"):
        check_answer("1", '{"$ref": "http://127.0.0.1:9/schema.json"}')
