"""Host memory for states to go back to where a cache cannot be rolled back (runner.engine.checkpoints). Pure."""

from runner.cost.kv import Caches, ContextSettings
from runner.types.units import MIB

CHECKPOINTS = 8  # of each sequence: two turns or three of a conversation
_PLENTY = 512 * MIB  # for all; large states are fewer
_FEW = 4  # but as many of the largest, for one turn and the one before
_OF_RAM = 16  # and never more than this part of it
_BESIDE = 16  # what is written beside the values of a state is a part of them, and a page


def checkpoint_bytes(caches: Caches, settings: ContextSettings, ram: int) -> int:
    """Bytes for them on a computer with so much RAM; 0 where none is needed, or there is no room for a single one."""
    values = caches.checkpoint(settings.kv_type, settings.ctx) if settings.checkpoints else 0
    one = values + values // _BESIDE + 4096
    most = min(settings.checkpoints * settings.sequences * one, max(_PLENTY, _FEW * one), ram // _OF_RAM)
    return most if values and most >= one else 0
