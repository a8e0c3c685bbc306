"""llama.cpp as this project uses it: a thin typed layer over the C API of the pinned llama-cpp-python.

The only module that imports llama_cpp; it lives in the child process, where C code may write to stderr and abort.
It knows models, contexts and samplers, not conversations or plans. Every ggml function is taken from libllama's
own handle: opening libggml by name would load a second copy with its own device registry.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp as C  # noqa: N812
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_grammar import json_schema_to_gbnf

from models.errors import BadFile, EngineError, LocalrunError, OutOfMemory, UsageError
from runner.events import Message, Sampling
from runner.machine import DeviceFacts, Kind
from runner.plan import Placement

KV_TYPES = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 6,
    "q5_1": 7,
    "q8_0": 8,
    "iq4_nl": 20,
    "bf16": 30,
}
LOAD_MODES = {"none": 0, "mmap": 1}
_KINDS = {0: Kind.CPU, 1: Kind.GPU, 2: Kind.IGPU}
_LONGEST_PIECE = 256

Log = Callable[[int, str], None]
DEBUG, INFO, WARN, ERROR, CONTINUED = range(1, 6)


def _ggml(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = C._lib[name]
    function.restype, function.argtypes = result, list(arguments)
    return function  # type: ignore[no-any-return]


class _Props(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("memory_free", ctypes.c_size_t),
        ("memory_total", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("device_id", ctypes.c_char_p),
        ("async_", ctypes.c_bool),
        ("host_buffer", ctypes.c_bool),
        ("buffer_from_host_ptr", ctypes.c_bool),
        ("events", ctypes.c_bool),
        ("mmap_support", ctypes.c_bool),
    ]


_P, _S, _N = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
_dev_count = _ggml("ggml_backend_dev_count", _N)
_dev_get = _ggml("ggml_backend_dev_get", _P, _N)
_dev_props = _ggml("ggml_backend_dev_get_props", None, _P, ctypes.POINTER(_Props))
_dev_name = _ggml("ggml_backend_dev_name", _S, _P)
_dev_reg = _ggml("ggml_backend_dev_backend_reg", _P, _P)
_dev_buft = _ggml("ggml_backend_dev_buffer_type", _P, _P)
_dev_by_type = _ggml("ggml_backend_dev_by_type", _P, ctypes.c_int)
_reg_name = _ggml("ggml_backend_reg_name", _S, _P)
_reg_count = _ggml("ggml_backend_reg_count", _N)
_reg_get = _ggml("ggml_backend_reg_get", _P, _N)
_register = _ggml("ggml_backend_register", None, _P)
_buft_name = _ggml("ggml_backend_buft_name", _S, _P)
_buft_device = _ggml("ggml_backend_buft_get_device", _P, _P)
_buft_is_host = _ggml("ggml_backend_buft_is_host", ctypes.c_bool, _P)
_ABORT = ctypes.CFUNCTYPE(None, _S)
_set_abort = _ggml("ggml_set_abort_callback", _P, _ABORT)

_errors: deque[str] = deque(maxlen=8)  # llama.cpp's last complaints, to explain a NULL
_kept: list[object] = []  # callbacks that C holds for as long as the process lives


def start(log: Log, on_abort: Callable[[str], None]) -> None:
    """Start the backends; `log` gets (level, line) from llama.cpp, `on_abort` its last words before SIGABRT."""
    buffer = bytearray()
    last = [INFO]
    _errors.clear()

    def receive(level: int, text: bytes, _data: object) -> None:
        last[0] = last[0] if level == CONTINUED else level
        if last[0] < INFO:
            return
        buffer.extend(text)
        while (end := buffer.find(b"\n")) >= 0:
            line = buffer[:end].decode("utf-8", "replace")
            del buffer[: end + 1]
            if last[0] == ERROR:
                _errors.append(line.strip())
            log(last[0], line)

    _kept.extend((C.llama_log_callback(receive), _ABORT(lambda text: on_abort(text.decode("utf-8", "replace")))))
    C.llama_log_set(_kept[0], None)
    _set_abort(_kept[1])
    C.llama_backend_init()


def devices() -> tuple[DeviceFacts, ...]:
    """All devices but accelerators of the CPU, in ggml's order, the CPU included."""
    return tuple(facts for handle in _handles() if (facts := _facts(handle)) is not None)


