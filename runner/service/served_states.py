"""Conversations of a server's clients, which have no names: what was read of the last ones outlives the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from hashlib import blake2b

from runner.client.session import EngineSession
from runner.service.kept_states import FEW, LONGEST_S, keep
from runner.storage.states import States
from runner.types.generation import Message
from runner.types.templating import Templating

WORTH_S = 1.0  # of reading again


class ServedStates:
    """As many conversations as an engine answers at once; they are written when it is left, and nobody waits for it.

    One that has grown takes the place of what was known of it: it is told by how it begins.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        self._changing = threading.Lock()
        self._last: dict[str, tuple[Sequence[Message], Templating]] = {}

    def heard(self, session: EngineSession, messages: Sequence[Message], templating: Templating, tokens: int) -> None:
        """A conversation has so many by now."""
        predicted = session.candidate.predicted
        if predicted is None or tokens < max(FEW, WORTH_S * predicted.prefill_tps):
            return
        name = _name_of(messages, templating)
        with self._changing:
            self._last.pop(name, None)
            self._last[name] = messages, templating
            while len(self._last) > session.placement.sequences:
                del self._last[next(iter(self._last))]

    def leave(self, session: EngineSession) -> None:
        """Write those that were asked last, for as long as one who leaves may wait and none pushes out another."""
        until, room, largest = time.monotonic() + LONGEST_S, self._states.room(), 0
        with self._changing:
            last, self._last = self._last, {}
        for name, (messages, templating) in reversed(last.items()):
            if room <= largest or time.monotonic() > until:
                return
            written = keep(self._states, session, name, messages, templating)
            room, largest = room - written, max(largest, written)


def _name_of(messages: Sequence[Message], templating: Templating) -> str:
    """Of its system prompt, tools and first question."""
    first = next((at for at, one in enumerate(messages) if one.role == "user"), 0)
    begins = repr((templating, *messages[: first + 1]))
    return "served " + blake2b(begins.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
