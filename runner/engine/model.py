"""Weights and vocabulary of llama.cpp as an object: it knows tokens, not conversations or plans."""

from __future__ import annotations

import ctypes
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from models.errors import BadFile, EngineError, UsageError
from runner.engine import long_words
from runner.engine.devices import buffer_type, device_handle
from runner.engine.llama import C, failure, forget_complaints, has_pinned
from runner.types.placement import Placement, SplitMode

_LOAD_MODES = {"none": 0, "mmap": 1}
_SPLIT_MODES = {SplitMode.LAYER: C.LLAMA_SPLIT_MODE_LAYER, SplitMode.TENSOR: C.LLAMA_SPLIT_MODE_TENSOR}
_LONGEST_PIECE = 256
_BLOCK = 512
_NO_WORD = "\ufdd0"  # merges with nothing


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
        params.load_mtp = placement.has_heads
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
        self.bytes = int(C.llama_model_size(self.handle))
        self.width = int(C.llama_model_n_embd_out(self.handle))
        self.heads = int(C.llama_model_n_layer_nextn(self.handle))
        """Layers that predict further tokens."""
        self.window = C.llama_model_n_swa(self.handle)
        self.is_recurrent = bool(C.llama_model_is_recurrent(self.handle) or C.llama_model_is_hybrid(self.handle))
        self._piece = ctypes.create_string_buffer(_LONGEST_PIECE)
        self._pieces: dict[tuple[int, bool], bytes] = {}  # asked before: C takes 20 us behind a decode

    def close(self) -> None:
        """Free everything."""
        if self.handle:
            C.llama_model_free(self.handle)
            self.handle = None

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids; `special` reads control tokens in the text.

        Without the model's first token, and without the last that llama.cpp would add where a file asks for one
        (add_eos_token): this is no text to train on but one to go on with.
        """
        tokens: list[int] = []
        for part in long_words.parts(text, long_words.longest()):
            tokens += self._tokens(part, special)
        return tokens

    def around_gap(self, before: str, after: str) -> list[int]:
        """Token ids of a text with a gap, as llama.cpp's server orders them: what lies before, behind, then the middle.

        UsageError where the vocabulary has no tokens for that.
        """
        marks = [
            mark(self.vocabulary) for mark in (C.llama_vocab_fim_pre, C.llama_vocab_fim_suf, C.llama_vocab_fim_mid)
        ]
        if min(marks) < 0:
            raise UsageError("suffix: this model has no tokens to fill a gap with; coding models have.")
        prefix, suffix, middle = marks
        said, rest = self.tokenize(before, special=False), self.tokenize(after, special=False)
        return [*self.begin, prefix, *said, suffix, *rest, middle]

    def tokenize_parts(self, parts: Sequence[str]) -> list[int]:
        """Token ids of a text in parts that are read apart, control tokens among them."""
        tokens: list[int] = []
        for part in parts:
            tokens += self._tokenize_inner(part) if tokens else self.tokenize(part, special=True)
        return tokens

    def _tokenize_inner(self, text: str) -> list[int]:
        """Token ids of a text that begins nothing: SentencePiece puts a space in front of what does."""
        if C.llama_vocab_type(self.vocabulary) != C.LLAMA_VOCAB_TYPE_SPM:
            return self.tokenize(text, special=True)
        before = self._tokens(_NO_WORD, special=True)
        return self.tokenize(_NO_WORD + text, special=True)[len(before) :]

    def marked(self, text: str) -> list[int]:
        """Token ids of a whole text with all that the vocabulary puts around one: what becomes a vector is read so."""
        return self._tokens(text, special=False, marks=True)

    def _tokens(self, text: str, special: bool, *, marks: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")  # half a character is none
        room = len(data) + 8
        tokens = (C.llama_token * room)()
        count = C.llama_tokenize(self.vocabulary, data, len(data), tokens, room, marks, special)
        if count < 0:
            raise EngineError("llama.cpp could not tokenize the prompt.")
        return list(tokens[:count])

    def piece(self, token: int, special: bool = False) -> bytes:
        """The bytes of a token, perhaps half a character; control tokens have some only with `special`."""
        known = self._pieces.get((token, special))
        return self._pieces.setdefault((token, special), self._read_piece(token, special)) if known is None else known

    def _read_piece(self, token: int, special: bool) -> bytes:
        count = C.llama_token_to_piece(self.vocabulary, token, self._piece, len(self._piece), 0, special)
        if count < 0:
            self._piece = ctypes.create_string_buffer(-count)
            return self._read_piece(token, special)
        return ctypes.string_at(self._piece, count)

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        return bool(C.llama_vocab_is_eog(self.vocabulary, token))

    @cached_property
    def end(self) -> int | None:
        """A token that ends an answer; None where the vocabulary has none."""
        found = (C.llama_vocab_eot(self.vocabulary), C.llama_vocab_eos(self.vocabulary))
        return next((token for token in found if token >= 0 and self.is_end(token)), None)

    @property
    def begin(self) -> list[int]:
        """The token that the model wants in front of every prompt, if it wants one."""
        first = C.llama_vocab_bos(self.vocabulary)
        return [first] if C.llama_vocab_get_add_bos(self.vocabulary) and first >= 0 else []

    @cached_property
    def controls(self) -> frozenset[str]:
        """What a text can say to become a control token."""
        ids = (C.llama_token * self.tokens).from_buffer(array("i", range(self.tokens)))
        starts = range(0, self.tokens, _BLOCK)
        found = (self._controls(ids, start, min(start + _BLOCK, self.tokens)) for start in starts)
        return frozenset(self.text_of(token) for token in chain.from_iterable(found))

    def _controls(self, ids: Any, start: int, end: int) -> Iterator[int]:
        """Control tokens among these, found by halves: to ask for one after the other takes half a second."""
        if self._length(ids, start, end, special=True) == self._length(ids, start, end, special=False):
            return
        if end - start == 1:
            yield start
            return
        middle = (start + end) // 2
        yield from self._controls(ids, start, middle)
        yield from self._controls(ids, middle, end)

    def _length(self, ids: Any, start: int, end: int, *, special: bool) -> int:
        """How many bytes the tokens make, control tokens only with `special`; as a negative number."""
        part = ctypes.cast(ctypes.byref(ids, start * ctypes.sizeof(C.llama_token)), ctypes.POINTER(C.llama_token))
        return int(C.llama_detokenize(self.vocabulary, part, end - start, None, 0, False, special))

    @property
    def template(self) -> str | None:
        """The chat template in the file."""
        text = C.llama_model_chat_template(self.handle, None)
        return text.decode("utf-8", "replace") if text else None

    @property
    def original_context(self) -> int | None:
        """The context that its positions were made for before they were stretched; None where the file does not say."""
        family = self._said("general.architecture")
        found = self._said(f"{family}.rope.scaling.original_context_length")
        return int(found) if found else None

    def _said(self, key: str) -> str:
        """A value of the file's header as text; empty where there is none."""
        text = ctypes.create_string_buffer(_LONGEST_PIECE)
        C.llama_model_meta_val_str(self.handle, key.encode(), text, len(text))
        return text.value.decode("utf-8", "replace")

    @property
    def named_tokens(self) -> dict[str, str]:
        """The tokens that templates know by name, as they are spelled; empty where there is none."""
        begin, end = C.llama_vocab_bos(self.vocabulary), C.llama_vocab_eos(self.vocabulary)
        return {"bos_token": self.text_of(begin), "eos_token": self.text_of(end)}

    def text_of(self, token: int) -> str:
        """How the vocabulary spells a token."""
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
