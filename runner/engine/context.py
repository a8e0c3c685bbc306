"""KV cache and compute buffers of llama.cpp as an object: decodes pieces of sequences, keeps what it may."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from ctypes import Array, c_float, c_int32, c_ubyte, c_void_p
from typing import Any

import numpy as np

from models.errors import DeviceLost, EngineError, OutOfMemory
from models.headers.pooling import NUMBERS
from models.headers.quants import CACHE_TYPES
from runner.engine.batch import Batch, Piece
from runner.engine.candidates import Logits
from runner.engine.llama import C, complaints, failure, forget_complaints, ggml
from runner.engine.model import Model
from runner.types.failures import diagnose
from runner.types.placement import Placement

_logits_at = ggml("llama_get_logits_ith", c_void_p, c_void_p, c_int32)  # its address is all that is needed
_INTERRUPTED = 2
# Flash attention adds up in float16 where a batch is short (ggml-cpu/ops.cpp: VKQ16): a vector would depend on what
# else is in its batch, by up to 0.003 with quantized weights. Attention's whole matrix may have so many numbers a head.
_MATRIX = 2048 * 2048
_UNQUANTIZED = ("f32", "f16", "bf16")
_SAID = {1: "found no room in the KV cache", -1: "refused the batch", -3: "failed to compute"}


class Context:
    """KV cache and compute buffers over a model. `sequences` share one pool of `size` cells.

    With `first` it is over the model's own heads, which read what that one computes (runner.engine.mtp).
    """

    def __init__(self, model: Model, placement: Placement, first: Context | None = None) -> None:
        forget_complaints()
        self.handle: Any = C.llama_init_from_model(model.handle, _params(placement, first))
        if not self.handle:
            raise failure("llama.cpp could not set up the context", EngineError)
        self.model = model
        self.size = C.llama_n_ctx(self.handle)
        self.ubatch = C.llama_n_ubatch(self.handle)
        self.states = C.llama_n_rs_seq(self.handle)
        """How many tokens of the last batch a recurrent state can go back."""
        self.sequences = min(placement.sequences, self.ubatch)  # each has room in every batch
        self._memory = C.llama_get_memory(self.handle)
        width = model.width if first else 0
        self._batch = Batch(self.ubatch, self.sequences, pools=placement.pooling is not None, width=width)
        self.rows = self._batch.rows
        """What heads read beside the tokens of the next `decode`, a row for each; of another context they have none."""
        self._views: dict[int, Logits] = {}

    def close(self) -> None:
        """Free everything."""
        if self.handle:
            C.llama_free(self.handle)
            self.handle = None

    def decode(self, pieces: Sequence[Piece]) -> bool:
        """Decode at most `ubatch` tokens; False if that was interrupted, then of none of them or of some.

        OutOfMemory, DeviceLost or EngineError where it fails.
        """
        code = C.llama_decode(self.handle, self._batch.filled(pieces))
        if code not in (0, _INTERRUPTED):
            raise decode_failure(code, complaints())
        return bool(code == 0)

    def step(self, token: int, at: int, sequence: int = 0) -> None:
        """Decode one token of one sequence, for its position `at`; errors as of `decode`."""
        code = C.llama_decode(self.handle, self._batch.single(token, at, sequence))
        if code:
            raise decode_failure(code, complaints())

    def wait(self) -> None:
        """Return when everything decoded so far is really done."""
        C.llama_synchronize(self.handle)

    def interrupt_with(self, poll: Callable[[], bool] | None) -> None:
        """Let `poll` stop a decode (the CPU asks it per graph node, GPUs do not); None to switch it off."""
        self._poll = C.ggml_abort_callback(lambda _data: poll()) if poll else C.ggml_abort_callback()
        C.llama_set_abort_callback(self.handle, self._poll, None)

    def positions(self, sequence: int = 0) -> int:
        """How many positions of a sequence are decoded."""
        return int(C.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def first(self, sequence: int = 0) -> int:
        """The first position that is there of a sequence; a window that has moved on has lost some behind it."""
        return int(C.llama_memory_seq_pos_min(self._memory, sequence))

    def reaches(self, count: int, sequence: int = 0) -> bool:
        """Whether what the first `count` tokens need is still there.

        A sliding window that has moved on reports success but holds nothing, so this is the rule of llama.cpp's
        server: the window of the new end must still be there. A recurrent state holds its last position alone.
        """
        first = self.first(sequence)
        return bool(first <= 0 or first < count - self.model.window)

    def cut(self, count: int, sequence: int = 0) -> bool:
        """Forget everything behind the first `count` tokens; False (nothing changed) where that cannot be exact."""
        return self.reaches(count, sequence) and bool(C.llama_memory_seq_rm(self._memory, sequence, count, -1))

    def roll_back(self, count: int, sequence: int) -> bool:
        """The same within the last batch, of which at least the first token stays: then it is exact in any cache.

        But a recurrent state goes back no more than `states` tokens.
        """
        return bool(C.llama_memory_seq_rm(self._memory, sequence, count, -1))

    def keep(self, count: int, sequence: int = 0) -> bool:
        """The same, but where it cannot be exact nothing is kept."""
        if self.cut(count, sequence):
            return True
        C.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    @property
    def is_stretched(self) -> bool:
        """Whether positions are those of long contexts: many models have other factors for these (llama-model.cpp:
        get_rope_factors), so that cells of a short context mean nothing to a long one.
        """
        original = self.model.original_context
        return original is not None and self.size > original

    @property
    def can_share(self) -> bool:
        """Whether sequences may have their first cells in common.

        A recurrent state is of all tokens or none, and cells of a sliding window that two sequences have are never
        used again (llama-kv-cache.cpp: find_slot), so that the window would fill up.
        """
        model = self.model
        return self.sequences > 1 and not model.window and not model.is_recurrent and bool(self._memory)

    def share(self, source: int, target: int, count: int) -> None:
        """Give an empty sequence the first `count` tokens of another one, in the same cells."""
        C.llama_memory_seq_cp(self._memory, source, target, 0, count)

    def state_bytes(self, sequence: int) -> int:
        """How much `copy_state` writes."""
        return int(C.llama_state_seq_get_size_ext(self.handle, sequence, 0))

    def copy_state(self, sequence: int, into: Array[c_ubyte]) -> int:
        """Write what the caches hold of a sequence, and say how many bytes that were; 0 where they are too few."""
        return int(C.llama_state_seq_get_data_ext(self.handle, into, len(into), sequence, 0))

    def set_state(self, sequence: int, state: Array[c_ubyte]) -> bool:
        """Let the caches hold this for an empty sequence; False (nothing held) where llama.cpp does not take it."""
        if C.llama_state_seq_set_data_ext(self.handle, state, len(state), sequence, 0) == len(state):
            return True
        C.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def overwrite(self) -> None:
        """Forget all sequences and what their cells held: one that is no number spoils what is computed behind it."""
        C.llama_memory_clear(self._memory, True)

    def is_number(self, token: int, at: int = -1) -> bool:
        """Whether this token's logit is one; none is where a single weight or product of them was not."""
        return math.isfinite(self.logits(at)[token])

    def logits(self, at: int = -1) -> Logits:
        """What the model makes of the token behind the one at this place of the last batch (-1: the last one).

        In llama.cpp's own memory: until the next decode, and writable. EngineError where it had no `ends`.
        """
        address = _logits_at(self.handle, at)
        if address is None:
            raise EngineError("llama.cpp has no logits for this token.")
        if address not in self._views:  # a view takes 100 us to make
            memory = (c_float * self.model.tokens).from_address(address)
            self._views[address] = np.ctypeslib.as_array(memory)
        return self._views[address]

    def has_flat_logits(self, at: int = -1) -> bool:
        """Whether all logits are equal: the weights are zeros, a file of the right size without its content."""
        some = self.logits(at)[::97]
        return bool((some == some[0]).all())


