"""What drafts take: outputs of a step, and ways for a recurrent state to go back. Pure."""

from dataclasses import replace

from models.headers.architectures import ROLLED_BACK
from models.headers.shape import ModelShape
from runner.cost.kv import Caches, ContextSettings
from runner.types.units import MIB

MOST_GUESSED = 15  # with the token that is known they are sixteen, a size that kernels like
_STATES = 3  # copies on the way, and with them guesses, where a state has to go back
_ROOMY = _STATES + 2  # tokens of an ubatch at least: llama.cpp keeps the last ones of a batch together, and aborts
_STATES_BYTES = 256 * MIB  # copies that take more are not worth what a lookup brings
_COPY_BYTES = 256 * MIB  # one that takes more, for each step with guesses, costs about what these bring


def with_lookup(settings: ContextSettings, shape: ModelShape, caches: Caches) -> ContextSettings:
    """The same with room for guesses that the text itself makes."""
    copies = _state_bytes(caches) * settings.sequences * _STATES
    goes_back = shape.arch in ROLLED_BACK and copies <= _STATES_BYTES
    return _with_guesses(settings, caches, goes_back=goes_back)


def with_companion(settings: ContextSettings, shape: ModelShape, caches: Caches, *, heads: bool) -> ContextSettings:
    """The same for a companion, which guesses at every step; with `heads` it is the model's own."""
    found = _with_guesses(settings, caches, goes_back=shape.arch in ROLLED_BACK)
    return replace(found, heads=heads and found.drafts > 0)


def _with_guesses(settings: ContextSettings, caches: Caches, *, goes_back: bool) -> ContextSettings:
    rollback = _STATES if goes_back and settings.ubatch >= _ROOMY else 0
    if not can_go_back(caches, rollback):
        return settings
    return replace(settings, outputs=max(settings.outputs, MOST_GUESSED + 1), drafts=MOST_GUESSED, rollback=rollback)


def can_go_back(caches: Caches, rollback: int) -> bool:
    """Whether guesses can be taken back: by cells, by states on the way, or by a copy that is not too large."""
    return rollback > 0 or _state_bytes(caches) <= _COPY_BYTES


def _state_bytes(caches: Caches) -> int:
    """Of one sequence's recurrent states."""
    return 4 * sum(caches.kinds[kind].state_values for kind in caches.layers)


def copy_bytes(caches: Caches, settings: ContextSettings) -> int:
    """Host memory for the one state that guesses are taken back to where llama.cpp keeps none on the way."""
    is_recurrent = any(memory.state_values for memory in caches.kinds)
    needs_one = settings.drafts and is_recurrent and not settings.rollback
    return caches.checkpoint(settings.kv_type, settings.ctx) if needs_one else 0
