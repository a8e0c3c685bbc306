"""The calls of one answer: read out of its text, and held to the schemas of their tools."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b

from models.errors import UsageError
from runner.chat.stream import Said
from runner.chat.template import Prompt
from runner.chat.tools.family import Family
from runner.chat.tools.grammar import begun, demanded
from runner.chat.tools.parser import CallParser
from runner.chat.tools.syntax import Syntax
from runner.engine.llama import SchemaRules
from runner.types.generation import Request
from runner.types.tools import ToolChoice

_ID_LETTERS = 9  # what Mistral's templates demand


class Calls:
    """Of an answer in the notation of `family`; `salt` makes their ids differ from those of other answers."""

    def __init__(self, family: Family, syntax: Syntax, request: Request, salt: str) -> None:
        self._tools, self._calling = request.sampling.templating.tools, request.sampling.calling
        self._syntax, self._is_held = syntax, request.sampling.grammar is not None
        most = None if self._calling.parallel else 1
        self._parser = CallParser(family, self._tools, lambda index: _new_id(f"{salt} {index}"), most=most)

    def read(self, said: Said, *, final: bool = False) -> Said:
        """What the stream has said, its calls apart."""
        return self._parser.read(said, final=final)

    @property
    def begun(self) -> int:
        """How many there are so far."""
        return self._parser.begun

    @property
    def is_enough(self) -> bool:
        """Whether no more are wanted."""
        return not self._calling.parallel and self._parser.ended > 0

    def grammar(self) -> str | None:
        """What comes next is held to, from the mark of a call on; None where that is not known, or is held already.

        The mark is found here and not by llama.cpp's lazy grammars: these match a regular expression against all of
        the answer at each token, and abort where a token that ends the mark goes on with what the grammar forbids.
        """
        if self._is_held or not (opening := self._parser.opened):
            return None
        with suppress(UsageError):  # no demand was made: the call is free
            found = begun(self._tools, self._calling, self._syntax, SchemaRules(), opening)
            self._is_held = found is not None
            return found
        return None


def with_demanded(request: Request, prompt: Prompt) -> Request:
    """The request, held to a call where that is demanded. UsageError where a schema makes no grammar."""
    sampling = request.sampling
    if prompt.family is None or prompt.syntax is None or sampling.calling.choice is not ToolChoice.REQUIRED:
        return request
    grammar = demanded(sampling.templating.tools, sampling.calling, prompt.syntax, SchemaRules())
    return replace(request, sampling=replace(sampling, grammar=grammar))


def _new_id(text: str) -> str:
    return blake2b(text.encode(), digest_size=_ID_LETTERS).hexdigest()[:_ID_LETTERS]
