"""Numbers as people type them, within bounds. Pure."""

from __future__ import annotations

import math

from models.errors import UsageError


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
