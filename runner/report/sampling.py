"""The sampling that is in force, and whence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from models.headers.recommended import MODELFILE, OWN
from runner.report.words import one_line
from runner.types.sampling import ASKED, DEFAULT, InForce

_SOURCES = {ASKED: "asked for", OWN: "the model's own", MODELFILE: "its Modelfile's", DEFAULT: "llama.cpp's default"}


def sampling_json(found: Iterable[InForce]) -> dict[str, tuple[float | str, str]]:
    """Value and source of every setting that has a value."""
    return {one.setting.key: (one.value, one.source) for one in found if one.value is not None}


def asked_line(found: Iterable[InForce]) -> str:
    """What was asked for: `temp 0.2, seed 1 (asked for)`."""
    asked = [one for one in found if one.source == ASKED]
    return " ".join(sampling_lines(asked)) or "Nothing is asked for: all sampling is automatic."


def sampling_lines(found: Iterable[InForce]) -> Iterator[str]:
    """A line for each source, with its page."""
    for group in _by_source(one for one in found if one.value is not None):
        page = f", {group[0].page}" if group[0].page else ""
        yield f"{_settings(group)} ({_source(group[0])}{page})"


def _by_source(found: Iterable[InForce]) -> Iterator[Sequence[InForce]]:
    """Settings that stand beside each other and come from the same place."""
    for _, group in groupby(found, key=lambda one: one.source):
        yield tuple(group)


def _settings(group: Iterable[InForce]) -> str:
    values = ((one.setting.name, one.value) for one in group)
    return ", ".join(f"{name} {_value(value)}" for name, value in values)


def _value(value: float | str | None) -> str:
    if value is None:
        return "off"
    return value if isinstance(value, str) else f"{value:.10g}"


def _source(one: InForce) -> str:
    return _SOURCES.get(one.source) or f"recommended for {one_line(one.source)}"
