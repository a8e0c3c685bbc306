"""The integers between two bounds as GBNF: what llama-cpp-python's converter of JSON schemas leaves out. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from models.errors import UsageError

BOUNDS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_BEFORE_TYPE = ("$ref", "oneOf", "anyOf", "const", "enum")  # the converter goes by these first
_DIGITS = 16  # at most, of an integer without a bound on that side; also the converter's


def bounded_integers(schema: Mapping[str, Any]) -> str | None:
    """GBNF of the integers that a schema bounds; None where it is for something else, or has bounds that are none.

    UsageError where there is no such integer.
    """
    bounds = {name: schema[name] for name in BOUNDS & schema.keys()}
    if schema.get("type") != "integer" or not bounds or not schema.keys().isdisjoint(_BEFORE_TYPE):
        return None
    if not all(type(bound) in (int, float) and math.isfinite(bound) for bound in bounds.values()):
        return None
    least, largest = _least(bounds), _largest(bounds)
    if least is not None and largest is not None and least > largest:
        raise UsageError(f"The JSON schema wants an integer that is at least {least} and at most {largest}.")
    return " | ".join(_between(least, largest))


def _least(bounds: Mapping[str, float]) -> int | None:
    found = [math.ceil(bounds["minimum"])] if "minimum" in bounds else []
    found += [math.floor(bounds["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in bounds else []
    return max(found, default=None)


def _largest(bounds: Mapping[str, float]) -> int | None:
    found = [math.floor(bounds["maximum"])] if "maximum" in bounds else []
    found += [math.ceil(bounds["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in bounds else []
    return min(found, default=None)


def _between(least: int | None, largest: int | None) -> Iterator[str]:
    if least is None or least < 0:
        nearest = 1 if largest is None else max(1, -largest)
        yield from (f'"-" {digits}' for digits in _magnitudes(nearest, None if least is None else -least))
    if largest is None or largest >= 0:
        yield from _magnitudes(max(0, least or 0), largest)


def _magnitudes(low: int, high: int | None) -> Iterator[str]:
    """Digits of the integers from `low` on, which is not negative."""
    if high is not None:
        yield from _spans(low, high)
        return
    length = len(str(low))
    yield from _spans(low, 10**length - 1)
    yield f"[1-9] [0-9]{{{length},{max(length, _DIGITS - 1)}}}"


def _spans(low: int, high: int) -> Iterator[str]:
    """The same, of each span whose numbers begin alike, differ in one digit, and have any behind it."""
    while low <= high:
        free = 0
        while low and low % 10 ** (free + 1) == 0 and low + 10 ** (free + 1) - 1 <= high:
            free += 1
        size = 10**free
        first = low // size % 10
        last = min(9, first + (high + 1 - low) // size - 1) if low else 0
        begin = str(low)[: len(str(low)) - free - 1]
        yield " ".join(([f'"{begin}"'] if begin else []) + [f"[{first}-{last}]", *["[0-9]"] * free])
        low += (last - first + 1) * size
