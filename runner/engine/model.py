"""Models, contexts and samplers of llama.cpp as objects: what the engine works with. Lives in the child.

It knows tokens and positions, not conversations or plans.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from models.errors import BadFile, EngineError, UsageError
from models.headers.quants import CACHE_TYPES
from runner.engine.llama import (
    BufferBytes,
    C,
    breakdown,
    buffer_type,
    device_handle,
    failure,
    forget_complaints,
    render,
)
from runner.types.generation import Message
from runner.types.plan import Placement
from runner.types.sampling import Sampling

LOAD_MODES = {"none": 0, "mmap": 1}
_LONGEST_PIECE = 256


class Model:
    """Weights, or with `rehearse` only their bookkeeping. `progress` gets 0..1 and may return False to stop."""

    def __init__(
        self,
        path: str,
        placement: Placement,
        *,
        rehearse: bool = False,
        progress: Callable[[float], bool] | None = None,
    ) -> None:
        forget_complaints()
        params = C.llama_model_default_params()
        params.n_gpu_layers = placement.gpu_layers
        # no_alloc accepts no memory mapping: llama.cpp asserts.
        params.load_mode = 0 if rehearse else LOAD_MODES[placement.load_mode]
        params.no_alloc = rehearse
        self._keep = (*_set_devices(params, placement), *_set_overrides(params, placement))
        if progress is not None:
            callback = C.llama_progress_callback(lambda fraction, _data: progress(fraction))
            params.progress_callback = callback
            self._keep += (callback,)
        self.handle = C.llama_model_load_from_file(path.encode(), params)
        if not self.handle:
            raise failure(f"llama.cpp could not load {path}", BadFile)
        self.vocabulary = C.llama_model_get_vocab(self.handle)
        self.window = C.llama_model_n_swa(self.handle)
        self.size = C.llama_model_size(self.handle)
        self._piece = ctypes.create_string_buffer(_LONGEST_PIECE)

    def close(self) -> None:
        """Free everything."""
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    def tokenize(self, text: str, *, special: bool, begin: bool = False) -> list[int]:
        """Token ids; `special` reads control tokens in the text, `begin` adds the model's own first token."""
        data = text.encode("utf-8", "surrogateescape")
        room = len(data) + 8
        tokens = (C.llama_token * room)()
        count = C.llama_tokenize(self.vocabulary, data, len(data), tokens, room, begin, special)
        if count < 0:
            raise EngineError("llama.cpp could not tokenize the prompt.")
        return list(tokens[:count])

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of a token, perhaps half a character; control tokens have some only with `special`."""
        count = C.llama_token_to_piece(self.vocabulary, token, self._piece, len(self._piece), 0, special)
        if count < 0:
            self._piece = ctypes.create_string_buffer(-count)
            return self.piece(token, special)
        return self._piece.raw[:count]

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return bool(C.llama_vocab_is_eog(self.vocabulary, token))

    @property
    def adds_begin(self) -> bool:
        """Whether the model wants its begin token in front of a raw prompt."""
        return bool(C.llama_vocab_get_add_bos(self.vocabulary))

    @property
    def template(self) -> str | None:
        """The chat template in the file (Jinja)."""
        text = C.llama_model_chat_template(self.handle, None)
        return text.decode("utf-8", "replace") if text else None

    def render(self, template: str, messages: Sequence[Message]) -> str:
        """The conversation as a prompt, ready for the assistant's turn. ValueError if the template refuses."""
        begin, end = C.llama_vocab_bos(self.vocabulary), C.llama_vocab_eos(self.vocabulary)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return render(template, self._special(begin), self._special(end), turns)

    def _special(self, token: int) -> str:
        text = C.llama_vocab_get_text(self.vocabulary, token) if token >= 0 else b""
        return text.decode("utf-8", "replace") if text else ""


def _set_devices(params: Any, placement: Placement) -> tuple[object, ...]:
    """Name the devices and how many layers each gets: never left to the free memory of the moment."""
    handles = (ctypes.c_void_p * (len(placement.devices) + 1))(*map(device_handle, placement.devices), None)
    params.devices = ctypes.addressof(handles)
    shares = (ctypes.c_float * 16)(*placement.tensor_split)
    params.tensor_split = ctypes.cast(shares, ctypes.POINTER(ctypes.c_float))
    return handles, shares


