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


def with_lookup(settings: ContextSettings, shape: ModelShape, caches: Caches) -> ContextSettings:
    """The same with room for guesses that the text itself makes."""
    copies = 4 * sum(caches.kinds[kind].state_values for kind in caches.layers) * settings.sequences * _STATES
    return _with_guesses(settings, goes_back=shape.arch in ROLLED_BACK and copies <= _STATES_BYTES)


def with_companion(settings: ContextSettings, shape: ModelShape, *, heads: bool) -> ContextSettings:
    """The same for a companion, which guesses at every step; with `heads` it is the model's own."""
    return replace(_with_guesses(settings, goes_back=shape.arch in ROLLED_BACK), heads=heads)


def _with_guesses(settings: ContextSettings, *, goes_back: bool) -> ContextSettings:
    outputs = max(settings.outputs, MOST_GUESSED + 1)
    rollback = _STATES if goes_back and settings.ubatch >= _ROOMY else 0
    return replace(settings, outputs=outputs, drafts=MOST_GUESSED, rollback=rollback)


def copy_bytes(caches: Caches, settings: ContextSettings) -> int:
    """Host memory for the one state that guesses are taken back to where llama.cpp keeps none on the way."""
    is_recurrent = any(memory.state_values for memory in caches.kinds)
    needs_one = settings.drafts and is_recurrent and not settings.rollback
    return caches.checkpoint(settings.kv_type, settings.ctx) if needs_one else 0
