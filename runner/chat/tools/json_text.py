"""JSON as models write it, read while it comes: values as they are, calls as objects. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable

from runner.chat.tools.reader import Broken, Cut, Reader, Steps, Write
from runner.chat.tools.told import Told

NAMES = ("name", "function", "tool_name", "function_name")
ARGUMENTS = ("arguments", "parameters", "args", "params", "input")
_AROUND = ("type", "id", "call_id", "index", "tool_call_id")
_NESTED = ("function", "tool_call")
_ENDS_SCALAR = ",}] \t\r\n<;`"
IsKnown = Callable[[str], bool]


class _Value:
    """Follows one JSON value, letter by letter, and says when it is over."""

    def __init__(self) -> None:
        self._depth, self._kind = 0, ""  # the kind is that of what is going on: "", string, escape, scalar
        self._is_closed = False
        self.is_over = self.is_broken = False

    def take(self, text: str) -> tuple[int, str]:
        """How many letters of `text` are its own, and these; line ends in strings are escaped as JSON wants it."""
        made: list[str] = []
        for at, letter in enumerate(text):
            if self._kind == "scalar" and letter in _ENDS_SCALAR:
                self._kind = ""
                if self._depth == 0:
                    self.is_over = True
                    return at, "".join(made)
            if self._is_foreign(letter):
                self.is_broken = True
                return at, "".join(made)
            made.append(self._step(letter))
            if self._is_closed:
                self.is_over = True
                return at + 1, "".join(made)
        return len(text), "".join(made)

    def _is_foreign(self, letter: str) -> bool:
        """Whether it can stand in no JSON; a mark begins with such a letter."""
        is_inside = self._kind in ("string", "escape")
        return not is_inside and (letter == "<" or (self._depth == 0 and letter.isspace()))

    def _step(self, letter: str) -> str:
        if self._kind == "escape":
            self._kind = "string"
        elif self._kind == "string":
            return self._in_string(letter)
        elif letter == '"':
            self._kind = "string"
        elif letter in "{[":
            self._depth += 1
        elif letter in "}]":
            self._depth -= 1
            self._is_closed = self._depth <= 0
        elif letter not in ",: \t\r\n":
            self._kind = "scalar"
        return letter

    def _in_string(self, letter: str) -> str:
        if letter == "\\":
            self._kind = "escape"
        elif letter == '"':
            self._kind, self._is_closed = "", self._depth == 0
        elif letter < " ":
            return json.dumps(letter)[1:-1]
        return letter


def value(reader: Reader, write: Write) -> Steps[None]:
    """Read one value, and write it as it comes. Broken where it ends before it is whole, Cut where the text does."""
    yield from _rest(reader, write, _Value())


def rest_of_object(reader: Reader, write: Write) -> Steps[None]:
    """The same of an object whose brace was read."""
    follower = _Value()
    follower.take("{")
    write("{")
    yield from _rest(reader, write, follower)


def _rest(reader: Reader, write: Write, follower: _Value) -> Steps[None]:
    while not follower.is_over:
        if not (some := (yield from reader.some())):
            raise Cut
        count, text = follower.take(some)
        reader.take(count)
        write(text)
        if follower.is_broken:
            raise Broken


def whole(reader: Reader) -> Steps[str]:
    """One value, once it is there."""
    found: list[str] = []
    yield from value(reader, found.append)
    return "".join(found)


def text(reader: Reader) -> Steps[str]:
    """A string, decoded."""
    if (yield from reader.first()) != '"':
        raise Broken
    return _decoded((yield from whole(reader)))


def _decoded(said: str) -> str:
    try:
        return str(json.loads(said))
    except (ValueError, RecursionError):
        raise Broken from None


def arguments(reader: Reader, write: Write) -> Steps[None]:
    """The arguments of a call: an object, or such a one in a string; null is none."""
    first = yield from reader.first()
    if first == '"':
        write(_decoded((yield from whole(reader))) or "{}")
    elif first == "{":
        yield from value(reader, write)
    else:
        said = yield from whole(reader)
        write("{}" if said == "null" else said)


def call(reader: Reader, told: Told, is_known: IsKnown) -> Steps[None]:
    """An object with a name and arguments, in either order, is a call, if `is_known` says so of its name.

    Broken where it is something else; then no call was begun.
    """
    before = told.count
    yield from _members(reader, told, is_known)
    if told.count == before:
        raise Broken
    told.end()


def _members(reader: Reader, told: Told, is_known: IsKnown) -> Steps[None]:
    before, held = told.count, ""
    yield from reader.expect("{")
    yield from reader.space()
    while not (yield from reader.accept("}")):
        key = yield from text(reader)
        yield from reader.space()
        yield from reader.expect(":")
        yield from reader.space()
        first = yield from reader.first()
        if key in _NESTED and first == "{":
            yield from _members(reader, told, is_known)
        elif key in NAMES and told.count == before:
            _begin((yield from text(reader)), held, told, is_known)
        elif key in ARGUMENTS and told.count > before:
            yield from arguments(reader, told.argue)
        elif key in ARGUMENTS:
            parts: list[str] = []
            yield from arguments(reader, parts.append)
            held = "".join(parts)
        elif key in _AROUND or told.count > before:
            yield from whole(reader)
        else:
            raise Broken
        yield from reader.space()
        yield from reader.accept(",")
        yield from reader.space()


def _begin(name: str, held: str, told: Told, is_known: IsKnown) -> None:
    if not is_known(name):
        raise Broken
    told.begin(name)
    told.argue(held)


def calls(reader: Reader, told: Told, is_known: IsKnown) -> Steps[None]:
    """One call, or a list of them. Broken as `call`."""
    if not (yield from reader.accept("[")):
        yield from call(reader, told, is_known)
        return
    yield from reader.space()
    while not (yield from reader.accept("]")):
        yield from call(reader, told, is_known)
        yield from reader.space()
        yield from reader.accept(",")
        yield from reader.space()


def many(reader: Reader, told: Told, is_known: IsKnown) -> Steps[None]:
    """Calls, or lists of them, one behind the other. Broken as `call`."""
    yield from reader.space()
    while True:
        yield from calls(reader, told, is_known)
        yield from reader.space()
        yield from reader.accept(",", ";")
        yield from reader.space()
        if (yield from reader.some())[:1] not in ("{", "["):
            return
