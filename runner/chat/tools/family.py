"""What a family of models says to call a tool: how that is found, read, and demanded. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from runner.chat.tools.reader import Broken, Cut, Reader, Steps
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.told import Told
from runner.types.tools import Tool

_NAME = re.compile(r"[\w.:/-]{1,128}", re.ASCII)
Parse = Callable[[Reader, Told, Sequence[Tool]], Steps[None]]


@dataclass(frozen=True, slots=True)
class Family:
    """`marks` are what its models may have as control tokens; a template has all words of one of the `shows`.

    `parse` reads an answer; `addresses`: one with headers of messages in its text, `breaks`: what ends thinking that
    it left open (TextStream). A call is written by the first of the `syntaxes` whose word a template has.
    """

    name: str
    shows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...]
    parse: Parse
    syntaxes: tuple[tuple[str, Syntax], ...]
    addresses: bool = False
    breaks: tuple[str, ...] = ()

    def syntax_in(self, template: str) -> Syntax:
        """How a model with this template writes calls."""
        return next(syntax for word, syntax in self.syntaxes if word in template)

    def is_in(self, template: str) -> bool:
        """Whether a chat template is of this family."""
        return any(all(word in template for word in words) for words in self.shows)


def good_name(text: str) -> str:
    """The name of a function, as it stands in a call. Broken where it can be none."""
    name = text.strip().removeprefix("functions.")
    if not _NAME.fullmatch(name):
        raise Broken
    return name


def any_name(name: str) -> bool:
    """Behind a mark every name is meant: whoever has the tools says that there is none."""
    return bool(_NAME.fullmatch(name))


def or_text(reader: Reader, told: Told, opening: str, steps: Steps[None]) -> Steps[None]:
    """Read on by these steps; what proves to be no call is text, with the `opening` in front of it."""
    before = told.count
    reader.keep(opening)
    try:
        yield from steps
    except (Broken, RecursionError) as broken:  # the second: brackets in brackets, without an end
        if told.count == before:
            told.say(opening + reader.kept())
        else:
            told.end()
            if isinstance(broken, Cut):  # half a mark
                reader.skip()
    reader.kept()
