"""Arguments that stand one by one between marks become one object of JSON, piece by piece. Pure."""

from __future__ import annotations

import json

from runner.chat.tools.reader import Cut, Reader, Steps
from runner.chat.tools.told import Told

_PYTHON = {"True": "true", "False": "false", "None": "null"}


class Members:
    """The members of the arguments of the last call."""

    def __init__(self, told: Told) -> None:
        self._told, self._count = told, 0

    def key(self, name: str) -> None:
        """The next one is called so; its value follows."""
        self._told.argue(f"{', ' if self._count else '{'}{escaped(name, quoted=True)}: ")
        self._count += 1

    def value(self, json_text: str) -> None:
        """Its value, or a piece of it."""
        self._told.argue(json_text)

    def close(self) -> None:
        """There are no more of them."""
        self._told.argue("}" if self._count else "{}")
        self._told.end()


def escaped(text: str, *, quoted: bool = False) -> str:
    """Text as it stands in JSON."""
    said = json.dumps(text, ensure_ascii=False)
    return said if quoted else said[1:-1]


def until_mark(reader: Reader, members: Members, marks: tuple[str, ...], kinds: frozenset[str]) -> Steps[None]:
    """Read a value that ends at a mark. One that can only be a string is written as it comes. Raises Cut."""
    if kinds == {"string"}:
        members.value('"')
        if not (yield from reader.until(marks, lambda text: members.value(escaped(text)))):
            raise Cut
        members.value('"')
        return
    members.value(as_json((yield from reader.before(*marks)), kinds))


def as_json(said: str, kinds: frozenset[str]) -> str:
    """A value without quotes, as JSON: of the types that it may have, or as it looks."""
    text = _PYTHON.get(said.strip(), said.strip())
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return escaped(said, quoted=True)
    is_text = isinstance(found, str) or ("string" in kinds and not _fits(found, kinds))
    if is_text and kinds:  # quotes are part of a text
        return escaped(said, quoted=True)
    return text


def _fits(value: object, kinds: frozenset[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, (int, float)):
        return bool(kinds & ({"number", "integer"} if isinstance(value, int) else {"number"}))
    return ("null" if value is None else "array" if isinstance(value, list) else "object") in kinds
