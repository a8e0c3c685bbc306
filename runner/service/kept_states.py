"""Conversations whose caches outlive the engine: which are worth it, whose they are, where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b

from models.errors import LocalrunError
from models.weights import WeightSet
from runner.client.session import EngineSession
from runner.service.studies import study_of
from runner.storage.states import States
from runner.types.generation import Message

_DISK = 1e9  # bytes per second that a disk is read with at least, where reading again should pay
_LONGEST_S = 4.0  # who leaves does not wait longer for the disk


def keep(states: States, session: EngineSession, name: str, messages: Sequence[Message]) -> int:
    """Write what the caches hold of a conversation, and make room for it; bytes, 0 where that is not worth it."""
    per_token = _bytes_per_token(session)
    predicted = session.candidate.predicted
    if predicted and per_token / _DISK > 1 / predicted.prefill_tps:
        return 0
    owner, kept = _owner(session), 0
    most = int(min(states.room(), _LONGEST_S * _DISK))
    with suppress(LocalrunError):  # it may be dead: then there is nothing to keep
        kept = session.keep_state(states.path(name, owner), owner, messages, most)
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


def _bytes_per_token(session: EngineSession) -> float:
    loaded = session.loaded
    return sum(one.kv for one in loaded.memory) / loaded.ctx


def _owner(session: EngineSession) -> str:
    """The weights that made a state: by their digests, or else by what tells one version of a file from the next."""
    quant = session.candidate.quant
    (weights,) = [one.read.weights for one in study_of(session.plan).sets if one.read.weights.quant == quant][:1]
    return blake2b(repr(_marks(weights)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def _marks(weights: WeightSet) -> list[object]:
    return [file.sha256 or (str(file.path), file.bytes, file.modified) for file in weights.files]
