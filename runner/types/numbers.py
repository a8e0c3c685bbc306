"""Numbers as people type them, within bounds. Pure."""

from __future__ import annotations

import math

from models.errors import UsageError

MOST_TOKENS = 2**31 - 1  # llama.cpp counts positions in 32 bits with a sign


def parse_number(text: str, kind: type[int] | type[float], low: float, high: float = math.inf) -> float:
    """An int or a finite float from `low` to `high`, both included. Raises UsageError."""
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a {'whole ' if kind is int else ''}number.") from None
    if not low <= value <= high or value == math.inf:
        bounds = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:.10g}"
        raise UsageError(f"{text} is out of range: {bounds}.")
    return value


def parse_tokens(text: str) -> float:
    """How many tokens: one at least, and no more than llama.cpp can count. Raises UsageError."""
    return parse_number(str(parse_number(text, int, 1)), int, 1, MOST_TOKENS)
