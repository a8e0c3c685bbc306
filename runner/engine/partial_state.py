"""What a cache that cannot be rolled back holds of a sequence at some token: its windows and recurrent states.

Source: LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY of llama.h. llama.cpp takes a state for any sequence and says that all is
well: whose it is, is for the caller to know.
"""

from __future__ import annotations

from ctypes import c_uint8
from dataclasses import dataclass
from typing import Any

from runner.engine.llama import C

_PARTIAL = C.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY


@dataclass(frozen=True, slots=True)
class PartialState:
    """Of a sequence of the context `handle` behind its first `count` tokens."""

    handle: Any
    sequence: int
    count: int
    data: Any

    @property
    def bytes(self) -> int:
        """How large it is."""
        return len(self.data)

    def restore(self) -> bool:
        """Let the sequence hold its first `count` tokens, and them alone; False where llama.cpp does not take it.

        The state first, then what came later is cut: the other way round the window would be empty.
        """
        size = len(self.data)
        taken = C.llama_state_seq_set_data_ext(self.handle, self.data, size, self.sequence, _PARTIAL)
        memory = C.llama_get_memory(self.handle)
        return taken == size and bool(C.llama_memory_seq_rm(memory, self.sequence, self.count, -1))


def partial_bytes(handle: Any, sequence: int) -> int:
    """How large the state of a sequence is at this moment."""
    return int(C.llama_state_seq_get_size_ext(handle, sequence, _PARTIAL))


def partial_state(handle: Any, sequence: int, count: int) -> PartialState | None:
    """The state of a sequence, which holds `count` tokens; None where llama.cpp cannot tell it."""
    size = partial_bytes(handle, sequence)
    data = (c_uint8 * size)()
    if not size or C.llama_state_seq_get_data_ext(handle, data, size, sequence, _PARTIAL) != size:
        return None
    return PartialState(handle, sequence, count, data)
