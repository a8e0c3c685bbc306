"""llama.cpp's C API, typed as far as this project uses it: log, devices, RPC, and where its buffers are.

The only module that imports llama_cpp; it lives in the child process, where C code may write to stderr and abort.
runner.engine.model builds models, contexts and samplers on it. Every ggml function is taken from libllama's own handle:
opening libggml by name would load a second copy with its own device registry.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from llama_cpp import llama_cpp
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from llama_cpp.llama_grammar import json_schema_to_gbnf

from models.errors import EngineError, LocalrunError, OutOfMemory, UsageError
from runner.types.machine import DeviceFacts, Kind

C = llama_cpp  # every function of llama.h, with its types
_KINDS = {0: Kind.CPU, 1: Kind.GPU, 2: Kind.IGPU}

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
    handles = (_P * len(ids))(*(device_handle(name) for name in ids))
    serve(endpoint.encode(), None, threads, len(ids), ctypes.addressof(handles))


def device_handle(name: str) -> int:
    """ggml's own handle of a device."""
    for handle in _handles():
        if _dev_name(handle).decode() == name:
            return handle
    raise UsageError(f"llama.cpp has no device {name} here; it has {', '.join(d.id for d in devices())}.")


def buffer_type(device: str) -> int:
    """Handle of the buffers of a device; `CPU` lets llama.cpp pick among those of the host."""
    return int(_dev_buft(_dev_by_type(0) if device == "CPU" else device_handle(device)))


def forget_complaints() -> None:
    """Before a call that may answer NULL."""
    _errors.clear()


def failure(what: str, otherwise: type[LocalrunError]) -> LocalrunError:
    """The error for a NULL from llama.cpp: OutOfMemory if its complaints speak of allocation."""
    no_memory = any(re.search("alloc|out of memory", line) for line in _errors)
    kind = OutOfMemory if no_memory else otherwise
    reason = next((line.partition(": ")[2] or line for line in _errors), "")
    return kind(f"{what}: {reason}." if reason else f"{what}.")


@dataclass(frozen=True, slots=True)
class BufferBytes:
    """Bytes of one buffer type; `device` is a device's id, `CPU` for everything in host memory."""

    buffer: str
    device: str
    weights: int
    kv: int
    compute: int


def breakdown(context: Any) -> tuple[BufferBytes, ...]:
    """Bytes by buffer type, from llama.cpp's own table; EngineError where this build does not offer it."""
    return tuple(_buffer(*row) for row in _breakdown(context))


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


def grammar_of_schema(schema: str) -> str:
    """GBNF that admits exactly the JSON that fits `schema` (JSON text)."""
    try:
        return str(json_schema_to_gbnf(schema))
    except Exception as error:
        raise UsageError(f"The JSON schema cannot be turned into a grammar: {error}") from error


def render(template: str, begin: str, end: str, messages: Any) -> str:
    """The prompt that a chat template (sandboxed Jinja) makes of the messages. ValueError if it refuses."""
    try:
        return str(Jinja2ChatFormatter(template=template, bos_token=begin, eos_token=end)(messages=messages).prompt)
    except Exception as error:  # a template is a program of somebody else's
        raise ValueError(f"the model's chat template refuses this conversation: {error}") from error
