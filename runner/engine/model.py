"""Weights and vocabulary of llama.cpp as an object: it knows tokens, not conversations or plans."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from typing import Any

from models.errors import BadFile, EngineError
from runner.engine.devices import buffer_type, device_handle
from runner.engine.llama import C, failure, forget_complaints, has_pinned, render
from runner.engine.long_words import longest, parts
from runner.types.generation import Message
from runner.types.placement import Placement, SplitMode

_LOAD_MODES = {"none": 0, "mmap": 1}
_SPLIT_MODES = {SplitMode.LAYER: C.LLAMA_SPLIT_MODE_LAYER, SplitMode.TENSOR: C.LLAMA_SPLIT_MODE_TENSOR}
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
        params.load_mode = 0 if rehearse else _LOAD_MODES[placement.load_mode]
        params.no_alloc = rehearse
        self._keep = (*_set_devices(params, placement), *_set_overrides(params, placement))
        if progress is not None:
            callback = C.llama_progress_callback(lambda fraction, _data: progress(fraction))
            params.progress_callback = callback
            self._keep += (callback,)
        self.handle = C.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            raise failure(f"llama.cpp could not load {path}", BadFile)
        self.is_pinned = has_pinned()
        self.vocabulary = C.llama_model_get_vocab(self.handle)
        self.tokens = int(C.llama_vocab_n_tokens(self.vocabulary))
        self.window = C.llama_model_n_swa(self.handle)
        self.is_recurrent = bool(C.llama_model_is_recurrent(self.handle) or C.llama_model_is_hybrid(self.handle))
        self._piece = ctypes.create_string_buffer(_LONGEST_PIECE)

    def close(self) -> None:
        """Free everything."""
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    def tokenize(self, text: str, *, special: bool, begin: bool = False) -> list[int]:
        """Token ids; `special` reads control tokens in the text, `begin` adds the model's own first token."""
        tokens: list[int] = []
        for part in parts(text, longest()):
            tokens += self._tokens(part, special, begin and not tokens)
        return tokens

    def _tokens(self, text: str, special: bool, begin: bool) -> list[int]:
        data = text.encode("utf-8", "replace")  # half a character is none
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
        """Whether the model ends its answer with this token."""
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
        """The conversation as a prompt, ready for the assistant's answer. ValueError if the template refuses."""
        begin, end = C.llama_vocab_bos(self.vocabulary), C.llama_vocab_eos(self.vocabulary)
        plain = [{"role": message.role, "content": message.content} for message in messages]
        return render(template, self._special(begin), self._special(end), plain)

    def _special(self, token: int) -> str:
        text = C.llama_vocab_get_text(self.vocabulary, token) if token >= 0 else b""
        return text.decode("utf-8", "replace") if text else ""


def _set_devices(params: Any, placement: Placement) -> tuple[object, ...]:
    """Name the devices and what each gets: never left to the free memory of the moment."""
    handles = (ctypes.c_void_p * (len(placement.devices) + 1))(*map(device_handle, placement.devices), None)
    params.devices = ctypes.addressof(handles)
    params.split_mode = _SPLIT_MODES[placement.split_mode]
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
