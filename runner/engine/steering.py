"""What an answer says next where that is not left to the sampler, and whether a grammar binds it yet."""

from __future__ import annotations

from collections import deque

from runner.chat.guide import Guide, Move
from runner.chat.stream import TextStream
from runner.engine.calls import Calls
from runner.engine.model import Model
from runner.engine.sampler import Sampler
from runner.types.generation import Request


class Steering:
    """Of one answer, whose words go through `stream`. A grammar is for the answer: thinking before it is free.

    With `calls` a grammar is for a call, from its mark on, or from the header of its message.
    """

    def __init__(
        self, model: Model, sampler: Sampler, stream: TextStream, request: Request, calls: Calls | None = None
    ) -> None:
        self._model, self._sampler, self._stream, self._calls = model, sampler, stream, calls
        self._goes_on = request.ignore_end
        self._guide = Guide(stream, request.sampling.think_budget, minds_loops=not request.ignore_end)
        self._forced: deque[int] = deque()
        self._new: list[int] = []
        has_grammar = request.sampling.grammar is not None
        sampler.binds = not self._is_free
        self._is_bound = has_grammar and sampler.binds
        self.is_exact = bool(request.sampling.stop) or self._guide.is_exact or (has_grammar and not sampler.binds)
        self.is_exact = self.is_exact or (calls is not None and not has_grammar)
        """Whether the stream is to be fed each token by itself."""

    def take_note(self) -> str | None:
        """What was decided since the last time, in a sentence."""
        note, self._guide.note = self._guide.note, None
        return note

    @property
    def has_forced(self) -> bool:
        """Whether the next token is known."""
        return bool(self._forced)

    def forced(self) -> int:
        """The next token, which is known; the sampler has accepted it."""
        token = self._forced.popleft()
        self._sampler.accept((token,))
        return token

    def drawn(self, token: int) -> int:
        """What a drawn token becomes: an end within the thinking becomes the first token of what closes that."""
        may_force = not (self._goes_on or self._is_bound)
        if may_force and self._model.is_end(token) and self._guide.at_end() is Move.CLOSE:
            self._close()
            return self.forced()
        self._new.append(token)
        return token

    def after_words(self) -> Move:
        """What to do now that the stream has been fed all that was said; END: no more is wanted."""
        if self._forced:
            return Move.GO_ON
        self._sampler.binds = self._sampler.binds or not self._is_free
        if self._calls and (grammar := self._calls.grammar()):
            self._sampler.bind(grammar)
        is_written = self._is_bound and self._stream.is_thinking  # by a grammar that says itself when that ends
        turn = Move.GO_ON if is_written else self._guide.after(self._new)
        self._new.clear()
        if turn is Move.CLOSE:
            self._close()
        return turn

    @property
    def _is_free(self) -> bool:
        """Whether no grammar is for what comes next."""
        return self._stream.fence is not None if self._calls else self._stream.is_thinking

    def _close(self) -> None:
        self._new.clear()
        self._forced.extend(self._model.tokenize(self._guide.closing(), special=True))
