"""What an answer can be held to while it is written: GBNF within bounds. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from models.errors import UsageError

# Letters. 400,000 of alternatives took two minutes a token, and repetitions written out to megabytes llama.cpp's stack.
LONGEST = 1 << 17

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