def _handles() -> list[int]:
    return [_dev_get(index) for index in range(_dev_count())]


def _facts(handle: int) -> DeviceFacts | None:
    props = _Props()
    _dev_props(handle, ctypes.byref(props))
    backend = _reg_name(_dev_reg(handle)).decode()
    kind = Kind.RPC if backend.startswith("RPC") else _KINDS.get(props.type)
    if kind is None:
        return None
    return DeviceFacts(
        id=props.name.decode(),
        description=props.description.decode("utf-8", "replace"),
        kind=kind,
        backend=backend,
        total=props.memory_total,
        free=props.memory_free,
        uid=props.device_id.decode().lower() if props.device_id else None,
        has_host_buffer=props.host_buffer,
    )


def backends() -> tuple[str, ...]:
    """Names of the compiled backends."""
    return tuple(_reg_name(_reg_get(index)).decode() for index in range(_reg_count()))


def version() -> str:
    """llama.cpp's build, as it names itself."""
    with suppress(AttributeError, ValueError):
        return str(C.llama_version().decode())
    return "unknown"


def system_info() -> str:
    """CPU features that llama.cpp was compiled for and found."""
    return str(C.llama_print_system_info().decode().strip())


def add_rpc(endpoint: str) -> None:
    """Register the devices of the RPC server at `host:port`. The port must answer: a closed one aborts."""
    add = _ggml("ggml_backend_rpc_add_server", _P, _S)
    registry = add(endpoint.encode())
    if not registry:
        raise EngineError(f"The devices at {endpoint} could not be added.")
    _register(registry)


def serve_rpc(endpoint: str, ids: Sequence[str], threads: int) -> None:
    """Lend the devices `ids` (repeats allowed) at `host:port`; blocks for ever."""
    serve = _ggml("ggml_backend_rpc_start_server", None, _S, _S, _N, _N, _P)
    handles = (_P * len(ids))(*(_handle(name) for name in ids))
    serve(endpoint.encode(), None, threads, len(ids), ctypes.addressof(handles))


def _handle(name: str) -> int:
    for handle in _handles():
        if _dev_name(handle).decode() == name:
            return handle
    raise UsageError(f"llama.cpp has no device {name} here; it has {', '.join(d.id for d in devices())}.")


def set_numa() -> None:
    """Spread over NUMA nodes; once, before any model is loaded."""
    C.llama_numa_init(1)


@dataclass(frozen=True, slots=True)
class BufferBytes:
    """Bytes of one buffer type; `device` is a device's id, `CPU` for everything in host memory."""

    buffer: str
    device: str
    weights: int
    kv: int
    compute: int


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
        _errors.clear()
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
            raise _failure(f"llama.cpp could not load {path}", BadFile)
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
        formatter = Jinja2ChatFormatter(
            template=template,
            eos_token=self._special(C.llama_vocab_eos(self.vocabulary)),
            bos_token=self._special(C.llama_vocab_bos(self.vocabulary)),
        )
        turns: Any = [{"role": m.role, "content": m.content} for m in messages]
        try:
            return str(formatter(messages=turns).prompt)
        except Exception as error:  # a template is a program of somebody else's
            raise ValueError(f"the model's chat template refuses this conversation: {error}") from error

    def _special(self, token: int) -> str:
        text = C.llama_vocab_get_text(self.vocabulary, token) if token >= 0 else b""
        return text.decode("utf-8", "replace") if text else ""