def _params(placement: Placement, first: Context | None) -> Any:
    """A context's part of a placement, as llama.cpp wants it."""
    params = C.llama_context_default_params()
    params.n_ctx = placement.ctx
    params.n_batch = params.n_ubatch = placement.ubatch
    params.n_seq_max = placement.sequences
    params.n_outputs_max = placement.outputs
    params.n_rs_seq = placement.rollback
    params.n_threads = params.n_threads_batch = placement.threads
    params.type_k = params.type_v = CACHE_TYPES[placement.kv_type]
    params.swa_full = False
    params.kv_unified = placement.sequences > 1
    if first is not None:
        params.ctx_type, params.ctx_other = C.LLAMA_CONTEXT_TYPE_MTP, first.handle
        params.n_outputs_max, params.n_rs_seq = placement.sequences, 0
    if placement.pooling is not None:
        params.embeddings, params.pooling_type = True, NUMBERS[placement.pooling]
        if placement.kv_type in _UNQUANTIZED and placement.ubatch * placement.ctx <= _MATRIX:
            params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return params


def decode_failure(code: int, said: Sequence[str]) -> EngineError:
    """The error for a return code of llama_decode (llama.h), after llama.cpp complained with `said`."""
    found = diagnose(said)
    kind = OutOfMemory if code == -2 else found.kind
    what = {OutOfMemory: "ran out of memory", DeviceLost: "lost a device"}.get(kind)
    because = f": {found.reason}" if found.reason else ""
    return kind(f"llama.cpp {what or _SAID.get(code, f'stopped with code {code}')} while decoding{because}.")
