"""What an answer may be held to while it is written."""

import pytest

from models.errors import UsageError
from runner.types.grammar import LONGEST, alternatives, checked, without_tokens


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
