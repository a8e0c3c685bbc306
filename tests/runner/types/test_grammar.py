"""What an answer may be held to while it is written."""

from typing import Any

import pytest

from models.errors import UsageError
from runner.types.grammar import LONGEST, alternatives, checked, unheld, without_tokens


@pytest.mark.parametrize(
    ("gbnf", "sentence"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        ('root ::= "a\0b"', "zero byte"),
        ("#" * (LONGEST + 1), f"has {LONGEST + 1} letters; llama.cpp can use {LONGEST}"),
    ],
)
def test_what_is_no_grammar_or_too_much_of_one_is_refused(gbnf: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        checked(gbnf)


def test_choices_are_alternatives_of_their_own_letters() -> None:
    assert alternatives(('say "no"', "a\\b", "c\nd")) == r'root ::= "say \"no\"" | "a\\b" | "c\nd"'


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
        ({"items": [{"if": {}, "then": {"contains": {}}}]}, ("contains", "if", "then")),
    ],
)
def test_what_no_grammar_holds_an_answer_to(schema: Any, left: tuple[str, ...]) -> None:
    assert unheld(schema) == left


@pytest.mark.parametrize(
    ("gbnf", "left"),
    [
        ('root ::= "a" [<] # <b>', 'root ::= "a" [<] # <b>'),
        ('root ::= "<think>"', 'root ::= "<think>"'),
        ('root ::= "\\"" <think> !<[5]>* [\\]]', 'root ::= "\\"" "<" "<"* [\\]]'),
        ("root ::= <think", "root ::= <think"),
    ],
)
def test_tokens_of_a_vocabulary_are_texts_to_whoever_has_none(gbnf: str, left: str) -> None:
    assert without_tokens(gbnf) == left
