"""Conversations whose caches outlive the engine: which are worth it and when, whose they are, where they lie."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b

from models.errors import LocalrunError
from models.weights import WeightSet
from runner.client.session import EngineSession
from runner.service.studies import study_of
from runner.storage.states import States
from runner.types.commands import Kept
from runner.types.generation import Chunk, Message, Request
from runner.types.templating import Templating

WORTH_S = 3.0  # reading for less than that again is not worth a write
_GROWN = 0.25  # of a state: so all writes of a conversation together are a few times its last
_DISK = 1e9  # bytes per second that a disk is read with at least, where reading again should pay
FEW = 64  # tokens are read sooner than a file
SAVES_S = 0.5  # of reading, so that a prompt starts from a state
LONGEST_S = 4.0  # who leaves does not wait longer for the disk


class Keeper:
    """Keeps what an engine has read of one conversation while it pauses, for the engine that takes its place.

    Only a conversation that has a name is kept, or one of a server's (served_states.py): others should leave nothing on
    the disk.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        self._name: str | None = None
        self._kept = self._used = 0  # tokens: of what is read, on the disk and at all
        self._writing = threading.Lock()

    def begin(self, session: EngineSession, name: str) -> None:
        """Go on with the conversation of that name, where an engine was left."""
        self._name = name
        self._kept = self._used = restore(self._states, session, name)

    def reloaded(self, session: EngineSession) -> None:
        """The engine is another."""
        if self._name is not None:
            self.begin(session, self._name)

    def turn_ended(self, session: EngineSession, asked: Request, last: Chunk) -> None:
        """An answer has ended: keep what was read, beside whoever thinks about the next question, where that pays."""
        self._used, self._kept = last.context_used, min(self._kept, last.cached_tokens)
        if self._name is not None and asked.raw is None and self._pays(session, last):
            work = (session, self._name, asked.messages, self._used)
            threading.Thread(target=self._keep, args=work, daemon=True).start()

    def leave(self, session: EngineSession, name: str, messages: Sequence[Message]) -> None:
        """Nobody says more for now."""
        if name != self._name or self._used > self._kept:
            self._keep(session, name, messages, self._used)

    def _pays(self, session: EngineSession, last: Chunk) -> bool:
        predicted = session.candidate.predicted
        speed = predicted.prefill_tps if predicted else last.prefill_tps
        new = self._used - self._kept
        return speed is not None and new / speed >= WORTH_S and new >= _GROWN * self._used

    def _keep(self, session: EngineSession, name: str, messages: Sequence[Message], used: int) -> None:
        with self._writing:
            if name == self._name and used <= self._kept:  # whoever wrote before has done it
                return
            if keep(self._states, session, name, messages) and name == self._name:
                self._kept = used


def keep(
    states: States,
    session: EngineSession,
    name: str,
    messages: Sequence[Message],
    templating: Templating | None = None,
) -> int:
    """Write what the caches hold of a conversation, and make room for it; bytes, 0 where that is not worth it."""
    per_token = _bytes_per_token(session)
    predicted = session.candidate.predicted
    if predicted and per_token / _DISK > 1 / predicted.prefill_tps:
        return 0
    owner, kept = _owner(session), 0
    most = int(min(states.room(), LONGEST_S * _DISK))
    with suppress(LocalrunError):  # it may be dead: then there is nothing to keep
        kept = session.keep_state(path := states.path(name, owner), owner, messages, most, templating)
        if kept:
            states.used(path)
    states.prune()
    return kept


def restore(states: States, session: EngineSession, name: str) -> int:
    """Let the next answer go on from what was kept; the tokens that need not be read, 0 where there are none."""
    owner = _owner(session)
    path = states.path(name, owner)
    if not path.exists():
        return 0
    states.used(path)
    with suppress(LocalrunError):
        return session.restore_state(path, owner)
    return 0


def kept(states: States, session: EngineSession) -> Kept | None:
    """What any prompt may start from, whoever asks; None where nothing is kept, or nobody knows what reading takes."""
    predicted = session.candidate.predicted
    if predicted is None or states.limit == 0:
        return None
    return Kept(str(states.folder), _owner(session), max(FEW, int(SAVES_S * predicted.prefill_tps)))


def _bytes_per_token(session: EngineSession) -> float:
    loaded = session.loaded
    return sum(one.kv for one in loaded.memory) / loaded.ctx


def _owner(session: EngineSession) -> str:
    """The weights that made a state: by their digests, or else by what tells one version of a file from the next."""
    weights = study_of(session.plan).set_of(session.candidate.files).read.weights
    return blake2b(repr(_marks(weights)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _marks(weights: WeightSet) -> list[object]:
    return [file.sha256 or (str(file.path), file.bytes, file.modified) for file in weights.files]