class _Override(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


def _set_overrides(params: Any, placement: Placement) -> tuple[object, ...]:
    if not placement.overrides:
        return ()
    table = (_Override * (len(placement.overrides) + 1))()
    for entry, override in zip(table, placement.overrides, strict=False):
        entry.pattern, entry.buft = override.pattern.encode(), buffer_type(override.device)
    params.tensor_buft_overrides = ctypes.addressof(table)
    return (table,)


class Context:
    """KV cache and compute buffers over a model: decodes tokens of one sequence."""

    def __init__(self, model: Model, placement: Placement) -> None:
        forget_complaints()
        params = C.llama_context_default_params()
        params.n_ctx = placement.ctx
        params.n_batch = params.n_ubatch = placement.ubatch
        params.n_seq_max = placement.sequences
        params.n_outputs_max = placement.outputs
        params.n_threads = params.n_threads_batch = placement.threads
        params.type_k = params.type_v = CACHE_TYPES[placement.kv_type]
        params.swa_full = False
        params.kv_unified = placement.sequences > 1
        self.handle = C.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise failure("llama.cpp could not set up the context", EngineError)
        self.model = model
        self.size = C.llama_n_ctx(self.handle)
        self.ubatch = C.llama_n_ubatch(self.handle)
        self._memory = C.llama_get_memory(self.handle)
        self._one = (C.llama_token * 1)()
        self._step = C.llama_batch_get_one(self._one, 1)

    def close(self) -> None:
        """Free everything."""
        if self.handle:
            C.llama_free(self.handle)
            self.handle = None

    def step(self, token: int) -> int:
        """Decode one token after the others: llama_decode's return code (0: done)."""
        self._one[0] = token
        return int(C.llama_decode(self.handle, self._step))

    def feed(self, tokens: Sequence[int]) -> int:
        """Decode at most `ubatch` tokens after the others; logits for the last one. llama_decode's return code."""
        array = (C.llama_token * len(tokens))(*tokens)
        return int(C.llama_decode(self.handle, C.llama_batch_get_one(array, len(tokens))))

    def wait(self) -> None:
        """Return when everything decoded so far is really done."""
        C.llama_synchronize(self.handle)

    def interrupt_with(self, poll: Callable[[], bool] | None) -> None:
        """Let `poll` stop a decode (the CPU asks it per graph node, GPUs do not); None to switch it off."""
        self._poll = C.ggml_abort_callback(lambda _data: poll()) if poll else C.ggml_abort_callback()
        C.llama_set_abort_callback(self.handle, self._poll, None)

    @property
    def first_position(self) -> int:
        """The first position that the caches still hold whole; -1 if empty."""
        return int(C.llama_memory_seq_pos_min(self._memory, 0))

    @property
    def positions(self) -> int:
        """How many positions are decoded."""
        return int(C.llama_memory_seq_pos_max(self._memory, 0)) + 1

    def keep(self, count: int) -> bool:
        """Forget everything behind the first `count` tokens; False (nothing kept) where that cannot be done exactly.

        A sliding window that has moved on reports success but holds nothing, so the rule of llama.cpp's
        server decides first: the window of the new end must still be there.
        """
        first = self.first_position
        whole = first <= 0 or first < count - self.model.window
        if whole and C.llama_memory_seq_rm(self._memory, 0, count, -1):
            return True
        C.llama_memory_clear(self._memory, True)
        return False

    def has_flat_logits(self) -> bool:
        """Whether all logits are equal: the weights are zeros, a file of the right size without its content."""
        logits = C.llama_get_logits_ith(self.handle, -1)
        first = logits[0]
        return all(logits[i] == first for i in range(1, C.llama_vocab_n_tokens(self.model.vocabulary), 97))

    def breakdown(self) -> tuple[BufferBytes, ...]:
        """Bytes by buffer type; EngineError where this build does not tell."""
        return breakdown(self.handle)


class Chain:
    """llama.cpp's sampler chain in its usual order; greedy at temperature 0."""

    def __init__(self, model: Model, sampling: Sampling, seed: int) -> None:
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for sampler in _samplers(model, sampling, seed):
            C.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, context: Context) -> int:
        """The next token, already accepted by the chain."""
        return int(C.llama_sampler_sample(self._chain, context.handle, -1))

    def close(self) -> None:
        """Free the chain and its members."""
        C.llama_sampler_free(self._chain)


def _samplers(model: Model, wish: Sampling, seed: int) -> Iterable[Any]:
    if wish.grammar is not None:
        yield _grammar(model, wish.grammar)
    if wish.repeat_penalty != 1.0:
        size = C.llama_vocab_n_tokens(model.vocabulary)
        yield C.llama_sampler_init_penalties(size, 64, wish.repeat_penalty, 0.0, 0.0)
    if wish.temperature <= 0:
        yield C.llama_sampler_init_greedy()
        return
    yield C.llama_sampler_init_top_k(wish.top_k)
    yield C.llama_sampler_init_top_p(wish.top_p, 1)
    yield C.llama_sampler_init_min_p(wish.min_p, 1)
    yield C.llama_sampler_init_temp(wish.temperature)
    yield C.llama_sampler_init_dist(seed)


def _grammar(model: Model, text: str) -> Any:
    sampler = C.llama_sampler_init_grammar(model.vocabulary, text.encode(), b"root")
    if not sampler:
        raise UsageError("llama.cpp does not understand the grammar; it must be GBNF with a rule named root.")
    return sampler