def _failure(what: str, otherwise: type[LocalrunError]) -> LocalrunError:
    """The error for a NULL from llama.cpp: OutOfMemory if its complaints speak of allocation."""
    no_memory = any(re.search("alloc|out of memory", line) for line in _errors)
    kind = OutOfMemory if no_memory else otherwise
    reason = next((line.partition(": ")[2] or line for line in _errors), "")
    return kind(f"{what}: {reason}." if reason else f"{what}.")


def _set_devices(params: Any, placement: Placement) -> tuple[object, ...]:
    """Name the devices and how many layers each gets: never left to the free memory of the moment."""
    handles = (_P * (len(placement.devices) + 1))(*(_handle(name) for name in placement.devices), None)
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
        handle = _dev_by_type(0) if override.device == "CPU" else _handle(override.device)
        entry.pattern, entry.buft = override.pattern.encode(), _dev_buft(handle)
    params.tensor_buft_overrides = ctypes.addressof(table)
    return (table,)


class Context:
    """KV cache and compute buffers over a model: decodes tokens of one sequence."""

    def __init__(self, model: Model, placement: Placement) -> None:
        _errors.clear()
        params = C.llama_context_default_params()
        params.n_ctx = placement.ctx
        params.n_batch = params.n_ubatch = placement.ubatch
        params.n_seq_max = placement.sequences
        params.n_outputs_max = placement.outputs
        params.n_threads = params.n_threads_batch = placement.threads
        params.type_k = params.type_v = KV_TYPES[placement.kv_type]
        params.swa_full = False
        params.kv_unified = placement.sequences > 1
        self.handle = C.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise _failure("llama.cpp could not set up the context", EngineError)
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
        """Bytes by buffer type, from llama.cpp's own table; EngineError where this build does not offer it."""
        return tuple(_buffer(*row) for row in _breakdown(self.handle))


class _Map(ctypes.Structure):
    """std::map: libstdc++ has 48 bytes with the root at +16 and the count at +40, libc++ 24 with root +8, count +16."""

    _fields_ = [("words", ctypes.c_uint64 * 6)]


def _breakdown(context: Any) -> list[tuple[int, int, int, int]]:
    """(buffer type, model, context, compute) of each entry: an in-order walk of the tree that C++ returns."""
    apple = sys.platform == "darwin"
    root, count, left, right, key = (1, 2, 0, 8, 32) if apple else (2, 5, 16, 24, 32)
    try:
        function = C._lib["_Z26llama_get_memory_breakdownPK13llama_context"]
    except AttributeError as error:
        raise EngineError("This build of llama.cpp does not tell its memory breakdown.") from error
    function.restype, function.argtypes = _Map, [_P]
    table = function(context)
    rows: list[tuple[int, int, int, int]] = []

    def walk(node: int) -> None:
        if node:
            walk(_word(node + left))
            rows.append((_word(node + key), _word(node + key + 8), _word(node + key + 16), _word(node + key + 24)))
            walk(_word(node + right))

    walk(table.words[root])
    if len(rows) != table.words[count]:
        raise EngineError("The memory breakdown of this llama.cpp has another layout.")
    return rows


def _word(address: int) -> int:
    return int(ctypes.c_uint64.from_address(address).value)


def _buffer(buft: int, weights: int, kv: int, compute: int) -> BufferBytes:
    name = _buft_name(buft).decode()
    device = _buft_device(buft)
    on_host = not device or _buft_is_host(buft) or name.startswith("CPU") or name.endswith("_Host")
    return BufferBytes(name, "CPU" if on_host else _dev_name(device).decode(), weights, kv, compute)


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


def grammar_of_schema(schema: str) -> str:
    """GBNF that admits exactly the JSON that fits `schema` (JSON text)."""
    try:
        return str(json_schema_to_gbnf(schema))
    except Exception as error:
        raise UsageError(f"The JSON schema cannot be turned into a grammar: {error}") from error
